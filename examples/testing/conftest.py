# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""The fixture ``call_recorder`` comes from here."""

pytest_plugins = ["callspan.testing.fixtures"]
