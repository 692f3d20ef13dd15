# Copyright The Callspan Authors
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

from ... import semconv
from ...diagnostics.log import LogOnce
from ...semconv import (
    REASON_CONFLICT,
    REASON_INVALID,
    REASON_TOO_MANY,
    REASON_TOO_MANY_CALLS,
)
from ..wire import limits
from ..wire.rows import (
    Attributes,
    Batch,
    Instrument,
    Opened,
    Row,
    Scope,
    dropped_row,
    instrument_of,
    is_own,
)
from .series import LiveSeries, Process, Series, new_series

MAX_SERIES: Final = 2000
"""Series of one metric before the rest share one; OpenTelemetry's default."""
MAX_SERIES_OF_OWN: Final = 20_000
"""The same for a metric of ours, whose labels the program has declared: a thousand tools fit."""
MAX_METRICS: Final = 1000
"""Metrics of others; ours are known from the start, and their names are taken."""
MAX_SAMPLES: Final = 200_000
"""Lines of a scrape that are others', before the rest of each metric share one series: 20 MB."""
MAX_OPEN_CALLS: Final = 1000
"""Calls that one process may have open."""

OVERFLOW: Final[Attributes] = (("otel.metric.overflow", True),)


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
        max_series: Series of one metric of others; further ones are added up in one with the
            attribute ``otel.metric.overflow``. Default: 2000.
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
        # a metric of ours is what we say it is, whoever else takes its name
        self._metrics = {metric.name: _Metric(instrument_of(metric)) for metric in semconv.METRICS}
        self._metrics_of_others = self._samples_of_others = 0
        self._connections: defaultdict[Process, _Connection] = defaultdict(_Connection)
        self._log_once = LogOnce()

    def apply(self, batch: Batch, process: Process) -> None:
        """Add what a process recorded."""
        with self._lock:
            for row in batch.rows:
                self._add(row, process)
            for call in batch.opened:
                self._open(call, self._connections[process].calls)
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
            for crash_rows in connection.calls.values():
                for row in crash_rows:
                    self._add(row, process)

    def add(self, row: Row) -> None:
        """Add what the worker itself has to say."""
        with self._lock:
            self._add(row, self)

    def read(self) -> list[ScopeMetrics]:
        """Return a copy of all series, cumulative, in the SDK's data model."""
        now = time.time_ns()
        scopes: defaultdict[Scope, list[Metric]] = defaultdict(list)
        unreadable = []
        with self._lock:
            for metric in self._metrics.values():
                try:
                    points = [series.read(now) for series in metric.series.values()]
                except Exception as error:  # noqa: BLE001  one metric is not worth all of them
                    unreadable.append(f"{metric.instrument.name} cannot be read: {error!r}")
                    continue
                present = [point for point in points if point is not None]
                if present:
                    scopes[metric.instrument.scope].append(_metric(metric.instrument, present))
            for what in unreadable:
                self._drop(REASON_INVALID, what)
        return [
            ScopeMetrics(
                InstrumentationScope(scope.name, scope.version, scope.schema_url),
                metrics,
                scope.schema_url,
            )
            for scope, metrics in scopes.items()
        ]

    def leave_out(self, name: str, error: Exception) -> None:
        """Count a metric that could not be exposed, and name it once."""
        with self._lock:
            self._drop(REASON_INVALID, f"{name} cannot be exposed: {error!r}")

    def _open(self, call: Opened, calls: dict[str, tuple[Row, ...]]) -> None:
        if call.call_id in calls or len(calls) < MAX_OPEN_CALLS:
            calls[call.call_id] = call.crash_rows
        else:
            self._drop(REASON_TOO_MANY_CALLS, f"{MAX_OPEN_CALLS} calls are open in one process")

    def _add(self, row: Row, process: Process) -> None:
        try:
            self._merge(row, process)
        except Exception as error:  # noqa: BLE001  one row is not worth its frame, and its close
            self._drop(REASON_INVALID, f"{row.instrument.name}: {error}")

    def _merge(self, row: Row, process: Process) -> None:
        instrument = row.instrument
        metric = self._metrics.get(instrument.name)
        if metric is None:
            limits.check_instrument(instrument)
            if not is_own(instrument):
                if self._metrics_of_others >= MAX_METRICS:
                    self._drop(REASON_TOO_MANY, f"{instrument.name} is one metric too many")
                    return
                self._metrics_of_others += 1
            metric = self._metrics[instrument.name] = _Metric(instrument)
        known = metric.instrument
        if instrument.kind != known.kind or instrument.unit != known.unit:
            self._drop(
                REASON_CONFLICT,
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
        if not self._has_room(metric, attributes):
            attributes = OVERFLOW
            if OVERFLOW in metric.series:
                return metric.series[OVERFLOW]
        made = metric.series[attributes] = new_series(metric.instrument, attributes)
        self._new_series_of.append((metric.instrument, attributes))
        return made

    def _has_room(self, metric: _Metric, attributes: Attributes) -> bool:
        """Tell whether a series fits; one of others takes room for each line it is on a scrape."""
        if is_own(metric.instrument):
            return len(metric.series) < MAX_SERIES_OF_OWN
        samples = 1 + len(metric.instrument.bounds)
        # a long line counts as several
        samples *= 1 + sum(len(key) + len(str(value)) for key, value in attributes) // 256
        if (
            len(metric.series) >= self._max_series
            or self._samples_of_others + samples > MAX_SAMPLES
        ):
            return False
        self._samples_of_others += samples
        return True

    def _drop(self, reason: str, what: str) -> None:
        """Count what cannot be added; the first of each reason and metric is named."""
        message = "metrics: %s; it is left out, and counted as %s"
        self._log_once((reason, what.split(" ", 1)[0]), logging.WARNING, message, what, reason)
        self._merge(dropped_row(reason), self)


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
