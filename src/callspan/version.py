# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The version, in one place: the build reads it here."""

__version__ = "0.1.0b0"
