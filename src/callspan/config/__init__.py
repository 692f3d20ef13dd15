# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the user asked for, in variables and in code, resolved once."""
