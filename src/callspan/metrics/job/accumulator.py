# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What is recorded on metrics of ours between two frames, held as the rows it becomes.

The SDK's instruments would do, at some 30 µs a measurement and with every series kept for good.
A turn has about 25 measurements, taken on the loop's thread; deltas that leave the process twice
a second need no more than a dictionary.
"""

from __future__ import annotations

import logging
import threading
import time
from bisect import bisect_left

from opentelemetry.trace import SpanContext

from ...diagnostics.log import LogOnce
from ...semconv import M_TELEMETRY_DROPPED, REASON_INVALID, SIGNAL_METRICS, Metric
from ..wire import limits
from ..wire.rows import (
    Distribution,
    Exemplar,
    Instrument,
    Number,
    Row,
    attributes_of,
    instrument_of,
)


class _Series:
    """What one series took in; only a histogram's has more than one bucket."""

    __slots__ = ("counts", "exemplars", "instrument", "sum", "time")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.sum: Number = 0
        self.counts = [0] * (len(instrument.bounds) + 1)
        self.exemplars: dict[int, Exemplar] = {}
        self.time: int | None = None

    def value(self) -> Number | Distribution:
        if self.instrument.kind == "histogram":
            return Distribution(self.sum, tuple(self.counts))
        return self.sum


class DeltaAccumulator:
    """Adds measurements up until they are taken; any thread may record."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[tuple[str, tuple[str, ...], tuple[str, ...]], _Series] = {}
        self._since = time.time_ns()
        self._log_once = LogOnce()

    def record(
        self,
        metric: Metric,
        value: Number,
        labels: tuple[str, ...],
        span: SpanContext | None = None,
    ) -> None:
        """Take one measurement in.

        Args:
            metric: Of any kind.
            value: What is added, or in a histogram recorded, or what a gauge stands at; 0 makes
                a counter's series known.
            labels: Values of the metric's labels, in their order.
            span: Where the exemplar leads; none without a sampled one. Default: nowhere.
        """
        try:
            value = limits.number(value)
        except ValueError as error:
            self._refuse(metric, error)
            return
        key = (metric.name, metric.labels, labels)
        with self._lock:
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = _Series(instrument_of(metric))
            if metric.kind == "gauge":
                series.sum, series.time = value, time.time_ns()
                return
            series.sum += value
            bucket = bisect_left(metric.bounds, value)
            series.counts[bucket] += 1
            if span is not None and span.trace_flags.sampled and span.is_valid:
                series.exemplars[bucket] = Exemplar(
                    span.trace_id, span.span_id, value, time.time_ns()
                )

    def _refuse(self, metric: Metric, error: ValueError) -> None:
        """Count a value that would spoil the others of its series; name it once."""
        self.record(M_TELEMETRY_DROPPED, 1, (SIGNAL_METRICS, REASON_INVALID))
        message = "metrics: a value of %s is left out: %s"
        self._log_once(metric.name, logging.WARNING, message, metric.name, error)

    def drain(self) -> list[Row]:
        """Return what was recorded since the last time, and start over."""
        now = time.time_ns()
        with self._lock:
            taken, self._series = self._series, {}
            since, self._since = self._since, now
        return [
            Row(
                series.instrument,
                attributes_of(dict(zip(keys, labels, strict=True))),
                since,
                series.time or now,
                series.value(),
                tuple(series.exemplars.values()),
            )
            for (_, keys, labels), series in taken.items()
        ]
