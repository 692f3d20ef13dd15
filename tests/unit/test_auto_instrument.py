# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What is done before the wrapper command turns into the program."""

from __future__ import annotations

import socket

import pytest

from callspan.config.auto_instrument import set_aside
from callspan.package import ORIGINAL_METRICS_EXPORTER


@pytest.fixture
def taken() -> str:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


@pytest.mark.parametrize(
    ("exporters", "left"), [("prometheus", "none"), ("prometheus,otlp", "otlp")]
)
def test_a_scrape_whose_port_is_taken_is_set_aside(exporters: str, left: str, taken: str) -> None:
    """The command's configurator would raise; the worker is told what was asked for."""
    environ = {
        "OTEL_METRICS_EXPORTER": exporters,
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": taken,
    }
    set_aside(environ)
    assert environ["OTEL_METRICS_EXPORTER"] == left
    assert environ[ORIGINAL_METRICS_EXPORTER] == exporters


@pytest.mark.parametrize("exporters", ["langfuse", "prometheus,langfuse", "waterfall"])
def test_an_exporter_of_metrics_that_does_not_exist_is_set_aside(exporters: str) -> None:
    """The command would load no instrumentation; the worker says what to write."""
    environ = {"OTEL_METRICS_EXPORTER": exporters, "OTEL_EXPORTER_PROMETHEUS_PORT": "0"}
    set_aside(environ)
    assert environ["OTEL_METRICS_EXPORTER"] == "none"
    assert environ[ORIGINAL_METRICS_EXPORTER] == exporters


@pytest.mark.parametrize("exporters", ["otlp", "", "none"])
def test_other_exporters_are_left_alone(exporters: str, taken: str) -> None:
    """Where no scrape is asked for, no port matters."""
    environ = {"OTEL_METRICS_EXPORTER": exporters, "OTEL_EXPORTER_PROMETHEUS_PORT": taken}
    before = dict(environ)
    set_aside(environ)
    assert environ == before


@pytest.mark.parametrize("host", ["", "127.0.0.1", "::1"])
def test_a_free_port_is_left_alone(host: str) -> None:
    """Nothing is set aside that can be served."""
    if host == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    environ = {
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_EXPORTER_PROMETHEUS_HOST": host,
        "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
    }
    before = dict(environ)
    set_aside(environ)
    assert environ == before


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True
