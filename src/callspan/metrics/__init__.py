# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Our own instruments, and what of a call is recorded on them."""
