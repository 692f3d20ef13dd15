# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The application that says what its calls are worth, with the one line."""

from callspan import instrument
from kit.call_gate import serve
from worth_said import make_server, take_call

instrument()

if __name__ == "__main__":
    serve(make_server(take_call))
