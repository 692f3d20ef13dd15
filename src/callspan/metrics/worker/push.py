# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The state sent to an exporter on the standard interval: OTLP over HTTP or gRPC, or the console.

The SDK's periodic reader does the work. It is not registered with a provider: what it collects
is the worker's state, which no MeterProvider could hold.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
    ResourceMetrics,
)
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, Resource

from ...diagnostics.guard import guarded
from ...semconv import REASON_FAILED
from ..wire.rows import delivery_rows, dropped_row
from .deltas import Deltas
from .state import State


def with_instance_id(resource: Resource) -> Resource:
    """Return a worker's resource with the one ``service.instance.id`` that stands for it."""
    if resource.attributes.get(SERVICE_INSTANCE_ID):
        return resource
    return resource.merge(Resource({SERVICE_INSTANCE_ID: str(uuid.uuid4())}))


class MetricPusher:
    """Sends the state to one exporter; starts its daemon thread when it is made.

    The interval is OTEL_METRIC_EXPORT_INTERVAL, the temporality what the exporter prefers.

    Args:
        state: What to send.
        resource: The worker's.
        exporter: Where to; only ever called on the thread, or by ``flush``.
        name: The destination as people read it.

    Attributes:
        name: The destination.

    Raises:
        ValueError: If the interval is not above 0.
    """

    def __init__(
        self, state: State, resource: Resource, exporter: MetricExporter, name: str
    ) -> None:
        self._state = state
        self._resource = resource
        self._pid = os.getpid()
        self.name = name
        self._closing = self._is_last = self._last_arrived = False
        self._arrived_at: float | None = None
        self._deltas = Deltas(exporter._preferred_temporality or {})
        self._reader = PeriodicExportingMetricReader(_WatchedExporter(exporter, self._note))
        self._reader._set_collect_callback(self._collect)

    def flush(self) -> None:
        """Send the state now; blocks for as long as the exporter takes."""
        self._reader.collect()

    def close(self, timeout_s: float) -> bool:
        """Send the state a last time, within ``timeout_s`` seconds, and stop.

        Returns:
            Whether it arrived.
        """
        self._closing = True
        self._reader.shutdown(timeout_millis=timeout_s * 1000)
        return self._last_arrived

    @property
    def age_s(self) -> float | None:
        """Seconds since the state last arrived; None where it never did."""
        return None if self._arrived_at is None else time.monotonic() - self._arrived_at

    def _note(self, arrived: bool) -> None:
        if arrived:
            self._arrived_at = time.monotonic()
        self._last_arrived = arrived and self._is_last
        for row in delivery_rows(self.name, delivered=arrived):
            self._state.add(row)

    def _collect(self, *_: Any, **__: Any) -> Any:
        if os.getpid() != self._pid:
            return None  # forked off: the state is its parent's
        self._is_last = self._closing
        # the reader's thread ends with what is raised here
        with guarded("reading the state for a push"):
            scopes = self._deltas.convert(self._state.read())
            resources = [ResourceMetrics(self._resource, scopes, self._resource.schema_url)]
            return MetricsData(resources if scopes else [])
        self._state.add(dropped_row(REASON_FAILED))
        return None


class _WatchedExporter(MetricExporter):
    """Says how the exports of another exporter went."""

    def __init__(self, exporter: MetricExporter, note: Callable[[bool], None]) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self._exporter = exporter
        self._note = note

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        result = MetricExportResult.FAILURE
        try:
            result = self._exporter.export(metrics_data, timeout_millis, **kwargs)
        finally:
            self._note(result is MetricExportResult.SUCCESS)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._exporter.shutdown(timeout_millis, **kwargs)
