# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a live span is given: the call it belongs to, and the stage that LiveKit has no span for."""
