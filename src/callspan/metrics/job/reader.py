# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A metric reader of the SDK that gives what was recorded since last time as rows.

It is passive: it has no thread and no exporter, whoever owns it takes the rows.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
    _Gauge,
)
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogramDataPoint,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricReader,
    MetricsData,
    NumberDataPoint,
    ScopeMetrics,
    Sum,
)

from ...diagnostics.guard import contained
from ..wire.rows import (
    Attributes,
    AttributeValue,
    Distribution,
    Exemplar,
    Instrument,
    Kind,
    Number,
    Row,
    Scope,
    attributes_of,
)
from .repair import FittingBounds, explicit_counts, fitting_bounds, is_per_call, unit_of

_DELTA: Final[dict[type, AggregationTemporality]] = dict.fromkeys(
    (
        Counter,
        Histogram,
        ObservableCounter,
        ObservableGauge,
        ObservableUpDownCounter,
        UpDownCounter,
        _Gauge,
    ),
    AggregationTemporality.DELTA,
)
_MAX_DESCRIPTION: Final = 1024

_Point = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint


class RowReader(MetricReader):
    """Reads deltas as rows.

    Args:
        repair: Whether the instruments are other people's: bounds are fitted, units filled in,
            and attributes that tell calls apart are dropped. Default: they are our own and are
            taken as they are.
    """

    def __init__(self, *, repair: bool = False) -> None:
        super().__init__(
            preferred_temporality=_DELTA,
            preferred_aggregation={Histogram: FittingBounds()} if repair else None,
        )
        self._repair = repair
        self._lock = threading.Lock()
        self._rows: list[Row] = []

    def drain(self) -> list[Row]:
        """Collect, and return what was recorded since the last time."""
        self.collect()
        with self._lock:
            rows, self._rows = self._rows, []
        return rows

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Do nothing: rows are taken for as long as their owner wants them."""

    @contained("reading the metrics of others")
    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> None:
        # also called when somebody else flushes the provider: those deltas wait here
        rows = [
            row
            for resource_metrics in metrics_data.resource_metrics
            for scope_metrics in resource_metrics.scope_metrics
            for metric in scope_metrics.metrics
            for row in self._rows_of(scope_metrics, metric)
        ]
        with self._lock:
            self._rows += rows

    def _rows_of(self, scope_metrics: ScopeMetrics, metric: Metric) -> Iterator[Row]:
        given = scope_metrics.scope
        scope = Scope(given.name, given.version or "", given.schema_url or "")
        unit = metric.unit or ""
        if self._repair:
            unit = unit_of(metric.name, unit)
        kind = _kind(metric)
        for point in metric.data.data_points:
            bounds: tuple[float, ...] = ()
            if isinstance(point, HistogramDataPoint):
                bounds = tuple(point.explicit_bounds)
            elif isinstance(point, ExponentialHistogramDataPoint):
                bounds = fitting_bounds(unit)
            yield Row(
                Instrument(
                    metric.name,
                    kind,
                    unit,
                    (metric.description or "")[:_MAX_DESCRIPTION],
                    bounds,
                    scope,
                ),
                self._attributes(point.attributes),
                point.start_time_unix_nano or 0,
                point.time_unix_nano,
                _value(point, bounds),
                _exemplars(point),
            )

    def _attributes(self, given: Mapping[str, Any] | None) -> Attributes:
        kept: dict[str, AttributeValue] = {}
        for key, value in (given or {}).items():
            if not (self._repair and is_per_call(key)):
                kept[key] = value if _is_scalar(value) else str(value)
        return attributes_of(kept)


def _is_scalar(value: Any) -> bool:
    """Tell what OTLP has room for in an attribute, as itself."""
    if isinstance(value, int) and not isinstance(value, bool):
        return -(1 << 63) <= value < 1 << 63
    return isinstance(value, str | bool) or (isinstance(value, float) and math.isfinite(value))


def _kind(metric: Metric) -> Kind:
    if isinstance(metric.data, Sum):
        return "counter" if metric.data.is_monotonic else "updowncounter"
    return "gauge" if isinstance(metric.data, Gauge) else "histogram"


def _value(point: _Point, bounds: tuple[float, ...]) -> Number | Distribution:
    if isinstance(point, NumberDataPoint):
        return _plain(point.value)
    if isinstance(point, HistogramDataPoint):
        return Distribution(_plain(point.sum), tuple(point.bucket_counts))
    return Distribution(_plain(point.sum), explicit_counts(point, bounds))


def _plain(value: Number) -> Number:
    """Return a number of Python's own: a numpy float is a float, but not to every encoder."""
    return int(value) if isinstance(value, int) else float(value)


def _exemplars(point: _Point) -> tuple[Exemplar, ...]:
    return tuple(
        [
            Exemplar(one.trace_id, one.span_id, _plain(one.value), one.time_unix_nano)
            for one in point.exemplars
            if one.trace_id and one.span_id
        ]
    )
