# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The one line in two modules of an application."""

from calls import make_server, serve
from callspan import instrument

instrument()

server = make_server()

instrument()

if __name__ == "__main__":
    serve(server)
