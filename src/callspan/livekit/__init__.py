# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The only room that imports livekit: patches and their undo, LiveKit's events as records."""
