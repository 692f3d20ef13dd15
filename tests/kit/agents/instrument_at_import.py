# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""instrument() where the README puts it."""

from callspan import instrument
from short_call import make_server, serve

instrument()

server = make_server()

if __name__ == "__main__":
    serve(server)
