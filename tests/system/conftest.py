# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Real servers, one of each for all the tests in this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from kit.prometheus import Programs, PrometheusUnavailableError, find
from system.livekit_server import SERVER, LiveKitServer


@pytest.fixture(scope="session")
def livekit_server() -> Iterator[LiveKitServer]:
    """A running LiveKit server."""
    with LiveKitServer(SERVER.required()) as server:
        server.wait_until_ready(timeout_s=20)
        yield server


@pytest.fixture(scope="session")
def programs() -> Programs:
    """Prometheus and promtool.

    Where they are missing, a user's run skips and a run under CI fails: there, a skip would hide
    that nothing was tested.
    """
    try:
        return find()
    except PrometheusUnavailableError as problem:
        if os.environ.get("CI"):
            pytest.fail(str(problem), pytrace=False)
        pytest.skip(str(problem))
