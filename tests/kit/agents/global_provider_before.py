# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""An application that set its provider globally, and then calls ours."""

from opentelemetry import trace

from callspan import instrument
from own_provider import own_provider
from short_call import make_server, serve

trace.set_tracer_provider(own_provider())
instrument()

server = make_server()

if __name__ == "__main__":
    serve(server)
