# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A livekit-agents that lacks what everything stands on, as a future version could."""

from livekit.agents.telemetry import traces

from callspan import instrument
from short_call import make_server, serve

del traces._DynamicTracer.set_provider
instrument()

server = make_server()

if __name__ == "__main__":
    serve(server)
