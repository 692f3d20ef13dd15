# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""The one cumulative state of a worker, out of what its processes add.

Adding is commutative: whatever order the rows of several processes come in, the same totals
stand in the end. A name is one metric, whoever records it, as it will be for Prometheus.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    Metric,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from .rows import Attributes, Batch, Instrument, Row, Scope, dropped_row
from .series import LiveSeries, Process, Series, new_series

_logger = logging.getLogger("opentelemetry.instrumentation.livekit_agents")

MAX_SERIES: Final = 2000
"""Series of one metric before the rest share one; OpenTelemetry's default."""
MAX_METRICS: Final = 1000

OVERFLOW: Final[Attributes] = (("otel.metric.overflow", True),)

_DROPPED: Final = dropped_row("").instrument
_REASON_CONFLICT: Final = "conflict"
_REASON_TOO_MANY: Final = "too_many_metrics"


@dataclass(slots=True)
class _Metric:
    instrument: Instrument
    series: dict[Attributes, Series] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Connection:
    """What is to be undone or made up for when a process goes."""

    calls: dict[str, tuple[Row, ...]] = field(default_factory=dict)
    series: set[LiveSeries] = field(default_factory=set)


class State:
    """All series of a worker; safe to use from several threads.

    Args:
        max_series: Series of one metric; further ones are added up in one with the attribute
            ``otel.metric.overflow``. Default: 2000.
        on_new_series: Called for each series that a process begins, on the thread that adds it.
    """

    def __init__(
        self,
        *,
        max_series: int = MAX_SERIES,
        on_new_series: Callable[[Instrument, Attributes], None] | None = None,
    ) -> None:
        self._max_series = max_series
        self._on_new_series = on_new_series
        self._new_series_of: list[tuple[Instrument, Attributes]] = []
        self._lock = threading.Lock()
        self._metrics = {_DROPPED.name: _Metric(_DROPPED)}
        self._connections: defaultdict[Process, _Connection] = defaultdict(_Connection)
        self._warned: set[str] = set()

    def apply(self, batch: Batch, process: Process) -> None:
        """Add what a process recorded."""
        with self._lock:
            for row in batch.rows:
                self._add(row, process)
            for call_id, if_lost in batch.opened:
                self._connections[process].calls[call_id] = if_lost
            for call_id in batch.closed:
                self._connections[process].calls.pop(call_id, None)
            begun, self._new_series_of = self._new_series_of, []
        if self._on_new_series is not None:
            for instrument, attributes in begun:
                self._on_new_series(instrument, attributes)

    def disconnect(self, process: Process) -> None:
        """Let go of a process: what it stood at is dropped, its open calls are lost."""
        with self._lock:
            connection = self._connections.pop(process, _Connection())
            for series in connection.series:
                series.leave(process)
            for if_lost in connection.calls.values():
                for row in if_lost:
                    self._add(row, process)

    def add(self, row: Row) -> None:
        """Add what the worker itself has to say."""
        with self._lock:
            self._add(row, self)

    def read(self) -> list[ScopeMetrics]:
        """Return a copy of all series, cumulative, in the SDK's data model."""
        now = time.time_ns()
        scopes: defaultdict[Scope, list[Metric]] = defaultdict(list)
        with self._lock:
            for metric in self._metrics.values():
                points = [series.read(now) for series in metric.series.values()]
                present = [point for point in points if point is not None]
                if present:
                    scopes[metric.instrument.scope].append(_metric(metric.instrument, present))
        return [
            ScopeMetrics(
                InstrumentationScope(scope.name, scope.version, scope.schema_url),
                metrics,
                scope.schema_url,
            )
            for scope, metrics in scopes.items()
        ]

    def _add(self, row: Row, process: Process) -> None:
        instrument = row.instrument
        metric = self._metrics.get(instrument.name)
        if metric is None:
            if len(self._metrics) >= MAX_METRICS:
                self._drop(_REASON_TOO_MANY, f"{instrument.name} is one metric too many")
                return
            metric = self._metrics[instrument.name] = _Metric(instrument)
        known = metric.instrument
        if instrument.kind != known.kind or instrument.unit != known.unit:
            self._drop(
                _REASON_CONFLICT,
                f"{instrument.name} was a {known.kind} in {known.unit!r} and cannot be a "
                f"{instrument.kind} in {instrument.unit!r} too; rename one of them",
            )
            return
        series = metric.series.get(row.attributes)
        if series is None:
            series = self._new_series(metric, row.attributes)
        series.add(row, process)
        if isinstance(series, LiveSeries):
            self._connections[process].series.add(series)

    def _new_series(self, metric: _Metric, attributes: Attributes) -> Series:
        if len(metric.series) >= self._max_series:
            attributes = OVERFLOW
            if OVERFLOW in metric.series:
                return metric.series[OVERFLOW]
        made = metric.series[attributes] = new_series(metric.instrument, attributes)
        self._new_series_of.append((metric.instrument, attributes))
        return made

    def _drop(self, reason: str, what: str) -> None:
        """Count a row that cannot be added; say so once."""
        if what not in self._warned and len(self._warned) < MAX_METRICS:
            self._warned.add(what)
            _logger.warning("metrics: %s; what it records is dropped", what)
        self._add(dropped_row(reason), self)


def _metric(instrument: Instrument, points: list[Any]) -> Metric:
    cumulative = AggregationTemporality.CUMULATIVE
    data: Sum | Gauge | Histogram
    if instrument.kind == "histogram":
        data = Histogram(points, cumulative)
    elif instrument.kind == "gauge":
        data = Gauge(points)
    else:
        data = Sum(points, cumulative, instrument.kind == "counter")
    return Metric(instrument.name, instrument.description, instrument.unit, data)
