# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The application that says what its calls are worth, with the one line."""

from gate import serve
from opentelemetry.instrumentation.livekit_agents import instrument
from worth_said import make_server, take_call

instrument()

if __name__ == "__main__":
    serve(make_server(take_call))
