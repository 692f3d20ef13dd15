# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""An application that calls ours, and then sets its provider globally."""

from opentelemetry import trace

from calls import make_server, serve
from callspan import instrument
from own_provider import own_provider

instrument()
trace.set_tracer_provider(own_provider())

server = make_server()

if __name__ == "__main__":
    serve(server)
