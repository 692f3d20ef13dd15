# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""An application that gives LiveKit its provider in the worker's setup function."""

from __future__ import annotations

from livekit.agents import telemetry

from callspan import instrument
from own_provider import own_provider
from short_call import make_server, serve

instrument()


def setup(_: object) -> None:
    telemetry.set_tracer_provider(own_provider())


server = make_server(setup=setup)

if __name__ == "__main__":
    serve(server)
