# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""How this package fails: contained, said once, with a remedy."""
