# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Frames: what is written is read back, and nothing that can be read does harm."""

from __future__ import annotations

import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callspan import semconv
from callspan.metrics.wire.frames import (
    MAX_FRAME_BYTES,
    REASON_GARBAGE,
    REASON_MALFORMED,
    REASON_OVERSIZED,
    REASON_TRUNCATED,
    REASON_VERSION,
    Decoder,
    Encoder,
)
from callspan.metrics.wire.rows import (
    Batch,
    Distribution,
    Exemplar,
    Instrument,
    Opened,
    Row,
    Scope,
    attributes_of,
    own_row,
)

_COUNTER = Instrument("c", "counter", "{call}", "Calls.", (), Scope("s", "1", "u"))
_HISTOGRAM = Instrument("h", "histogram", "s", "Latency.", (0.5, 1.0))
_KINDS = {
    "counter": st.integers(0, 2**40) | st.floats(0, 1e9),
    "updowncounter": st.integers(-(2**63), 2**63 - 1) | st.floats(-1e9, 1e9),
    "gauge": st.floats(allow_nan=False, allow_infinity=False),
}
_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
_NAMES = st.from_regex(r"\A[A-Za-z][-_./A-Za-z0-9]{0,19}\Z")
_KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
_VALUES = _TEXT | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e9, 1e9)
_ATTRIBUTES = st.dictionaries(_KEYS, _VALUES, max_size=4).map(attributes_of)
_TIMES = st.integers(0, 2**63)
_EXEMPLARS = st.lists(
    st.builds(
        Exemplar,
        st.integers(1, 2**128 - 1),
        st.integers(1, 2**64 - 1),
        st.floats(-1e9, 1e9),
        _TIMES,
    ),
    max_size=2,
).map(tuple)


@st.composite
def _rows(draw: st.DrawFn) -> Row:
    kind = draw(st.sampled_from([*_KINDS, "histogram"]))
    bounds = draw(st.lists(st.floats(-1e6, 1e6), unique=True, max_size=4).map(sorted))
    if kind != "histogram":
        bounds = []
        value = draw(_KINDS[kind])
    else:
        counts = st.lists(
            st.integers(0, 2**40 - 1), min_size=len(bounds) + 1, max_size=len(bounds) + 1
        )
        value = Distribution(draw(st.floats(-1e9, 1e9)), tuple(draw(counts)))
    instrument = Instrument(
        draw(_NAMES), kind, draw(_TEXT), draw(_TEXT), tuple(bounds), Scope(draw(_TEXT))
    )
    return Row(instrument, draw(_ATTRIBUTES), draw(_TIMES), draw(_TIMES), value, draw(_EXEMPLARS))


def _counter_rows() -> st.SearchStrategy[Row]:
    return _rows().filter(lambda row: row.instrument.kind == "counter")


_BATCHES = st.builds(
    Batch,
    st.lists(_rows(), max_size=4).map(tuple),
    st.lists(
        st.builds(Opened, _TEXT, st.lists(_counter_rows(), max_size=2).map(tuple)), max_size=2
    ).map(tuple),
    st.lists(_TEXT, max_size=2).map(tuple),
)


def _written(*batches: Batch) -> bytes:
    encoder = Encoder()
    written = b"".join(frame for batch in batches for frame in encoder.encode(batch))
    assert encoder.invalid == 0
    return written


def _count(value: float, **attributes: str) -> Row:
    return Row(_COUNTER, attributes_of(attributes), 1, 2, value)


@given(st.lists(_BATCHES, max_size=4), st.lists(st.integers(1, 50), min_size=1))
def test_what_is_written_is_read_whatever_the_pieces(batches: list[Batch], cuts: list[int]) -> None:
    """A stream socket keeps no boundaries: pieces of any length give the same batches."""
    written = _written(*batches)
    decoder = Decoder()
    read = []
    while written:
        cut = cuts[len(written) % len(cuts)]
        read += decoder.feed(written[:cut])
        written = written[cut:]
    assert read == batches
    assert decoder.close() is None


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_bytes_do_harm(noise: bytes, more: bytes) -> None:
    """Whatever comes, reading does not raise, and gives batches or reasons."""
    decoder = Decoder()
    header = struct.pack("!3sBI", b"LKM", 1, len(noise))
    for piece in (header + noise, more, header, noise):
        assert all(isinstance(item, Batch | str) for item in decoder.feed(piece))
    decoder.close()


def test_a_series_is_described_once() -> None:
    """From its second use on, a series is a number: a turn costs some dozen bytes."""
    encoder = Encoder()
    (first,) = encoder.encode(Batch((_count(1, agent_name="a" * 100),)))
    (second,) = encoder.encode(Batch((_count(2, agent_name="a" * 100),)))
    assert len(first) > 150
    assert len(second) < 40


@pytest.mark.parametrize(
    ("header", "payload", "reason"),
    [
        ((b"LKM", 2, 4), b"[[]]", REASON_VERSION),
        ((b"LKM", 1, MAX_FRAME_BYTES + 1), b" " * (MAX_FRAME_BYTES + 1), REASON_OVERSIZED),
        ((b"LKM", 1, 4), b"[[]]", REASON_MALFORMED),
        ((b"LKM", 1, 5), b"\xff\xfe\x00{}", REASON_MALFORMED),
        ((b"LKM", 1, 100_000), b"[" * 100_000, REASON_MALFORMED),
    ],
)
def test_a_frame_that_is_refused_does_not_cost_the_next(
    header: tuple[bytes, int, int], payload: bytes, reason: str
) -> None:
    """Its length is known, so what comes after it is read."""
    decoder = Decoder()
    batch = Batch((_count(1),))
    stream = struct.pack("!3sBI", *header) + payload + _written(batch)
    assert list(decoder.feed(stream)) == [reason, batch]
    assert decoder.close() is None


def test_nothing_is_read_after_garbage() -> None:
    """Where no frame begins, no later one can be told from noise either; it is said once."""
    decoder = Decoder()
    assert list(decoder.feed(b"GET / HTTP/1.1\r\n\r\n")) == [REASON_GARBAGE]
    assert list(decoder.feed(_written(Batch((_count(1),))))) == []
    assert decoder.close() is None


@pytest.mark.parametrize("kept", [1, 7, 8, 20, -1])
def test_an_end_within_a_frame_is_said(kept: int) -> None:
    """What a kill left unfinished is no batch."""
    decoder = Decoder()
    assert list(decoder.feed(_written(Batch((_count(1),)))[:kept])) == []
    assert decoder.close() == REASON_TRUNCATED


_INSTRUMENT = '["c","counter","","",[],["s"]]'
_WITH_BOUNDS = '["h","histogram","","",[1,2],["s"]]'


def _described(value: str, instrument: str = _INSTRUMENT, attributes: str = "[]") -> str:
    return f"[[[0,1,2,{value},[],{json.dumps(instrument)},{json.dumps(attributes)}]],[],[]]"


@pytest.mark.parametrize(
    "payload",
    [
        "{}",
        "[[],[],[1]]",
        '[[],[["id",[[0,1,2,3,[]]]]],[]]',
        "[[[0,1,2,3,[]]],[],[]]",
        "[[[0,1,2,3,[],1,2]],[],[]]",
        "[[[[],1,2,3,[],1,2]],[],[]]",
        _described("NaN"),
        _described("1e999"),
        _described("-1"),
        _described("true"),
        _described("1").replace("[0,1,", "[0,-1,"),
        _described("1").replace(",[],", ",[[0,1,1,1]],", 1),
        _described("1", "{}"),
        _described("1", "nonsense"),
        _described("1", '["","counter","","",[],["s"]]'),
        _described("1", '["c","summary","","",[],["s"]]'),
        _described("1", '["c","counter","","",[],["s","1","u","more"]]'),
        _described("1", attributes='[["k",null]]'),
        _described("1", attributes='[["k","\\ud800"]]'),
        _described("[1,[1]]", _WITH_BOUNDS),
        _described("[1,[1,-1,1]]", _WITH_BOUNDS),
        _described("[1,[1,1,1]]", _WITH_BOUNDS.replace("1,2", "2,1")),
        _described("1", _INSTRUMENT.replace("counter", "gauge")).replace(
            ",[],[]]", ',[["id",[[0,1,2,1,[]]]]],[]]'
        ),
    ],
)
def test_a_frame_with_anything_wrong_is_refused_whole(payload: str) -> None:
    """A batch is applied as a whole or not at all."""
    decoder = Decoder()
    stream = struct.pack("!3sBI", b"LKM", 1, len(payload)) + payload.encode()
    assert list(decoder.feed(stream)) == [REASON_MALFORMED]


def test_a_described_row_is_read() -> None:
    """What the frames above are variations of is a good one."""
    payload = _described("1", attributes='[["k","v"]]').encode()
    (batch,) = Decoder().feed(struct.pack("!3sBI", b"LKM", 1, len(payload)) + payload)
    assert batch == Batch(
        (Row(Instrument("c", "counter", scope=Scope("s")), (("k", "v"),), 1, 2, 1),)
    )


@pytest.mark.parametrize(
    "bad",
    [
        _count(math.nan),
        _count(math.inf),
        _count(-1),
        _count(1, text="x" * 2000),
        _count(1, text="\ud800"),
        Row(_COUNTER, tuple((str(index), 1) for index in range(100)), 1, 2, 1),
        _count(10**400),
        Row(_COUNTER._replace(name="é"), (), 1, 2, 1),
        Row(_COUNTER, (("too_large", 1 << 63),), 1, 2, 1),
        Row(_HISTOGRAM, (), 1, 2, Distribution(math.nan, (0, 0, 0))),
    ],
)
def test_one_bad_row_does_not_cost_the_others_their_frame(bad: Row) -> None:
    """It is left out where it is written, and counted; so is a call that would add it."""
    encoder = Encoder()
    batch = Batch((_count(1), bad, _count(2)), (Opened("lost", (bad,)),), ("closed",))
    (frame,) = encoder.encode(batch)
    assert encoder.invalid == 2
    assert list(Decoder().feed(frame)) == [Batch((_count(1), _count(2)), (), ("closed",))]


def test_an_exemplar_that_leads_nowhere_does_not_cost_its_value() -> None:
    """The value counts without it."""
    encoder = Encoder()
    row = Row(_COUNTER, (), 1, 2, 1, (Exemplar(1, 1, math.inf, 1), Exemplar(1, 1, 1, 1)))
    (frame,) = encoder.encode(Batch((row,)))
    assert encoder.invalid == 0
    (batch,) = Decoder().feed(frame)
    assert batch == Batch((row._replace(exemplars=(Exemplar(1, 1, 1, 1),)),))


def test_what_cannot_be_sent_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    """With the reason, and what to do about it."""
    encoder = Encoder()
    bad = Row(_COUNTER._replace(name="é"), (), 1, 2, 1)
    for _ in range(3):
        list(encoder.encode(Batch((bad, _count(math.inf)))))
    assert caplog.messages == [
        "metrics: a value of 'é' is left out: 'é' is no name of a metric; begin it with a letter "
        "from a to z and go on with letters, digits, _ . - and /",
        "metrics: a value of 'c' is left out: the value is not finite; record a number below 1e308",
    ]


def test_series_of_others_leave_room_for_ours() -> None:
    """However many attributes a user's metrics have, a call is counted and closed."""
    encoder = Encoder()
    others = tuple(_count(1, text=f"{index}") for index in range(1 << 16))
    for _ in encoder.encode(Batch(others)):
        pass
    assert encoder.invalid == 1 << 14
    encoder.invalid = 0
    (frame,) = encoder.encode(Batch((own_row(semconv.M_SESSIONS, {"agent_name": "a"}),)))
    assert encoder.invalid == 0
    assert frame


def test_descriptions_of_one_process_are_bounded() -> None:
    """Another writer than ours cannot have its worker remember without end."""
    decoder = Decoder()
    text = "x" * 1000
    refused = 0
    for number in range(1000):
        keys = [[f"{number}-{key}", text] for key in range(64)]
        payload = json.dumps(
            [[[number, 1, 2, 1, [], _INSTRUMENT, json.dumps(keys)]], [], []]
        ).encode()
        (read,) = decoder.feed(struct.pack("!3sBI", b"LKM", 1, len(payload)) + payload)
        refused += read == REASON_MALFORMED
    held = sum(len(str(attributes)) for _, attributes in decoder._series.values())
    assert held < 40_000_000
    assert refused > 400


def test_a_long_batch_is_several_frames_and_the_last_one_closes_the_call() -> None:
    """No frame is longer than may be read; a close never comes before its numbers."""
    rows = tuple(_count(1, text=f"{index:01000}") for index in range(3000))
    frames = list(Encoder().encode(Batch(rows, (), ("call",))))
    assert len(frames) > 1
    assert max(map(len, frames)) <= MAX_FRAME_BYTES + 8
    decoder = Decoder()
    read = [batch for frame in frames for batch in decoder.feed(frame)]
    assert tuple(row for batch in read for row in batch.rows) == rows
    assert [batch.closed for batch in read] == [()] * (len(frames) - 1) + [("call",)]
