# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The metrics of a worker, and a child that its main process forks off."""

from __future__ import annotations

import os
import signal
import socket

import pytest
from opentelemetry.sdk.resources import Resource

from callspan.config.settings import Settings
from callspan.runtime.worker_metrics import WorkerMetrics


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_of_main_ends_by_itself_and_leaves_the_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None of the worker's threads is in it: waiting for one would be for good."""
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", str(port))
    metrics = WorkerMetrics(
        Settings(metric_exporters=("prometheus",)), Resource.get_empty(), by_command=False
    )
    assert metrics.problems == []
    let_go, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(held)
        signal.alarm(60)
        metrics.close(1)
        os.read(let_go, 1)
        os._exit(0)
    try:
        metrics.close(10)
        # the child is there, and the port is free
        with socket.create_server(("localhost", port)):
            pass
    finally:
        os.close(held)
        os.close(let_go)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
