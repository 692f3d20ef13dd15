# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What travels from a job process to its worker, as plain values.

Deltas, so that the worker only ever adds; everything that identifies a series is in the row, so
that rows can be added in any order.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal, NamedTuple, cast

from ... import semconv
from ...version import __version__

Number = int | float
AttributeValue = str | bool | int | float
Attributes = tuple[tuple[str, AttributeValue], ...]
"""Sorted by key; part of a series' identity."""

Kind = Literal["counter", "updowncounter", "gauge", "histogram"]
KINDS: Final = frozenset({"counter", "updowncounter", "gauge", "histogram"})


class Scope(NamedTuple):
    """Who recorded: an instrumentation scope."""

    name: str
    version: str = ""
    schema_url: str = ""


class Instrument(NamedTuple):
    """One metric, as its recorder described it.

    Attributes:
        name: The OpenTelemetry name, e.g. ``agent.turn.latency``.
        kind: A ``counter`` only ever grows; an ``updowncounter`` is what the live processes
            stand at; a ``gauge`` is the newest value among live processes; a ``histogram`` has
            explicit bounds.
        unit: UCUM, e.g. ``s`` or ``{call}``.
        description: One sentence.
        bounds: Upper bounds of a histogram's buckets but the last; empty for other kinds.
        scope: Who recorded it.
    """

    name: str
    kind: Kind
    unit: str = ""
    description: str = ""
    bounds: tuple[float, ...] = ()
    scope: Scope = Scope("")


class Distribution(NamedTuple):
    """What a histogram took in: the sum of the values, and how many fell into each bucket."""

    sum: Number
    counts: tuple[int, ...]


class Exemplar(NamedTuple):
    """The span during which a value was recorded; nothing else of it is kept.

    Attributes:
        trace_id: As in the span context.
        span_id: As in the span context.
        value: What was recorded.
        time: When, Unix nanoseconds.
    """

    trace_id: int
    span_id: int
    value: Number
    time: int


class Row(NamedTuple):
    """What one series took in during an interval.

    Attributes:
        instrument: The metric.
        attributes: Which of its series.
        start: Begin of the interval, Unix nanoseconds; 0 for a gauge.
        time: End of the interval, Unix nanoseconds.
        value: The increment; for a gauge, the value; for a histogram, a Distribution.
        exemplars: At most one for each bucket.
    """

    instrument: Instrument
    attributes: Attributes
    start: int
    time: int
    value: Number | Distribution
    exemplars: tuple[Exemplar, ...] = ()


class Opened(NamedTuple):
    """A call that began.

    Attributes:
        call_id: Tells the calls of one process apart; never leaves the worker.
        crash_rows: What is added, once, should the process end before the call is closed; rows of
            counters.
    """

    call_id: str
    crash_rows: tuple[Row, ...]


class Batch(NamedTuple):
    """What one frame says; applied as a whole or not at all.

    Attributes:
        rows: What was recorded.
        opened: Calls that began.
        closed: Ids of calls that ended in good order; their numbers are among the rows.
    """

    rows: tuple[Row, ...]
    opened: tuple[Opened, ...] = ()
    closed: tuple[str, ...] = ()


def is_own(instrument: Instrument) -> bool:
    """Tell a metric of ours from others', whose number nobody has declared."""
    return instrument.scope.name == semconv.SCOPE_NAME


def attributes_of(mapping: Mapping[str, AttributeValue] | Mapping[str, str] | None) -> Attributes:
    """Return a mapping as it identifies a series."""
    return tuple(sorted(mapping.items())) if mapping else ()


@lru_cache(maxsize=256)
def instrument_of(metric: semconv.Metric) -> Instrument:
    """Return a metric of ours as it travels."""
    scope = Scope(semconv.SCOPE_NAME, __version__, semconv.SCHEMA_URL)
    kind = cast("Kind", metric.kind)
    return Instrument(metric.name, kind, metric.unit, metric.description, metric.bounds, scope)


def own_row(metric: semconv.Metric, labels: Mapping[str, str], value: Number = 1) -> Row:
    """Return a row of a counter or gauge of ours that is no measurement of a call's.

    Args:
        metric: The metric.
        labels: Its labels.
        value: What is added, or stands; a counter's 0 makes the series known, so that its first
            increase is seen.
    """
    now = time.time_ns()
    return Row(instrument_of(metric), attributes_of(labels), now, now, value)


def dropped_row(reason: str, count: int = 1) -> Row:
    """Return a row that counts rows or frames that were lost or refused."""
    labels = {semconv.L_SIGNAL: semconv.SIGNAL_METRICS, semconv.L_REASON: reason}
    return own_row(semconv.M_TELEMETRY_DROPPED, labels, count)


def delivery_rows(destination: str, *, delivered: bool) -> list[Row]:
    """Return how a delivery to a destination went, for the gauges of destinations."""
    labels = {semconv.L_DESTINATION: destination}
    rows = [own_row(semconv.M_TELEMETRY_UP, labels, int(delivered))]
    if delivered:
        rows.append(own_row(semconv.M_TELEMETRY_EXPORT_AGE, labels, 0))
    return rows
