# Copyright The opentelemetry-instrumentation-livekit-agents Authors
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
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, NoReturn, TypeVar

from .rows import (
    KINDS,
    Attributes,
    Batch,
    Distribution,
    Exemplar,
    Instrument,
    Number,
    Opened,
    Row,
    Scope,
    attributes_of,
)

MAX_FRAME_BYTES: Final = 1 << 20
"""Longest payload that is written, and read."""

REASON_GARBAGE: Final = "garbage"
"""No frame begins here; nothing after it can be told apart either."""
REASON_OVERSIZED: Final = "oversized"
REASON_VERSION: Final = "version"
"""Written by another version of this package, installed while the worker ran."""
REASON_MALFORMED: Final = "malformed"
REASON_TRUNCATED: Final = "truncated"
"""The process ended within a frame."""
REASON_INVALID: Final = "invalid"
"""A row that no frame can carry: not a finite number, or too many or too long attributes."""

_Given = TypeVar("_Given")
_Checked = TypeVar("_Checked")

_HEADER: Final = struct.Struct("!3sBI")
_MAGIC: Final = b"LKM"
_VERSION: Final = 1
_MAX_TEXT: Final = 1024
_MAX_ATTRIBUTES: Final = 64
_MAX_BOUNDS: Final = 512
_MAX_SERIES: Final = 1 << 16
_CACHED: Final = 1 << 13


class Encoder:
    """Writes the batches of one process; it remembers which series it has described.

    Attributes:
        invalid: Rows and calls that could not be written; who counts them sets it back to 0.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[Instrument, Attributes], int] = {}
        self.invalid = 0

    def encode(self, batch: Batch) -> Iterator[bytes]:
        """Yield the frames of a batch: one, unless it is too long for one.

        Calls that are opened or closed are in the last frame, with the last rows.
        """
        rows = list(self._valid(self._row, batch.rows))
        opened = list(self._valid(self._opened, batch.opened))
        closed = list(self._valid(_text, batch.closed))
        yield from self._frames(rows, opened, closed)

    def _valid(
        self, checked: Callable[[_Given], _Checked], items: Iterable[_Given]
    ) -> Iterator[_Checked]:
        for item in items:
            try:
                yield checked(item)
            except (ValueError, TypeError):
                self.invalid += 1

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
        _check_call(call)
        return [call.call_id, [self._row(row) for row in call.if_lost]]

    def _row(self, row: Row) -> list[Any]:
        _check_value(row.instrument, row.value)
        for exemplar in row.exemplars:
            _exemplar(*exemplar)
        key = (row.instrument, row.attributes)
        number = self._series.get(key)
        if number is not None:
            return [number, row.start, row.time, row.value, row.exemplars]
        if len(self._series) >= _MAX_SERIES:
            raise ValueError
        instrument, attributes = (
            _write_instrument(row.instrument),
            _write_attributes(row.attributes),
        )
        number = self._series[key] = len(self._series)
        return [number, row.start, row.time, row.value, row.exemplars, instrument, attributes]


class Decoder:
    """Reads what one process wrote, in pieces of any length."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip: float = 0
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
            tuple([_text(call_id) for call_id in closed]),
        )

    def _opened(self, call_id: str, if_lost: Any) -> Opened:
        call = Opened(call_id, tuple([self._row(*row) for row in if_lost]))
        _check_call(call)
        return call

    def _row(
        self, number: int, start: int, time: int, value: Any, exemplars: Any, *described: Any
    ) -> Row:
        if described:
            instrument_text, attributes_text = described
            if len(self._series) >= _MAX_SERIES:
                raise ValueError
            self._series[number] = (
                _read_instrument(instrument_text),
                _read_attributes(attributes_text),
            )
        instrument, attributes = self._series[number]
        if instrument.kind == "histogram":
            total, counts = value
            value = Distribution(total, tuple(counts))
        _check_value(instrument, value)
        return Row(
            instrument,
            attributes,
            _count(start),
            _count(time),
            value,
            tuple([_exemplar(*exemplar) for exemplar in exemplars]),
        )


@lru_cache(_CACHED)
def _write_instrument(instrument: Instrument) -> str:
    _check_instrument(instrument)
    return json.dumps(instrument, separators=(",", ":"))


@lru_cache(_CACHED)
def _read_instrument(text: str) -> Instrument:
    name, kind, unit, description, bounds, scope = _parse(text)
    instrument = Instrument(name, kind, unit, description, tuple(bounds), Scope(*scope))
    _check_instrument(instrument)
    return instrument


@lru_cache(_CACHED)
def _write_attributes(attributes: Attributes) -> str:
    _check_attributes(attributes)
    return json.dumps(attributes, separators=(",", ":"))


@lru_cache(_CACHED)
def _read_attributes(text: str) -> Attributes:
    attributes = attributes_of(dict(_parse(text)))
    _check_attributes(attributes)
    return attributes


def _parse(text: str | bytes) -> Any:
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise ValueError
    value.encode()  # a lone surrogate has no place in a scrape
    return value


def _number(value: Any) -> Number:
    # a bool is an int to Python, and 1e999 is read as infinity
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    raise ValueError


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError
    return value


def _check_instrument(instrument: Instrument) -> None:
    bounds: Sequence[float] = instrument.bounds
    if not _text(instrument.name) or instrument.kind not in KINDS or len(bounds) > _MAX_BOUNDS:
        raise ValueError
    for text in (instrument.unit, instrument.description, *instrument.scope):
        _text(text)
    for bound in bounds:
        _number(bound)
    if any(low >= high for low, high in pairwise(bounds)):
        raise ValueError


def _check_attributes(attributes: Attributes) -> None:
    if len(attributes) > _MAX_ATTRIBUTES:
        raise ValueError
    for key, value in attributes:
        if not _text(key):
            raise ValueError
        if isinstance(value, str):
            _text(value)
        elif not isinstance(value, bool):
            _number(value)


def _check_value(instrument: Instrument, value: Any) -> None:
    if instrument.kind == "histogram":
        _number(value.sum)
        if len(value.counts) != len(instrument.bounds) + 1:
            raise ValueError
        for count in value.counts:
            _count(count)
    elif _number(value) < 0 and instrument.kind == "counter":
        raise ValueError


def _check_call(call: Opened) -> None:
    _text(call.call_id)
    if any(row.instrument.kind != "counter" for row in call.if_lost):
        raise ValueError


def _exemplar(trace_id: Any, span_id: Any, value: Any, time: Any) -> Exemplar:
    if not (0 < _count(trace_id) < 1 << 128 and 0 < _count(span_id) < 1 << 64):
        raise ValueError
    return Exemplar(trace_id, span_id, _number(value), _count(time))
