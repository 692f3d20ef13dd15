# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What travels from a job process to its worker: rows, and the frames that carry them."""
