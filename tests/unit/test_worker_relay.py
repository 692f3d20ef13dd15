# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The relay and the aggregator in one process: what is recorded arrives, and nobody waits."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)
from opentelemetry.sdk.trace import TracerProvider

from callspan import semconv
from callspan.metrics.job.accumulator import DeltaAccumulator
from callspan.metrics.job.reader import RowReader
from callspan.metrics.job.relay import Relay
from callspan.metrics.job.repair import without_per_call_attributes
from callspan.metrics.wire.frames import Decoder, Encoder
from callspan.metrics.wire.rows import Batch, Distribution, Row, own_row
from callspan.metrics.worker.aggregator import Aggregator

_CRASHED = own_row(
    semconv.M_SESSIONS, {semconv.L_AGENT: "a", semconv.L_OUTCOME: semconv.OUTCOME_ERROR}
)


@pytest.fixture
def aggregator() -> Iterator[Aggregator]:
    made = Aggregator()
    yield made
    made.close()


def _read(aggregator: Aggregator) -> dict[str, list[tuple[dict[str, object], object]]]:
    return {
        metric.name: [
            (
                dict(point.attributes or {}),
                point.count if isinstance(point, HistogramDataPoint) else point.value,
            )
            for point in metric.data.data_points
        ]
        for scope in aggregator.state.read()
        for metric in scope.metrics
    }


def _only_point(reader: RowReader, name: str) -> Row:
    (row,) = (row for row in reader.drain() if row.instrument.name == name)
    return row


class _Worker:
    """A worker that reads when it is told to."""

    def __init__(self) -> None:
        self.end, self.theirs = socket.socketpair()
        self.end.settimeout(10)
        self._decoder = Decoder()

    def read_until(self, wanted: Callable[[Batch], bool]) -> list[Batch]:
        batches: list[Batch] = []
        while not (batches and wanted(batches[-1])):
            read = self._decoder.feed(self.end.recv(1 << 16))
            batches += [batch for batch in read if isinstance(batch, Batch)]
        return batches

    def read_to_the_end(self) -> list[Batch]:
        batches = []
        while data := self.end.recv(1 << 16):
            batches += [batch for batch in self._decoder.feed(data) if isinstance(batch, Batch)]
        assert self._decoder.close() is None
        return batches


def test_what_is_recorded_arrives(aggregator: Aggregator) -> None:
    """All kinds of instruments, synchronous or not; a flush has everything on its way."""
    reader = RowReader()
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("t")
    relay = Relay(aggregator.add_process(), [reader])

    def observe(_: CallbackOptions) -> list[Observation]:
        return [Observation(7)]

    meter.create_observable_counter("observable.counter", [observe])
    meter.create_observable_up_down_counter("observable.updown", [observe])
    meter.create_observable_gauge("observable.gauge", [observe])
    counter, updown = meter.create_counter("counter"), meter.create_up_down_counter("updown")
    gauge, histogram = meter.create_gauge("gauge"), meter.create_histogram("histogram", "s")
    for value in (2, 3):
        counter.add(value, {"agent_name": "a"})
        updown.add(-value)
        gauge.set(value)
        histogram.record(value)
        assert relay.flush(10)
    counter.add(0, {"agent_name": "seeded"})
    assert relay.close(10)
    assert aggregator.drain(10)
    assert _read(aggregator) == {
        "counter": [({"agent_name": "a"}, 5), ({"agent_name": "seeded"}, 0)],
        "histogram": [({}, 2)],
        "observable.counter": [({}, 7)],
        # of processes that are gone, nothing stands
        "updown": [({}, 0)],
        "observable.updown": [({}, 0)],
    }


def test_a_gauge_is_sent_when_it_is_set() -> None:
    """Not over and over: the newest of several processes is the one that was set last."""
    reader = RowReader()
    gauge = MeterProvider([reader], shutdown_on_exit=False).get_meter("t").create_gauge("g")
    gauge.set(1)
    assert [row.value for row in reader.drain()] == [1]
    assert reader.drain() == []


def test_a_close_and_its_numbers_are_one_frame() -> None:
    """A kill in between would have the call counted twice: there is no in between."""
    worker = _Worker()
    reader = RowReader()
    sessions = MeterProvider([reader], shutdown_on_exit=False).get_meter("t").create_counter("s")
    relay = Relay(worker.theirs, [reader])
    relay.call_opened("1", [_CRASHED])
    relay.call_closed("1", lambda: sessions.add(1))
    assert relay.close(10)
    batches = worker.read_to_the_end()
    (closing,) = (batch for batch in batches if batch.closed)
    assert [row.value for row in closing.rows if row.instrument.name == "s"] == [1]
    (opening,) = (batch for batch in batches if batch.opened)
    assert opening.opened[0].crash_rows == (_CRASHED,)
    assert [row.value for row in opening.rows if row.instrument == _CRASHED.instrument] == [0]


def test_a_poke_does_not_wait_for_the_interval(aggregator: Aggregator) -> None:
    """A turn's end is sent at once, what set it off or follows within 0.1 s with it."""
    worker = _Worker()
    reader = RowReader()
    counter = MeterProvider([reader], shutdown_on_exit=False).get_meter("t").create_counter("c")
    relay = Relay(worker.theirs, [reader], interval_s=3600)
    began = time.monotonic()
    for _ in range(3):
        counter.add(1)
        relay.send_now()
    assert worker.end.recv(1)
    assert time.monotonic() - began < 2
    relay.close(10)


def test_what_nobody_asked_for_goes_after_the_interval() -> None:
    """Other people's instruments have no turn's end."""
    worker = _Worker()
    reader = RowReader()
    counter = MeterProvider([reader], shutdown_on_exit=False).get_meter("t").create_counter("c")
    relay = Relay(worker.theirs, [reader], interval_s=0.05)
    counter.add(1)
    assert worker.end.recv(1)
    relay.close(10)


def test_nothing_new_is_no_frame() -> None:
    """An idle process writes nothing at all."""
    worker = _Worker()
    reader = RowReader()
    MeterProvider([reader], shutdown_on_exit=False).get_meter("t").create_counter("c")
    relay = Relay(worker.theirs, [reader], interval_s=0.01)
    for _ in range(5):
        assert relay.flush(10)
    relay.close(10)
    assert worker.read_to_the_end() == []


def test_a_worker_that_does_not_read_holds_up_nobody() -> None:
    """The thread waits in its write; what is recorded adds up meanwhile, and nothing is lost."""
    worker = _Worker()
    worker.end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    worker.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    reader = RowReader()
    counter = MeterProvider([reader], shutdown_on_exit=False).get_meter("t").create_counter("c")
    relay = Relay(worker.theirs, [reader])
    slowest = 0.0
    for number in range(2000):
        began = time.perf_counter()
        counter.add(1, {"number": str(number % 50), "filler": "x" * 900})
        relay.send_now()
        relay.call_opened(str(number), [_CRASHED])
        slowest = max(slowest, time.perf_counter() - began)
        if number % 100 == 0:
            relay.flush(0.01)
    assert slowest < 0.5
    assert not relay.flush(0.2)
    # from now on it does
    batches: list[Batch] = []
    reading = threading.Thread(target=lambda: batches.extend(worker.read_to_the_end()))
    reading.start()
    assert relay.close(10)
    reading.join()
    rows = [row for batch in batches for row in batch.rows if row.instrument.name == "c"]
    assert sum(row.value for row in rows if isinstance(row.value, int)) == 2000
    assert sum(len(batch.opened) for batch in batches) == 2000
    assert len(batches) < 100


def test_a_worker_that_is_gone_is_no_error() -> None:
    """The child ends with its worker; until then recording goes on as if nothing were."""
    worker = _Worker()
    reader = RowReader()
    counter = MeterProvider([reader], shutdown_on_exit=False).get_meter("t").create_counter("c")
    relay = Relay(worker.theirs, [reader])
    worker.end.close()
    for _ in range(3):
        counter.add(1)
        relay.send_now()
        relay.call_closed("1")
        assert not relay.flush(10)
    assert not relay.close(10)


def test_what_somebody_else_flushed_is_not_lost(aggregator: Aggregator) -> None:
    """Flushing or shutting down the provider hands deltas to the reader: it keeps them."""
    reader = RowReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    relay = Relay(aggregator.add_process(), [reader])
    provider.get_meter("t").create_counter("c").add(2)
    provider.force_flush()
    provider.get_meter("t").create_counter("c").add(3)
    provider.shutdown()
    assert relay.close(10)
    assert aggregator.drain(10)
    assert _read(aggregator)["c"] == [({}, 5)]


def test_a_row_that_cannot_be_sent_is_counted(aggregator: Aggregator) -> None:
    """Whoever puts a whole text into a label hears of it in the scrape."""
    reader = RowReader()
    counter = MeterProvider([reader], shutdown_on_exit=False).get_meter("t").create_counter("c")
    relay = Relay(aggregator.add_process(), [reader])
    counter.add(1, {"text": "word " * 1000})
    counter.add(1)
    assert relay.close(10)
    assert aggregator.drain(10)
    read = _read(aggregator)
    assert read["c"] == [({}, 1)]
    assert read["agent.telemetry.dropped"] == [({"signal": "metrics", "reason": "invalid"}, 1)]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (b"\x00" * 100, "garbage"),
        (b"LKM\x02\x00\x00\x00\x00", "version"),
        (b"LKM\x01\x7f\xff\xff\xff" + b"x" * 100, "oversized"),
        (b"LKM\x01\x00\x00\x00\x02{}", "malformed"),
        (b"LKM\x01\x00\x00\x00\x02{", "truncated"),
    ],
)
def test_a_process_that_writes_nonsense_disturbs_no_other(
    aggregator: Aggregator, written: bytes, reason: str
) -> None:
    """It is refused and counted; the next process is read as ever."""
    reader = RowReader()
    counter = MeterProvider([reader], shutdown_on_exit=False).get_meter("t").create_counter("c")
    relay = Relay(aggregator.add_process(), [reader])
    bad = aggregator.add_process()
    bad.sendall(written)
    counter.add(1)
    assert relay.flush(10)
    bad.close()
    counter.add(1)
    assert relay.close(10)
    assert aggregator.drain(10)
    read = _read(aggregator)
    assert read["c"] == [({}, 2)]
    counted = {point[0]["reason"]: point[1] for point in read["agent.telemetry.dropped"]}
    assert counted.pop(reason) == 1
    # a skipped frame that never ends is cut short as well
    assert counted == ({"truncated": 1} if reason == "oversized" else {})


def test_draining_waits_for_no_process_longer_than_it_may(aggregator: Aggregator) -> None:
    """A job that hangs does not hold up the worker's end."""
    end = aggregator.add_process()
    assert not aggregator.drain(0.1)
    end.close()
    assert aggregator.drain(10)


def test_closing_twice_is_no_error() -> None:
    """Whoever comes second finds it done."""
    aggregator = Aggregator()
    aggregator.close()
    aggregator.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_child_that_a_tool_forks_off_is_not_the_call(aggregator: Aggregator) -> None:
    """It outlives the job, and the job's end is seen all the same."""
    reader = RowReader()
    MeterProvider([reader], shutdown_on_exit=False).get_meter("t").create_counter("c").add(1)
    relay = Relay(aggregator.add_process(), [reader])
    let_go, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(held)
        relay.send_now()
        lost = relay.flush(5)
        os.read(let_go, 1)
        os._exit(lost)
    try:
        assert relay.close(10)
        assert aggregator.drain(10)
    finally:
        os.close(held)
        os.close(let_go)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


# --- other people's instruments ----------------------------------------------------------------


def test_bounds_fit_where_none_were_advised() -> None:
    """Seconds and tokens get bounds that tell one value from another; advice is followed."""
    reader = RowReader(repair=True)
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("livekit-agents")
    meter.create_histogram("lk.agents.turn.e2e_latency", "s").record(1)
    meter.create_histogram("gen_ai.client.token.usage", "{token}").record(1)
    meter.create_histogram("llm_output_tokens").record(1)
    meter.create_histogram("unknown").record(1)
    meter.create_histogram("x", "s", explicit_bucket_boundaries_advisory=[1, 2]).record(1)
    bounds = {row.instrument.name: row.instrument.bounds for row in reader.drain()}
    assert bounds["lk.agents.turn.e2e_latency"][:4] == (0.01, 0.02, 0.04, 0.08)
    assert bounds["lk.agents.turn.e2e_latency"][-1] == pytest.approx(81.92)
    assert bounds["gen_ai.client.token.usage"][-1] == 67108864
    assert bounds["llm_output_tokens"] == bounds["gen_ai.client.token.usage"]
    assert bounds["unknown"][-1] == 10000
    assert bounds["x"] == (1, 2)


@pytest.mark.skipif(
    not hasattr(MeterProvider, "add_metric_reader"), reason="OpenTelemetry before 1.43"
)
def test_a_provider_that_already_runs_is_repaired_too() -> None:
    """LiveKit Cloud's recording may have set it first."""
    provider = MeterProvider(shutdown_on_exit=False)
    histogram = provider.get_meter("t").create_histogram("h", "s")
    reader = RowReader(repair=True)
    provider.add_metric_reader(reader)
    histogram.record(0.3)
    assert _only_point(reader, "h").instrument.bounds[0] == 0.01


def test_a_users_view_is_respected() -> None:
    """Who says how an instrument is to be aggregated is obeyed."""
    reader = RowReader(repair=True)
    views = [
        View(instrument_name="h", aggregation=ExplicitBucketHistogramAggregation([1.0])),
        View(instrument_name="e", aggregation=ExponentialBucketHistogramAggregation()),
    ]
    meter = MeterProvider([reader], views=views, shutdown_on_exit=False).get_meter("t")
    meter.create_histogram("h", "s").record(0.3)
    assert _only_point(reader, "h").instrument.bounds == (1.0,)
    # an exponential histogram is taken with explicit bounds
    exponential = meter.create_histogram("e", "s")
    for value in (0.0, 0.03, 0.03, 1.5, 1000.0):
        exponential.record(value)
    row = _only_point(reader, "e")
    counts = dict(zip((*row.instrument.bounds, "more"), row.value.counts, strict=True))  # type: ignore[union-attr]
    assert {bound: count for bound, count in counts.items() if count} == {
        0.01: 1,
        0.04: 2,
        2.56: 1,
        "more": 1,
    }
    assert row.value.sum == pytest.approx(1001.56)  # type: ignore[union-attr]


def test_no_series_carries_a_call(aggregator: Aggregator) -> None:
    """Room, job, session and participant are dropped, and what is left alike is added up."""
    reader = RowReader(repair=True)
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("livekit-agents")
    counter = meter.create_counter("lk.agents.usage.llm_input_tokens")
    relay = Relay(aggregator.add_process(), [reader])
    for number in range(3):
        counter.add(
            10,
            {
                "room_id": f"RM_{number}",
                "job_id": f"AJ_{number}",
                "lk.room_sid": f"RM_{number}",
                "lk.simulation.run_id": str(number),
                "session.id": str(number),
                "gen_ai.conversation.id": str(number),
                "participant_identity": str(number),
                "model_name": "m",
                "gen_ai.token.type": "input",
                "http.response.status_code": 200,
            },
        )
    assert relay.close(10)
    assert aggregator.drain(10)
    assert _read(aggregator) == {
        "lk.agents.usage.llm_input_tokens": [
            (
                {"model_name": "m", "gen_ai.token.type": "input", "http.response.status_code": 200},
                30,
            )
        ]
    }
    (scope,) = aggregator.state.read()
    assert scope.metrics[0].unit == "{token}"


def test_calls_that_share_a_process_leave_nothing_behind() -> None:
    """Per-call attributes are gone before the SDK keeps them; bounds and labels are the same."""
    reader = RowReader(repair=True)
    views = [without_per_call_attributes()]
    provider = MeterProvider([reader], views=views, shutdown_on_exit=False)
    histogram = provider.get_meter("t").create_histogram("h", "s")
    for number in range(3):
        histogram.record(0.3, {"room_id": f"RM_{number}", "model_name": "m"})
    row = _only_point(reader, "h")
    assert isinstance(row.value, Distribution)
    assert sum(row.value.counts) == 3
    assert row.attributes == (("model_name", "m"),)
    assert row.instrument.bounds[0] == 0.01


def test_an_exemplar_is_two_ids_and_nothing_else() -> None:
    """No attribute that was left out of a series comes back by its exemplar."""
    reader = RowReader(repair=True)
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("t")
    histogram = meter.create_histogram("h", "s")
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    with tracer.start_as_current_span("turn") as span:
        histogram.record(0.3, {"room_id": "RM_1"})
    histogram.record(0.3)
    context = span.get_span_context()
    assert [
        (one.trace_id, one.span_id, one.value) for row in reader.drain() for one in row.exemplars
    ] == [(context.trace_id, context.span_id, 0.3)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, "a", None])
def test_a_bad_measurement_does_not_cost_the_others_of_its_series(
    value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted as dropped, and named once with what to do about it."""
    accumulator = DeltaAccumulator()
    for each in (0.5, value, value, 0.25):
        accumulator.record(semconv.M_TURN_LATENCY, each, ("a",))

    latency, dropped = accumulator.drain()

    assert isinstance(latency.value, Distribution)
    assert (latency.value.sum, sum(latency.value.counts)) == (0.75, 2)
    assert (dropped.attributes, dropped.value) == (
        (("reason", "invalid"), ("signal", "metrics")),
        2,
    )
    (line,) = caplog.messages
    assert line.startswith("metrics: a value of agent.turn.latency is left out: ")


# --- what fails, and what hangs ----------------------------------------------------------------


class _Hanging:
    """A reader of others that does not return before it is let."""

    def __init__(self) -> None:
        self.entered, self.let = threading.Event(), threading.Event()

    def drain(self) -> list[Row]:
        self.entered.set()
        self.let.wait(30)
        return [own_row(semconv.M_JOBS, {"agent_name": "late"})]


def test_the_end_of_a_call_does_not_wait_for_readers_of_others() -> None:
    """It is with the worker while they hang; a flush says that not all was sent, in time."""
    worker, accumulator, hanging = _Worker(), DeltaAccumulator(), _Hanging()
    relay = Relay(worker.theirs, [accumulator])
    relay.add_reader(hanging)
    relay.call_opened("call", [_CRASHED])
    assert not relay.flush(0.01)
    assert hanging.entered.wait(10)

    relay.call_closed("call", lambda: accumulator.record(semconv.M_JOBS, 1, ("a", "done")))
    batches = worker.read_until(lambda batch: bool(batch.closed))

    assert batches[-1].closed == ("call",)
    assert [row.instrument.name for row in batches[-1].rows] == ["agent.jobs"]
    hanging.let.set()
    assert relay.flush(10)
    assert relay.close(10)
    rows = [row for batch in worker.read_to_the_end() for row in batch.rows]
    assert {"agent_name": "late"} in [dict(row.attributes) for row in rows]


class _Large:
    """A reader with as many rows as a user's metric can have, once."""

    ROWS = 20_000

    def __init__(self) -> None:
        self._rows = [
            own_row(semconv.M_ERRORS, {"agent_name": f"agent {number}"})
            for number in range(self.ROWS)
        ]

    def drain(self) -> list[Row]:
        rows, self._rows = self._rows, []
        return rows


def _of_others(batch: Batch) -> int:
    return sum(row.instrument.name == semconv.M_ERRORS.name for row in batch.rows)


def test_the_end_of_a_call_does_not_wait_for_rows_of_others() -> None:
    """A user's metric with thousands of series is sent behind it."""
    worker = _Worker()
    relay = Relay(worker.theirs)
    relay.call_opened("call", [_CRASHED])
    relay.add_reader(_Large())
    relay.flush(0.01)
    worker.read_until(lambda batch: _of_others(batch) > 0)

    relay.call_closed("call")
    worker.read_until(lambda batch: bool(batch.closed))
    assert sum(map(_of_others, worker.read_until(lambda batch: _of_others(batch) > 0))) > 0
    closing = threading.Thread(target=relay.close, args=(10,))
    closing.start()
    worker.read_to_the_end()
    closing.join(10)


def test_rows_of_others_that_are_not_sent_are_counted() -> None:
    """A process that ends before they have left says how many there were."""
    worker = _Worker()
    relay = Relay(worker.theirs)
    relay.add_reader(_Large())
    relay.flush(0.01)
    batches = worker.read_until(lambda batch: _of_others(batch) > 0)
    assert not relay.close(0.01)
    batches += worker.read_to_the_end()

    lost = [
        row.value
        for batch in batches
        for row in batch.rows
        if ("reason", "not_delivered") in row.attributes
    ]
    assert len(lost) == 1
    assert sum(map(_of_others, batches)) + sum(lost) == _Large.ROWS


def test_a_channel_ends_whatever_a_reader_of_others_does() -> None:
    """The worker sees its end, and no call of it as lost."""
    worker, hanging = _Worker(), _Hanging()
    relay = Relay(worker.theirs)
    relay.add_reader(hanging)
    relay.call_opened("call", [_CRASHED])
    relay.call_closed("call")
    assert not relay.close(0.01)
    batches = worker.read_to_the_end()
    assert [batch.closed for batch in batches if batch.closed] == [("call",)]
    hanging.let.set()


def test_a_frame_that_fails_is_counted_and_the_next_one_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end of a call that was in it is sent all the same: it did not crash."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    worker, accumulator = _Worker(), DeltaAccumulator()
    encode, failures = Encoder.encode, iter([RuntimeError("not today")])

    def fail_once(encoder: Encoder, batch: Batch) -> Iterator[bytes]:
        if batch.rows and (error := next(failures, None)) is not None:
            raise error
        return encode(encoder, batch)

    monkeypatch.setattr(Encoder, "encode", fail_once)
    relay = Relay(worker.theirs, [accumulator])
    relay.call_opened("call", [])
    relay.call_closed("call", lambda: accumulator.record(semconv.M_JOBS, 1, ("a", "done")))
    relay.flush(10)
    accumulator.record(semconv.M_JOBS, 1, ("a", "failed"))
    assert relay.close(10)

    batches = worker.read_to_the_end()
    assert [batch.closed for batch in batches if batch.closed] == [("call",)]
    sent = {row.attributes: row.value for batch in batches for row in batch.rows}
    assert sent == {
        (("agent_name", "a"), ("status", "failed")): 1,
        (("reason", "failed"), ("signal", "metrics")): 1,
    }


def test_a_thread_that_ends_by_our_own_error_lets_no_call_crash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker is told that it is not the call that failed."""
    worker = _Worker()

    class Failing:
        def drain(self) -> list[Row]:
            raise SystemExit

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    relay = Relay(worker.theirs, [Failing()])
    relay.call_opened("call", [_CRASHED])

    batches = worker.read_to_the_end()
    relay._thread.join(10)
    assert "call" in batches[-1].closed
    assert [dict(row.attributes)["reason"] for row in batches[-1].rows] == ["failed"]


def test_an_error_of_the_aggregator_costs_one_frame(
    aggregator: Aggregator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted; the next frame is read, though it came in the same piece."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    apply, failures = aggregator.state.apply, iter([RuntimeError("not today")])

    def fail_once(batch: Batch, process: object) -> None:
        if (error := next(failures, None)) is not None:
            raise error
        apply(batch, process)

    monkeypatch.setattr(aggregator.state, "apply", fail_once)
    rows = [own_row(semconv.M_JOBS, {"agent_name": "a", "status": "done"}, 0)]
    # in one piece, as they are read where the aggregator has been busy
    with aggregator.add_process() as channel:
        channel.sendall(
            b"".join(frame for _ in "ab" for frame in Encoder().encode(Batch(tuple(rows))))
        )
    assert aggregator.drain(10)

    read = _read(aggregator)
    assert read["agent.telemetry.dropped"] == [({"signal": "metrics", "reason": "failed"}, 1)]
    assert read["agent.jobs"] == [({"agent_name": "a", "status": "done"}, 0)]


def test_the_channel_is_not_inherited() -> None:
    """What a tool starts lives on without it: the crash of its job is seen at once."""
    worker = _Worker()
    worker.theirs.set_inheritable(True)
    relay = Relay(worker.theirs)
    assert not worker.theirs.get_inheritable()
    assert relay.close(10)
