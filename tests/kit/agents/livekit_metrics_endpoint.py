# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A worker whose numbers are read at LiveKit's own metrics endpoint, while it is up."""

from __future__ import annotations

from callspan import instrument
from kit.call_gate import serve
from short_call import make_server

instrument()

server = make_server()

if __name__ == "__main__":
    serve(server)
