# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The instrumentor in a process that has not imported livekit yet."""

import sys

from callspan import LiveKitAgentsInstrumentor

LiveKitAgentsInstrumentor().instrument()
came_first = "livekit.agents" not in sys.modules

from short_call import make_server, serve  # noqa: E402

server = make_server()

if __name__ == "__main__":
    print("before livekit:", came_first)
    serve(server)
