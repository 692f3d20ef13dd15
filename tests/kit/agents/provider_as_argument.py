# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""An application that passes its provider."""

from callspan import instrument
from own_provider import own_provider
from short_call import make_server, serve

instrument(tracer_provider=own_provider())

server = make_server()

if __name__ == "__main__":
    serve(server)
