# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls that end in every way there is, each as its room's name says; instrumented in code."""

from __future__ import annotations

from callspan import instrument
from every_ending import make_server
from kit.call_gate import serve

instrument()

server = make_server()

if __name__ == "__main__":
    serve(server)
