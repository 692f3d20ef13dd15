# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The merge: any interleaving of what several processes write comes to the same state."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.sdk.metrics.export import HistogramDataPoint, MetricsData, ResourceMetrics
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics import exposition as openmetrics

from callspan import semconv
from callspan.metrics.wire.frames import Decoder, Encoder
from callspan.metrics.wire.rows import (
    Batch,
    Distribution,
    Exemplar,
    Instrument,
    Kind,
    Opened,
    Row,
    attributes_of,
    own_row,
)
from callspan.metrics.worker import series
from callspan.metrics.worker.prometheus import StateCollector
from callspan.metrics.worker.series import Point
from callspan.metrics.worker.state import State

_BOUNDS = [(1.0, 2.0, 4.0), (1.0, 2.0, 4.0, 8.0), (0.5, 2.0, 4.0), ()]
_NAMES = "abcd"


def _row(
    kind: Kind,
    value: float | Distribution,
    time: int = 2,
    *,
    bounds: tuple[float, ...] = (),
    exemplars: tuple[Exemplar, ...] = (),
    **labels: str,
) -> Row:
    instrument = Instrument(kind, kind, "s", "", bounds)
    return Row(instrument, attributes_of(labels), time - 1, time, value, exemplars)


def _distribution(bounds: tuple[float, ...], values: list[int]) -> Distribution:
    counts = Counter(bisect_left(bounds, value) for value in values)
    return Distribution(sum(values), tuple(counts[index] for index in range(len(bounds) + 1)))


def _points(state: State) -> dict[tuple[str, frozenset[tuple[str, object]]], Point]:
    return {
        (metric.name, frozenset((point.attributes or {}).items())): point
        for scope in state.read()
        for metric in scope.metrics
        for point in metric.data.data_points
    }


def _point(state: State, name: str, **labels: str) -> Point:
    return _points(state)[name, frozenset(labels.items())]


_LABELS = st.fixed_dictionaries({"name": st.sampled_from(_NAMES)})
_TIMES = st.integers(2, 20)
# of small numbers, so that sums of floats are exact in any order
_NUMBERS = st.integers(0, 9).map(lambda number: number / 4)


@st.composite
def _any_row(draw: st.DrawFn) -> Row:
    kind: Kind = draw(st.sampled_from(["counter", "updowncounter", "gauge", "histogram"]))
    labels, time = draw(_LABELS), draw(_TIMES)
    exemplar = Exemplar(draw(st.integers(1, 9)), 1, draw(_NUMBERS), time)
    exemplars = (exemplar,) if draw(st.booleans()) else ()
    if kind == "histogram":
        values = draw(st.lists(st.integers(0, 10), max_size=5))
        bounds = _BOUNDS[0]
        value: float | Distribution = _distribution(bounds, values)
        return _row(kind, value, time, bounds=bounds, exemplars=exemplars, **labels)
    return _row(kind, draw(_NUMBERS), time, exemplars=exemplars, **labels)


_BATCHES = st.builds(
    Batch,
    st.lists(_any_row(), max_size=5).map(tuple),
    st.lists(
        st.builds(
            Opened,
            st.sampled_from("xyz"),
            st.just((own_row(semconv.M_SESSIONS, {"outcome": "crashed"}),)),
        ),
        max_size=1,
    ).map(tuple),
    st.lists(st.sampled_from("xyz"), max_size=1).map(tuple),
)
_PROCESSES = st.lists(st.lists(_BATCHES, max_size=4), min_size=1, max_size=4)


def _merge(processes: list[list[Batch]], order: list[int], piece: int) -> State:
    """Let the processes write in some order, to the end of their streams."""
    state = State()
    streams = []
    for batches in processes:
        encoder = Encoder()
        streams.append(b"".join(frame for batch in batches for frame in encoder.encode(batch)))
    decoders = [Decoder() for _ in processes]
    turns = [index % len(processes) for index in order] + list(range(len(processes))) * 10_000
    for index in turns:
        if not any(streams):
            break
        taken, streams[index] = streams[index][:piece], streams[index][piece:]
        for batch in decoders[index].feed(taken):
            assert isinstance(batch, Batch)
            state.apply(batch, decoders[index])
    # the first process lives on, the others end
    for decoder in decoders[1:]:
        state.disconnect(decoder)
    return state


def _without_clock(state: State) -> dict[object, object]:
    """Everything a state says but when it was read, and when a series was first seen."""
    return {
        key: (
            (point.sum, point.bucket_counts, point.exemplars)
            if isinstance(point, HistogramDataPoint)
            else (point.value, point.exemplars)
        )
        for key, point in _points(state).items()
    }


@given(
    _PROCESSES,
    st.lists(st.integers(0, 3)),
    st.lists(st.integers(0, 3)),
    st.integers(1, 400),
    st.integers(1, 400),
)
def test_any_interleaving_gives_the_same_state(
    processes: list[list[Batch]], one: list[int], other: list[int], piece: int, chunk: int
) -> None:
    """Counters, gauges, histograms, exemplars, crashes: the order of arrival is no matter."""
    assert _without_clock(_merge(processes, one, piece)) == _without_clock(
        _merge(processes, other, chunk)
    )


@given(st.permutations([(index % 7, 1 + index % 3) for index in range(30)]))
def test_nothing_is_lost_beyond_the_cap(increments: list[tuple[int, int]]) -> None:
    """The series that are one too many share one, and the total is right in any order."""
    state = State(max_series=4)
    for number, value in increments:
        state.apply(Batch((_row("counter", value, name=str(number)),)), "process")
    points = {key[1]: point for key, point in _points(state).items() if key[0] == "counter"}
    assert len(points) == 5
    overflow = points[frozenset({("otel.metric.overflow", True)})]
    assert 0 < overflow.value < sum(value for _, value in increments)
    assert sum(point.value for point in points.values()) == sum(value for _, value in increments)


@given(
    st.permutations(
        [(bounds, [value, value + 2]) for bounds in _BOUNDS[:3] for value in range(1, 9)]
    )
)
def test_mixed_bounds_agree_wherever_they_can(
    recorded: list[tuple[tuple[float, ...], list[int]]],
) -> None:
    """In any order the count and the sum are right, and the buckets at every shared bound."""
    state = State()
    for bounds, values in recorded:
        value = _distribution(bounds, values)
        state.apply(Batch((_row("histogram", value, bounds=bounds),)), "process")
    point = _point(state, "histogram")
    assert isinstance(point, HistogramDataPoint)
    everything = [value for _, values in recorded for value in values]
    assert (point.count, point.sum) == (len(everything), sum(everything))
    at_most = dict(
        zip(
            point.explicit_bounds,
            (sum(point.bucket_counts[: index + 1]) for index in range(len(point.explicit_bounds))),
            strict=True,
        )
    )
    for bound in (2.0, 4.0):
        assert at_most[bound] == sum(value <= bound for value in everything)
    for bound, count in at_most.items():
        assert count <= sum(value <= bound for value in everything)


def test_a_start_never_moves() -> None:
    """It is that of the first row of a series: a rate has a right interval to be taken over."""
    state = State()
    for time in (5, 3, 9):
        state.apply(Batch((_row("counter", 1, time),)), "process")
    assert _point(state, "counter").start_time_unix_nano == 4


def test_time_and_totals_only_grow() -> None:
    """Cumulative points of one series follow one another."""
    state = State()
    read = []
    for value in (1, 0, 2):
        state.apply(Batch((_row("counter", value),)), "process")
        read.append(_point(state, "counter"))
    assert [point.value for point in read] == [1, 1, 3]
    assert all(a.time_unix_nano <= b.time_unix_nano for a, b in pairwise(read))


@pytest.mark.parametrize("closed", [False, True])
def test_a_call_that_is_open_at_the_end_is_lost_once(closed: bool) -> None:
    """What was recorded stays; the crash is counted once, whatever was said before."""
    state = State()
    sessions = own_row(semconv.M_SESSIONS, {"agent_name": "a", "outcome": "crashed"})
    turns = _row("counter", 3)
    state.apply(Batch((turns,), (Opened("1", (sessions,)), Opened("1", (sessions,)))), "process")
    state.apply(Batch((_row("updowncounter", 1),), (), ("1",) if closed else ()), "process")
    state.disconnect("process")
    state.disconnect("process")
    points = _points(state)
    key = (semconv.M_SESSIONS.name, frozenset(sessions.attributes))
    assert (points[key].value if key in points else 0) == (0 if closed else 1)
    assert _point(state, "counter").value == 3
    assert _point(state, "updowncounter").value == 0


def test_what_a_process_stood_at_goes_with_it() -> None:
    """Sums that can fall are those of live processes; so is a gauge, which then ends."""
    state = State()
    for process, value, time in (("one", 2, 5), ("two", 3, 4)):
        rows = (_row("updowncounter", value, time), _row("gauge", value, time))
        state.apply(Batch(rows), process)
    assert _point(state, "updowncounter").value == 5
    assert _point(state, "gauge").value == 2  # the newest, of whichever process
    state.disconnect("one")
    assert _point(state, "updowncounter").value == 3
    assert _point(state, "gauge").value == 3
    state.disconnect("two")
    assert _point(state, "updowncounter").value == 0
    assert not any(name == "gauge" for name, _ in _points(state))


def test_a_bucket_keeps_its_newest_exemplar() -> None:
    """An exemplar leads to a span that somebody can still look at."""
    state = State()
    bounds = _BOUNDS[0]
    for time, value in ((3, 1.5), (5, 1.6), (4, 1.7), (2, 9.0)):
        row = _row(
            "histogram",
            _distribution(bounds, [2]),
            bounds=bounds,
            exemplars=(Exemplar(time, 1, value, time),),
        )
        state.apply(Batch((row,)), "process")
    exemplars = _point(state, "histogram").exemplars
    assert [(one.trace_id, one.value) for one in exemplars] == [(5, 1.6), (2, 9.0)]
    assert all(one.filtered_attributes == {} for one in exemplars)


def test_a_name_is_one_metric(caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be added to it is dropped, counted, and said once, with the remedy."""
    state = State()
    counter = _row("counter", 1)
    in_ms = counter._replace(instrument=counter.instrument._replace(unit="ms"))
    state.apply(Batch((counter, in_ms, in_ms)), "process")
    assert _point(state, "counter").value == 1
    assert _point(state, "agent.telemetry.dropped", signal="metrics", reason="conflict").value == 2
    (record,) = caplog.records
    assert record.getMessage() == (
        "metrics: counter was a counter in 's' and cannot be a counter in 'ms' too; rename one of "
        "them; it is left out, and counted as conflict"
    )


def test_there_are_only_so_many_metrics() -> None:
    """A program that makes up names does not fill the worker's memory."""
    state = State()
    for number in range(1200):
        row = _row("counter", 1)
        instrument = row.instrument._replace(name=f"made.up.{number}")
        state.apply(Batch((row._replace(instrument=instrument),)), "process")
    dropped = _point(state, "agent.telemetry.dropped", signal="metrics", reason="too_many_metrics")
    assert dropped.value == 1200 - 1000
    assert len(_points(state)) == 1000 + 1


# --- values and names that would stop an encoder or a scrape --------------------------------------


_INVALID = frozenset({("signal", "metrics"), ("reason", "invalid")})


def _exposed(state: State) -> tuple[str, set[str]]:
    """Return a scrape in OpenMetrics, and the names that OTLP's encoder takes."""
    registry = CollectorRegistry()
    StateCollector(state, Resource.get_empty()).register(registry)
    sent = encode_metrics(
        MetricsData([ResourceMetrics(Resource.get_empty(), state.read(), schema_url="")])
    ).SerializeToString()
    request = ExportMetricsServiceRequest.FromString(sent)
    names = {
        metric.name
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    return openmetrics.generate_latest(registry).decode(), names


@pytest.mark.parametrize(
    "poison",
    [
        Row(Instrument("theirs", "counter"), (), 1, 2, 1 << 64),
        Row(Instrument("theirs", "counter"), (), 1, 2, 10**400),
        Row(Instrument("theirs", "updowncounter"), (), 1, 2, -(10**400)),
        Row(Instrument("theirs", "gauge"), (), 0, 2, 1 << 64),
        Row(Instrument("é", "counter"), (), 1, 2, 1),
        Row(Instrument("theirs", "counter"), (("k", 1 << 70),), 1, 2, 1),
        Row(Instrument("theirs", "histogram"), (), 1, 2, Distribution(10**400, (1,))),
        Row(Instrument("theirs", "histogram"), (), 1, 2, Distribution(1, (1 << 64,))),
    ],
    ids=str,
)
def test_no_value_and_no_name_stops_a_push_or_a_scrape(poison: Row) -> None:
    """On its way from a job, or said by the worker itself: what is beside it is exposed."""
    state = State()
    good = own_row(semconv.M_JOBS, {"agent_name": "a", "status": "done"})
    encoder = Encoder()
    decoder = Decoder()
    for frame in encoder.encode(Batch((poison, good))):
        for batch in decoder.feed(frame):
            assert isinstance(batch, Batch)
            state.apply(batch, "process")
    state.add(poison._replace(instrument=poison.instrument._replace(name="said." + "é")))
    state.add(good)

    scraped, sent = _exposed(state)

    assert 'agent_jobs_total{agent_name="a",status="done"} 2.0' in scraped
    assert "agent.jobs" in sent


@pytest.mark.parametrize("kind", ["counter", "updowncounter", "histogram"])
@pytest.mark.parametrize("value", [(1 << 63) - 1, 1.7e308])
def test_sums_stay_within_what_can_be_sent(kind: Kind, value: float) -> None:
    """A whole number that grows too large goes on as a float; what no float holds is left out."""
    state = State()
    given = Distribution(value, (1,)) if kind == "histogram" else value
    for process in ("one", "other", "third"):
        state.apply(Batch((_row(kind, given),)), process)

    scraped, sent = _exposed(state)

    totals = [
        point.sum if isinstance(point, HistogramDataPoint) else point.value
        for (name, _), point in _points(state).items()
        if name == kind
    ]
    if isinstance(value, int):
        assert totals == [3.0 * (1 << 63)]
    else:
        # what processes stand at together is left out; of what they added, the first stays
        assert totals == ([] if kind == "updowncounter" else [value])
    assert (kind in sent) == (kind in scraped) == bool(totals)
    dropped = _points(state).get(("agent.telemetry.dropped", _INVALID))
    assert (dropped is None) == isinstance(value, int)


def test_one_metric_that_cannot_be_exposed_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Counted each time, named once; the others are served and sent."""

    def fail(*_: object) -> None:
        raise RuntimeError("not today")

    state = State()
    state.apply(Batch((_row("gauge", 1), _row("counter", 1))), "process")
    monkeypatch.setattr(series._Gauge, "read", fail)

    scraped, sent = _exposed(state)

    assert "counter_seconds_total 1.0" in scraped
    assert sent == {"counter"}
    assert 'agent_telemetry_dropped_total{reason="invalid",signal="metrics"} 1.0' in scraped
    assert caplog.messages == [
        "metrics: gauge cannot be read: RuntimeError('not today'); it is left out, and counted as "
        "invalid"
    ]


def test_metrics_of_ours_are_exempt_from_the_limits_of_others() -> None:
    """Neither a user's thousand names nor a program's thousand tools take a series from them."""
    state = State()
    state.apply(
        Batch((_row("gauge", 1)._replace(instrument=Instrument("agent.cost", "gauge")),)), 1
    )
    for number in range(1500):
        state.apply(Batch((Row(Instrument(f"theirs.{number}", "counter"), (), 1, 2, 1),)), 1)
    for number in range(1000):
        for status in semconv.TOOL_STATUSES:
            labels = {"agent_name": "a", "tool_name": f"tool_{number}", "status": status}
            state.apply(Batch((own_row(semconv.M_TOOL_CALLS, labels, 0),)), 1)
    cost = {"agent_name": "a", "component": "llm", "provider": "p", "model": "m"}
    state.apply(Batch((own_row(semconv.M_COST, cost, 0.5),)), 1)

    assert _point(state, "agent.cost", **cost).value == 0.5
    last = {"agent_name": "a", "tool_name": "tool_999", "status": "success"}
    assert _point(state, "agent.tool_calls", **last).value == 0


def test_a_hostile_job_makes_no_scrape_of_hundreds_of_megabytes() -> None:
    """Thousands of series with hundreds of bounds each: the rest share a series."""
    state = State()
    bounds = tuple(float(bound) for bound in range(512))
    for metric in range(8):
        instrument = Instrument(f"theirs.{metric}", "histogram", "s", "", bounds)
        value = Distribution(1.0, (1,) + (0,) * 512)
        for number in range(500):
            row = Row(instrument, attributes_of({"k": str(number)}), 1, 2, value)
            state.apply(Batch((row,)), "process")

    scraped, _ = _exposed(state)

    assert len(scraped) < 30_000_000
    assert scraped.count('otel_metric_overflow="true"') > 0


def test_open_calls_of_one_process_are_bounded() -> None:
    """Those beyond are counted as dropped, and not as crashed when the process ends."""
    state = State()
    crashed = own_row(semconv.M_JOBS, {"agent_name": "a", "status": "crashed"})
    for number in range(1200):
        state.apply(Batch((), (Opened(str(number), (crashed,)),)), "process")
    state.disconnect("process")

    assert _point(state, "agent.jobs", agent_name="a", status="crashed").value == 1000
    dropped = _point(state, "agent.telemetry.dropped", signal="metrics", reason="too_many_calls")
    assert dropped.value == 200
