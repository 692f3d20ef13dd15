# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls that end in every way there is, each as its room's name says; with the one line."""

from __future__ import annotations

from callspan import instrument
from counted_no_line import make_server
from kit.call_gate import serve

instrument()

server = make_server()

if __name__ == "__main__":
    serve(server)
