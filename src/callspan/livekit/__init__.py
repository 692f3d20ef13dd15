# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The only room that imports livekit: probes, patches and their undo, events to records."""
