# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a worker counted, read from its scrape and from its OTLP in one form."""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Callable, Iterable

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.samples import Sample

TEXT = "text/plain"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"

Totals = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by name of the sample, as Prometheus has it, and labels."""

_NAMES = {
    "agent.sessions": "agent_sessions_total",
    "agent.sessions.active": "agent_sessions_active",
    "agent.session.duration": "agent_session_duration_seconds_count",
    "agent.jobs": "agent_jobs_total",
    "agent.tool_calls": "agent_tool_calls_total",
}
"""The samples that are counted here, by the names of their metrics."""

_POLL_S = 0.1


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def scrape(port: int, accept: str = OPENMETRICS) -> str:
    """Return what a worker serves."""
    request = urllib.request.Request(f"http://localhost:{port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.read().decode()


def samples(scraped: str) -> list[Sample]:
    """Return each sample of a scrape in OpenMetrics."""
    return [sample for family in parse_openmetrics(scraped) for sample in family.samples]


def scraped_totals(scraped: str) -> Totals:
    """Return what a scrape counts."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for sample in samples(scraped)
        if sample.name in _NAMES.values()
    }


def sent_totals(request: ExportMetricsServiceRequest) -> Totals:
    """Return what an OTLP request counts; all of it has to be cumulative."""
    totals: Totals = {}
    for resource_metrics in request.resource_metrics:
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                if metric.name not in _NAMES:
                    continue
                data = getattr(metric, metric.WhichOneof("data"))
                assert data.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
                for point in data.data_points:
                    is_sum = metric.WhichOneof("data") == "sum"
                    value = (point.as_int or point.as_double) if is_sum else point.count
                    key = (_NAMES[metric.name], frozenset(attributes(point.attributes).items()))
                    assert key not in totals, f"sent twice: {key}"
                    totals[key] = value
    return totals


def attributes(pairs: Iterable[KeyValue]) -> dict[str, str]:
    """Return OTLP attributes whose values are all strings."""
    return {pair.key: pair.value.string_value for pair in pairs}


def wait_for_scrape(port: int, wanted: Callable[[str], bool], timeout_s: float = 60) -> str:
    """Scrape, in OpenMetrics, until a scrape is as wanted; return it.

    Raises:
        AssertionError: If none was within ``timeout_s`` seconds.
    """
    deadline = time.monotonic() + timeout_s
    while not wanted(scraped := scrape(port)):
        assert time.monotonic() < deadline, f"after {timeout_s:g} s the scrape still is\n{scraped}"
        time.sleep(_POLL_S)
    return scraped
