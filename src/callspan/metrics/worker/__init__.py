# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""In the worker's main process: what jobs sent, added up, and shown to the world."""
