# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The receptionist, instrumented in code."""

from callspan import instrument
from speech import make_server, serve

instrument()

server = make_server()

if __name__ == "__main__":
    serve(server)
