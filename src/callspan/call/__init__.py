# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The call as plain records: no OpenTelemetry, no livekit, no clock of its own."""
