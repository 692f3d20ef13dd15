# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The receptionist with real speech, as a worker that stays up for Prometheus to look at it."""

from __future__ import annotations

from callspan import instrument
from kit.agents.speech import make_server
from kit.call_gate import serve

instrument()

server = make_server()

if __name__ == "__main__":
    serve(server)
