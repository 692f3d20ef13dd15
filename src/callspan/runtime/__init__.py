# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Ties the rooms to a process: the part of a worker, and the part of a job."""
