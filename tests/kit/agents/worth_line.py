# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls that come to something, with the one line."""

from callspan import instrument
from kit.call_gate import serve
from worth import make_server

instrument()

if __name__ == "__main__":
    serve(make_server())
