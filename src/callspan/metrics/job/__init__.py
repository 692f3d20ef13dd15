# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""In a job process: what is recorded, read and sent to the worker."""
