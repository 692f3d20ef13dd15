# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls that come to something, with the one line."""

from gate import serve
from opentelemetry.instrumentation.livekit_agents import instrument
from worth import make_server

instrument()

if __name__ == "__main__":
    serve(make_server())
