# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""instrument() in two modules of an application."""

from callspan import instrument
from short_call import make_server, serve

instrument()

server = make_server()

instrument()

if __name__ == "__main__":
    serve(server)
