# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Provider set-up from the standard variables, and delivery at the end of a call."""
