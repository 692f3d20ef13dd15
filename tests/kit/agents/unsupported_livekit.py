# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A livekit-agents that lacks what everything stands on, as a future version could."""

from livekit.agents.telemetry import traces

from calls import make_server, serve
from callspan import instrument

del traces._DynamicTracer.set_provider
instrument()

server = make_server()

if __name__ == "__main__":
    serve(server)
