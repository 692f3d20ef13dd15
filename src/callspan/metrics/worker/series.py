# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""One series of the worker's state: how each kind of metric is added up over processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from typing import Any, Final

from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import HistogramDataPoint, NumberDataPoint

from ... import semconv
from ..wire import limits
from ..wire.rows import Attributes, Distribution, Exemplar, Instrument, Kind, Number, Row

Point = NumberDataPoint | HistogramDataPoint
Process = object
"""A process, by identity."""

# A gauge has no start, as in the SDK. The least and the greatest value over a worker's whole life
# say nothing, so a histogram has neither. Absent on the wire, whatever the SDK's types say.
_ABSENT: Final[Any] = None


class Series(ABC):
    """What the state needs of a series; methods are called under the state's lock."""

    def __init__(self, instrument: Instrument, attributes: Attributes) -> None:
        self._attributes = dict(attributes)
        self._start = 0

    def add(self, row: Row, process: Process) -> None:
        """Take in what a process recorded.

        Raises:
            ValueError: If the sum would be none; it stays as it was.
        """
        self._start = self._start or row.start
        self._take(row, process)

    @abstractmethod
    def read(self, time: int) -> Point | None:
        """Return the cumulative point, or None where no live process has a value."""

    @abstractmethod
    def _take(self, row: Row, process: Process) -> None:
        """Add the value of a row."""


class LiveSeries(Series):
    """A series that says how things stand: in it, a process counts only as long as it lives."""

    def __init__(self, instrument: Instrument, attributes: Attributes) -> None:
        super().__init__(instrument, attributes)
        self._standing: dict[Process, tuple[int, Number]] = {}
        """By process: when it was last heard of, and its value."""

    def leave(self, process: Process) -> None:
        """Let go of a process."""
        self._standing.pop(process, None)


class _Counter(Series):
    """What all processes ever added."""

    _value: Number = 0
    _exemplar: Exemplar | None = None

    def _take(self, row: Row, process: Process) -> None:
        assert not isinstance(row.value, Distribution)
        self._value = limits.total((self._value, row.value))
        for exemplar in row.exemplars:
            self._exemplar = _newer(exemplar, self._exemplar)

    def read(self, time: int) -> Point:
        exemplars = [] if self._exemplar is None else [_sdk_exemplar(self._exemplar)]
        return NumberDataPoint(self._attributes, self._start, time, self._value, exemplars)


class _UpDownCounter(LiveSeries):
    """What the live processes stand at, together."""

    def _take(self, row: Row, process: Process) -> None:
        assert not isinstance(row.value, Distribution)
        _, before = self._standing.get(process, (0, 0))
        self._standing[process] = (row.time, limits.total((before, row.value)))

    def read(self, time: int) -> Point:
        total = limits.total([value for _, value in self._standing.values()])
        return NumberDataPoint(self._attributes, self._start, time, total)


class _Gauge(LiveSeries):
    """The newest value among live processes; gone with the last of them."""

    def _take(self, row: Row, process: Process) -> None:
        assert not isinstance(row.value, Distribution)
        self._standing[process] = (row.time, row.value)

    def read(self, time: int) -> Point | None:
        if not self._standing:
            return None
        # of two values of one instant the greater, so that their order does not matter
        _, newest = max(self._standing.values())
        return NumberDataPoint(self._attributes, _ABSENT, time, newest)


class _LastValue(Series):
    """The newest value, whoever said it; it outlives its process, as what it speaks of does."""

    _newest: tuple[int, Number] = (0, 0)

    def _take(self, row: Row, process: Process) -> None:
        assert not isinstance(row.value, Distribution)
        self._newest = max(self._newest, (row.time, row.value))

    def read(self, time: int) -> Point:
        return NumberDataPoint(self._attributes, _ABSENT, time, self._newest[1])


class _Age(_LastValue):
    """Seconds since the newest value."""

    def read(self, time: int) -> Point:
        age_s = max(time - self._newest[0], 0) / 1e9
        return NumberDataPoint(self._attributes, _ABSENT, time, age_s)


class _Histogram(Series):
    """What all processes ever recorded, in the bounds of the metric."""

    def __init__(self, instrument: Instrument, attributes: Attributes) -> None:
        super().__init__(instrument, attributes)
        self._bounds = instrument.bounds
        self._sum: Number = 0
        self._counts = [0] * (len(instrument.bounds) + 1)
        self._exemplars: dict[int, Exemplar] = {}

    def _take(self, row: Row, process: Process) -> None:
        assert isinstance(row.value, Distribution)
        self._sum = limits.total((self._sum, row.value.sum))
        if row.instrument.bounds == self._bounds:
            for index, count in enumerate(row.value.counts):
                self._counts[index] += count
        else:
            self._rebin(row.instrument.bounds, row.value.counts)
        for exemplar in row.exemplars:
            index = bisect_left(self._bounds, exemplar.value)
            self._exemplars[index] = _newer(exemplar, self._exemplars.get(index))

    def _rebin(self, bounds: tuple[float, ...], counts: tuple[int, ...]) -> None:
        """Add counts in other bounds: exact at every bound that both have, never too good."""
        for edge, count in zip((*bounds, float("inf")), counts, strict=True):
            self._counts[bisect_left(self._bounds, edge)] += count

    def read(self, time: int) -> Point:
        return HistogramDataPoint(
            attributes=self._attributes,
            start_time_unix_nano=self._start,
            time_unix_nano=time,
            count=sum(self._counts),
            sum=self._sum,
            bucket_counts=tuple(self._counts),
            explicit_bounds=self._bounds,
            min=_ABSENT,
            max=_ABSENT,
            exemplars=[_sdk_exemplar(exemplar) for _, exemplar in sorted(self._exemplars.items())],
        )


_KINDS: Final[dict[Kind, type[Series]]] = {
    "counter": _Counter,
    "updowncounter": _UpDownCounter,
    "gauge": _Gauge,
    "histogram": _Histogram,
}
_OF_DESTINATIONS: Final[dict[str, type[Series]]] = {
    semconv.M_TELEMETRY_UP.name: _LastValue,
    semconv.M_TELEMETRY_EXPORT_AGE.name: _Age,
}
"""Gauges of what lives longer than the process that speaks of it."""


def new_series(instrument: Instrument, attributes: Attributes) -> Series:
    """Return an empty series of a metric."""
    made = _KINDS[instrument.kind]
    if instrument.kind == "gauge":
        made = _OF_DESTINATIONS.get(instrument.name, made)
    return made(instrument, attributes)


def _newer(one: Exemplar, other: Exemplar | None) -> Exemplar:
    # all fields compared, so that of two at one instant the order does not matter
    return one if other is None or (one.time, one) > (other.time, other) else other


def _sdk_exemplar(exemplar: Exemplar) -> SdkExemplar:
    return SdkExemplar(
        filtered_attributes={},
        value=exemplar.value,
        time_unix_nano=exemplar.time,
        span_id=exemplar.span_id,
        trace_id=exemplar.trace_id,
    )
