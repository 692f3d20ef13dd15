# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""One call drawn, in a terminal or as a picture."""
