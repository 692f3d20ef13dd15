# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What becomes of a finished span: what is left out, how it is held, and how it gets away."""
