# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""instrument() where job processes never come."""

from callspan import instrument
from short_call import make_server, serve

server = make_server()

if __name__ == "__main__":
    instrument()
    serve(server)
