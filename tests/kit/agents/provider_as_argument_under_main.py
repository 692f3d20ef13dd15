# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""An application that passes its provider where no job process sees it."""

from callspan import instrument
from own_provider import own_provider
from short_call import make_server, serve

server = make_server()

if __name__ == "__main__":
    instrument(tracer_provider=own_provider())
    serve(server)
