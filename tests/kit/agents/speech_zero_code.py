# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The receptionist, zero-code."""

from speech import make_server, serve

server = make_server()

if __name__ == "__main__":
    serve(server)
