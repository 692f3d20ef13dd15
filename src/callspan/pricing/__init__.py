# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What usage costs: the user's own prices first, then packaged ones."""
