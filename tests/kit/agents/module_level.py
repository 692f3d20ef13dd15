# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The one line, where the README puts it."""

from calls import make_server, serve
from callspan import instrument

instrument()

server = make_server()

if __name__ == "__main__":
    serve(server)
