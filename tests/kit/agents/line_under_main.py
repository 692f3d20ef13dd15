# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The one line where job processes never come."""

from calls import make_server, serve
from callspan import instrument

server = make_server()

if __name__ == "__main__":
    instrument()
    serve(server)
