# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a row may hold: checked when it is recorded, written, read and added.

One number that OTLP has no room for, or one name that no scrape can spell, would stop a worker's
push or scrape for as long as it lives. A ``ValueError`` of this module says what is wrong and what
to do about it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from .rows import KINDS, Attributes, Distribution, Exemplar, Instrument, Number, Opened

MAX_TEXT: Final = 1024
MAX_ATTRIBUTES: Final = 64
MAX_BOUNDS: Final = 512
MAX_CRASH_ROWS: Final = 16
"""Rows that a call may have added if it is lost; ours have three."""

_INT64: Final = range(-(1 << 63), 1 << 63)
"""The whole numbers that an OTLP point can be."""
_TIMES: Final = range(1 << 64)
_COUNTS: Final = range(1 << 40)
"""Of one bucket in one row: no worker ever sees as many rows as would overflow a sum of these."""
_NAME: Final = re.compile(r"[A-Za-z][-_./A-Za-z0-9]{0,254}")


def number(value: Any) -> Number:
    """Return a number as every encoder takes it; a whole one that is too large, as a float.

    Raises:
        ValueError: If it is none, not finite, or larger than any float.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"a {type(value).__name__} is no value; record an int or a float")
    if isinstance(value, int) and value in _INT64:
        return int(value)
    try:
        plain = float(value)
    except OverflowError:
        plain = math.inf
    if not math.isfinite(plain):
        raise ValueError("the value is not finite; record a number below 1e308")
    return plain


def total(values: Sequence[Number]) -> Number:
    """Return a sum as every encoder takes it.

    Raises:
        ValueError: If it is larger than any float.
    """
    return number(sum(values))


def value_of(instrument: Instrument, value: Any) -> Number | Distribution:
    """Return what a row of an instrument holds, as every encoder takes it.

    Raises:
        ValueError: If it is no value of such an instrument.
    """
    if instrument.kind != "histogram":
        plain = number(value)
        if plain < 0 and instrument.kind == "counter":
            raise ValueError(f"{plain} is below 0; a counter only grows")
        return plain
    counts = tuple(value.counts)
    if len(counts) != len(instrument.bounds) + 1:
        raise ValueError(f"{len(counts)} buckets for {len(instrument.bounds)} bounds")
    for count in counts:
        _check_in(_COUNTS, count)
    return Distribution(number(value.sum), counts)


def exemplar(trace_id: Any, span_id: Any, value: Any, time: Any) -> Exemplar:
    """Return an exemplar as every encoder takes it.

    Raises:
        ValueError: If it leads to no span.
    """
    _check_in(range(1, 1 << 128), trace_id)
    _check_in(range(1, 1 << 64), span_id)
    return Exemplar(trace_id, span_id, number(value), time_of(time))


def time_of(value: Any) -> int:
    """Return an instant, Unix nanoseconds.

    Raises:
        ValueError: If it is none.
    """
    _check_in(_TIMES, value)
    return int(value)


def text(value: Any) -> str:
    """Return a text that is short enough, and can be spelled on a scrape.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"not a text of at most {MAX_TEXT} characters; shorten it")
    value.encode()  # a lone surrogate has no place on a scrape
    return value


def check_instrument(instrument: Instrument) -> None:
    """Check all that describes a metric.

    Raises:
        ValueError: If something of it cannot be spelled, or its bounds do not rise.
    """
    name, bounds = text(instrument.name), instrument.bounds
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name of a metric; begin it with a letter from a to z and go on with "
            "letters, digits, _ . - and /"
        )
    if instrument.kind not in KINDS or len(bounds) > MAX_BOUNDS:
        raise ValueError(f"not a metric of a known kind with at most {MAX_BOUNDS} bounds")
    for part in (instrument.unit, instrument.description, *instrument.scope):
        text(part)
    for bound in bounds:
        number(bound)
    if any(low >= high for low, high in pairwise(bounds)):
        raise ValueError("the bounds do not rise")


def check_attributes(attributes: Attributes) -> None:
    """Check what identifies a series.

    Raises:
        ValueError: If it cannot be spelled, or is too long.
    """
    if len(attributes) > MAX_ATTRIBUTES:
        raise ValueError(f"{len(attributes)} attributes; record at most {MAX_ATTRIBUTES}")
    for key, value in attributes:
        if not text(key):
            raise ValueError("the name of an attribute is empty")
        if isinstance(value, str):
            text(value)
        elif isinstance(value, int) and value not in _INT64:
            raise ValueError(f"the attribute {key!r} is too large a number; record a text")
        elif not isinstance(value, bool):
            number(value)


def check_call(call: Opened) -> None:
    """Check a call that opens.

    Raises:
        ValueError: If its id is no text, or its rows are not a few of counters.
    """
    text(call.call_id)
    rows = call.crash_rows
    if len(rows) > MAX_CRASH_ROWS or any(row.instrument.kind != "counter" for row in rows):
        raise ValueError(f"more than {MAX_CRASH_ROWS} rows, or not all of counters")


def _check_in(allowed: range, value: Any) -> None:
    if type(value) is not int or value not in allowed:
        raise ValueError(f"not a whole number from {allowed.start} to {allowed.stop - 1:.3g}")
