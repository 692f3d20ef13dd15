# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Delta temporality for exporters that prefer it: what was added since their last export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from opentelemetry.sdk.metrics import Counter
from opentelemetry.sdk.metrics import Histogram as HistogramInstrument
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ScopeMetrics,
    Sum,
)

from ..wire.rows import Attributes, attributes_of
from .series import Point

_DELTA: Final = AggregationTemporality.DELTA


class Deltas:
    """Turns cumulative points into deltas, where that is preferred; one for each exporter.

    Args:
        preferred: The temporality that the exporter prefers, by class of instrument.
    """

    def __init__(self, preferred: Mapping[type, AggregationTemporality]) -> None:
        self._sums = preferred.get(Counter) is _DELTA
        self._histograms = preferred.get(HistogramInstrument) is _DELTA
        self._last: dict[tuple[str, Attributes], Point] = {}

    def convert(self, scopes: list[ScopeMetrics]) -> list[ScopeMetrics]:
        """Return the state as the exporter wants it; changes what "since" means."""
        if not (self._sums or self._histograms):
            return scopes
        converted = []
        for scope in scopes:
            metrics = [self._metric(metric) for metric in scope.metrics]
            if changed := [metric for metric in metrics if metric.data.data_points]:
                converted.append(replace(scope, metrics=changed))
        return converted

    def _metric(self, metric: Metric) -> Metric:
        data = metric.data
        if (isinstance(data, Sum) and data.is_monotonic and self._sums) or (
            isinstance(data, Histogram) and self._histograms
        ):
            points: Any = list(self._since_last(metric.name, data.data_points))
            return replace(
                metric, data=replace(data, data_points=points, aggregation_temporality=_DELTA)
            )
        return metric

    def _since_last(self, name: str, points: Iterable[Point]) -> Iterator[Point]:
        for point in points:
            attributes: Any = point.attributes
            key = (name, attributes_of(attributes))
            last = self._last.get(key)
            self._last[key] = point
            if last is None:
                yield point
            elif _size(point) == _size(last):
                continue
            elif isinstance(point, HistogramDataPoint) and isinstance(last, HistogramDataPoint):
                counts = zip(point.bucket_counts, last.bucket_counts, strict=True)
                yield replace(
                    point,
                    start_time_unix_nano=last.time_unix_nano,
                    count=point.count - last.count,
                    sum=point.sum - last.sum,
                    bucket_counts=[now - before for now, before in counts],
                    exemplars=_newer(point, last),
                )
            elif isinstance(point, NumberDataPoint) and isinstance(last, NumberDataPoint):
                yield replace(
                    point,
                    start_time_unix_nano=last.time_unix_nano,
                    value=point.value - last.value,
                    exemplars=_newer(point, last),
                )


def _size(point: Point) -> float:
    return point.count if isinstance(point, HistogramDataPoint) else point.value


def _newer(point: Point, last: Point) -> list[Any]:
    return [one for one in point.exemplars if one.time_unix_nano > last.time_unix_nano]
