# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""An agent without a line of telemetry code."""

from short_call import make_server, serve

server = make_server()

if __name__ == "__main__":
    serve(server)
