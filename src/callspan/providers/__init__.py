# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""SDK providers and exporters from variables, and presets of backends."""
