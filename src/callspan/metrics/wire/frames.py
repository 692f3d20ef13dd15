# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Frames: how batches of rows are written to a stream socket, and read back.

A frame is a header (three bytes of magic, one of version, four of length) and that many bytes of
JSON. A series is described when it is first used and has a number from then on, so a turn costs
some hundred bytes. Each call's process describes the same series again: a description is a text
of its own, parsed and checked once and then looked up.

Reading trusts nothing: what is too long is skipped, what does not parse is refused whole, and
each refusal has a reason to be counted under. Writing applies the same checks row by row, so that
one bad value does not cost the others their frame.
"""

from __future__ import annotations

import json
import logging
import math
import struct
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final, NoReturn, TypeVar

from ...diagnostics.log import LogOnce
from ...semconv import (
    REASON_GARBAGE,
    REASON_MALFORMED,
    REASON_OVERSIZED,
    REASON_TRUNCATED,
    REASON_VERSION,
)
from . import limits
from .rows import (
    Attributes,
    Batch,
    Distribution,
    Exemplar,
    Instrument,
    Opened,
    Row,
    Scope,
    attributes_of,
    is_own,
)

MAX_FRAME_BYTES: Final = 1 << 20
"""Longest payload that is written, and read."""

_Given = TypeVar("_Given", Row, Opened, str)
_Checked = TypeVar("_Checked")

_HEADER: Final = struct.Struct("!3sBI")
_MAGIC: Final = b"LKM"
_VERSION: Final = 1
_MAX_SERIES: Final = 1 << 16
"""Series of one process."""
_MAX_SERIES_OF_OTHERS: Final = _MAX_SERIES - (1 << 14)
"""The rest is for metrics of ours: a user's attributes do not end the count of calls."""
_MAX_DESCRIBED: Final = 1 << 25
"""Characters that describe the series of one process: what it can have its worker remember."""
_CACHED: Final = 1 << 12
_MAX_CACHED_TEXT: Final = 1 << 10
"""Longer descriptions are parsed each time: the caches outlive the processes that filled them."""


class Encoder:
    """Writes the batches of one process; it remembers which series it has described.

    Attributes:
        invalid: Rows and calls that could not be written; who counts them sets it back to 0.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[Instrument, Attributes], int] = {}
        self._log_once = LogOnce()
        self.invalid = 0

    def encode(self, batch: Batch) -> Iterator[bytes]:
        """Yield the frames of a batch: one, unless it is too long for one.

        Calls that are opened or closed are in the last frame, with the last rows.
        """
        rows = list(self._valid(self._row, batch.rows))
        opened = list(self._valid(self._opened, batch.opened))
        closed = list(self._valid(limits.text, batch.closed))
        yield from self._frames(rows, opened, closed)

    def _valid(
        self, checked: Callable[[_Given], _Checked], items: Iterable[_Given]
    ) -> Iterator[_Checked]:
        for item in items:
            try:
                yield checked(item)
            except (ValueError, TypeError) as error:
                self.invalid += 1
                # it will be missing everywhere
                name = repr(item.instrument.name)[:100] if isinstance(item, Row) else "a call"
                message = "metrics: a value of %s is left out: %s"
                self._log_once(name, logging.WARNING, message, name, error)

    def _frames(
        self, rows: list[list[Any]], opened: list[list[Any]], closed: list[str]
    ) -> Iterator[bytes]:
        payload = json.dumps([rows, opened, closed], separators=(",", ":")).encode()
        if len(payload) <= MAX_FRAME_BYTES:
            yield _HEADER.pack(_MAGIC, _VERSION, len(payload)) + payload
        elif rows:
            # the limits on text, attributes and bounds keep any one row below a frame
            middle = (len(rows) + 1) // 2
            yield from self._frames(rows[:middle], [], [])
            yield from self._frames(rows[middle:], opened, closed)
        else:
            self.invalid += len(opened) + len(closed)

    def _opened(self, call: Opened) -> list[Any]:
        limits.check_call(call)
        return [call.call_id, [self._row(row) for row in call.crash_rows]]

    def _row(self, row: Row) -> list[Any]:
        value = limits.value_of(row.instrument, row.value)
        exemplars = list(_valid_exemplars(row.exemplars))
        key = (row.instrument, row.attributes)
        number = self._series.get(key)
        if number is not None:
            return [number, row.start, row.time, value, exemplars]
        if len(self._series) >= (_MAX_SERIES if is_own(row.instrument) else _MAX_SERIES_OF_OTHERS):
            raise ValueError("this process has too many series; give its metrics fewer attributes")
        instrument, attributes = (
            _write_instrument(row.instrument),
            _write_attributes(row.attributes),
        )
        number = self._series[key] = len(self._series)
        return [number, row.start, row.time, value, exemplars, instrument, attributes]


def _valid_exemplars(exemplars: Iterable[Exemplar]) -> Iterator[Exemplar]:
    """Yield those that lead somewhere: a value counts with or without one."""
    for each in exemplars:
        try:
            yield limits.exemplar(*each)
        except (ValueError, TypeError):
            continue


class Decoder:
    """Reads what one process wrote, in pieces of any length."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip: float = 0
        self._described = 0
        self._series: dict[int, tuple[Instrument, Attributes]] = {}

    def feed(self, data: bytes) -> Iterator[Batch | str]:
        """Take in the next piece; yield each batch that is complete, or why one was refused."""
        self._buffer += data
        while True:
            skipped = int(min(len(self._buffer), self._skip))
            del self._buffer[:skipped]
            self._skip -= skipped
            if self._skip or len(self._buffer) < _HEADER.size:
                return
            magic, version, length = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + length
            if magic != _MAGIC:
                self._skip = math.inf
                yield REASON_GARBAGE
            elif version != _VERSION:
                self._skip = end
                yield REASON_VERSION
            elif length > MAX_FRAME_BYTES:
                self._skip = end
                yield REASON_OVERSIZED
            elif len(self._buffer) < end:
                return
            else:
                payload = bytes(self._buffer[_HEADER.size : end])
                del self._buffer[:end]
                try:
                    yield self._batch(payload)
                except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                    yield REASON_MALFORMED

    def close(self) -> str | None:
        """Return what is wrong with the stream ending here, or None if nothing is."""
        return REASON_TRUNCATED if self._buffer or 0 < self._skip < math.inf else None

    def _batch(self, payload: bytes) -> Batch:
        rows, opened, closed = _parse(payload)
        return Batch(
            tuple([self._row(*row) for row in rows]),
            tuple([self._opened(*call) for call in opened]),
            tuple([limits.text(call_id) for call_id in closed]),
        )

    def _opened(self, call_id: str, crash_rows: Any) -> Opened:
        call = Opened(call_id, tuple([self._row(*row) for row in crash_rows]))
        limits.check_call(call)
        return call

    def _row(
        self, number: int, start: int, time: int, value: Any, exemplars: Any, *described: Any
    ) -> Row:
        if described:
            instrument_text, attributes_text = described
            self._described += len(instrument_text) + len(attributes_text)
            if len(self._series) >= _MAX_SERIES or self._described > _MAX_DESCRIBED:
                raise ValueError("too many series")
            self._series[number] = (
                _read_instrument(instrument_text),
                _read_attributes(attributes_text),
            )
        instrument, attributes = self._series[number]
        if instrument.kind == "histogram":
            value = Distribution(*value)
        return Row(
            instrument,
            attributes,
            limits.time_of(start),
            limits.time_of(time),
            limits.value_of(instrument, value),
            tuple([limits.exemplar(*exemplar) for exemplar in exemplars]),
        )


@lru_cache(_CACHED)
def _write_instrument(instrument: Instrument) -> str:
    limits.check_instrument(instrument)
    return json.dumps(instrument, separators=(",", ":"))


@lru_cache(_CACHED)
def _write_attributes(attributes: Attributes) -> str:
    limits.check_attributes(attributes)
    return json.dumps(attributes, separators=(",", ":"))


def _read_instrument(text: str) -> Instrument:
    return (_cached_instrument if len(text) <= _MAX_CACHED_TEXT else _parse_instrument)(text)


def _parse_instrument(text: str) -> Instrument:
    name, kind, unit, description, bounds, scope = _parse(text)
    instrument = Instrument(name, kind, unit, description, tuple(bounds), Scope(*scope))
    limits.check_instrument(instrument)
    return instrument


def _read_attributes(text: str) -> Attributes:
    return (_cached_attributes if len(text) <= _MAX_CACHED_TEXT else _parse_attributes)(text)


def _parse_attributes(text: str) -> Attributes:
    attributes = attributes_of(dict(_parse(text)))
    limits.check_attributes(attributes)
    return attributes


_cached_instrument: Final = lru_cache(_CACHED)(_parse_instrument)
_cached_attributes: Final = lru_cache(_CACHED)(_parse_attributes)


def _parse(text: str | bytes) -> Any:
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
