# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Real job processes that write through real relays: what they did is what the worker counts."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event, Semaphore
from typing import Any, NamedTuple

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint

from callspan import semconv
from callspan.metrics.job.reader import RowReader
from callspan.metrics.job.relay import Relay
from callspan.metrics.wire.rows import own_row
from callspan.metrics.worker.aggregator import Aggregator

_TIMEOUT_S = 60
_BOUNDS = [0.1, 0.5, 1.0]
_AGENT = {semconv.L_AGENT: "a"}
_CRASHED = {**_AGENT, semconv.L_OUTCOME: "crashed"}
_COMPLETED = {**_AGENT, semconv.L_OUTCOME: "completed"}

Totals = dict[tuple[str, frozenset[tuple[str, str]]], float]


class _Call:
    """A call in a job process, recorded as the recorder would."""

    def __init__(self, end: socket.socket) -> None:
        reader = RowReader()
        meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("job")
        self.slowest_s = 0.0
        self._sessions = meter.create_counter(
            semconv.M_SESSIONS.name, semconv.M_SESSIONS.unit, semconv.M_SESSIONS.description
        )
        self._active = meter.create_up_down_counter(
            semconv.M_SESSIONS_ACTIVE.name, semconv.M_SESSIONS_ACTIVE.unit
        )
        self._latency = meter.create_histogram(
            semconv.M_TURN_LATENCY.name, "s", explicit_bucket_boundaries_advisory=_BOUNDS
        )
        self.relay = Relay(end, [reader])

    def open(self) -> None:
        began = time.perf_counter()
        self.relay.call_opened(
            "call",
            [own_row(semconv.M_SESSIONS, _CRASHED)],
            lambda: self._active.add(1, _AGENT),
        )
        self._note(began)

    def turn(self, latency_s: float) -> None:
        began = time.perf_counter()
        self._latency.record(latency_s, _AGENT)
        self.relay.send_now()
        self._note(began)

    def end(self) -> None:
        def record() -> None:
            self._sessions.add(1, _COMPLETED)
            self._active.add(-1, _AGENT)

        began = time.perf_counter()
        self.relay.call_closed("call", record)
        self._note(began)

    def _note(self, began: float) -> None:
        self.slowest_s = max(self.slowest_s, time.perf_counter() - began)


# --- what runs in the job processes ------------------------------------------------------------


def _takes_a_call(end: socket.socket, turns: int) -> None:
    call = _Call(end)
    call.open()
    for _ in range(turns):
        call.turn(0.3)
    call.end()
    assert call.relay.close(_TIMEOUT_S)


def _hangs_in_a_call(end: socket.socket, turns: int, said: Event, never: Event) -> None:
    call = _Call(end)
    call.open()
    for _ in range(turns):
        call.turn(0.3)
    assert call.relay.flush(_TIMEOUT_S)
    said.set()
    never.wait()


def _never_gets_a_call(end: socket.socket, ready: Event, over: Event) -> None:
    call = _Call(end)
    ready.set()
    over.wait(_TIMEOUT_S)
    assert call.relay.close(_TIMEOUT_S)


def _writes_nonsense(end: socket.socket) -> None:
    end.sendall(b"\x80\x04nonsense")


def _leaves_a_child_behind(end: socket.socket, turns: int, over: Event) -> None:
    call = _Call(end)
    call.open()
    if os.fork() == 0:
        over.wait(_TIMEOUT_S)
        os._exit(0)
    for _ in range(turns):
        call.turn(0.3)
    call.end()
    assert call.relay.close(_TIMEOUT_S)


def _ends_in_a_hurry(end: socket.socket, ready: Semaphore, begin: Event) -> None:
    call = _Call(end)
    call.open()
    assert call.relay.flush(_TIMEOUT_S)
    ready.release()
    begin.wait(_TIMEOUT_S)
    call.turn(0.3)
    call.end()
    call.relay.close(_TIMEOUT_S)


class _Ended(NamedTuple):
    """How the end of a job went: what its event loop would have waited, and its own flush."""

    slowest_s: float
    close_s: float
    closed: bool


def _ends_on_request(
    end: socket.socket, turns: int, ready: Semaphore, begin: Event, ended: SimpleQueue[_Ended]
) -> None:
    call = _Call(end)
    call.open()
    assert call.relay.flush(_TIMEOUT_S)
    ready.release()
    begin.wait(_TIMEOUT_S)
    for _ in range(turns):
        call.turn(0.3)
    call.end()
    began = time.perf_counter()
    closed = call.relay.close(_TIMEOUT_S)
    ended.put(_Ended(call.slowest_s, time.perf_counter() - began, closed))


# --- what runs in a worker's main process that the test can stop -------------------------------


def _worker_with_jobs(
    jobs: int,
    turns: int,
    ready: Semaphore,
    begin: Event,
    ended: SimpleQueue[_Ended],
    totals: SimpleQueue[Totals | None],
) -> None:
    aggregator = Aggregator()
    context = _context("forkserver")
    for _ in range(jobs):
        _start(context, aggregator, _ends_on_request, turns, ready, begin, ended)
    totals.put(None)
    drained = aggregator.drain(_TIMEOUT_S)
    totals.put(_totals(aggregator) if drained else None)


# --- tests -------------------------------------------------------------------------------------


def _context(method: str) -> BaseContext:
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([__name__])
    return context


def _start(context: BaseContext, aggregator: Aggregator, target: Any, *args: Any) -> BaseProcess:
    # as in a worker: the arguments of the process are all that holds its end of the channel
    process: BaseProcess = context.Process(target=target, args=(aggregator.add_process(), *args))
    process.start()
    return process


def _totals(aggregator: Aggregator) -> Totals:
    return {
        (metric.name, frozenset((point.attributes or {}).items())): (
            point.count if isinstance(point, HistogramDataPoint) else point.value
        )
        for scope in aggregator.state.read()
        for metric in scope.metrics
        for point in metric.data.data_points
    }


def _sessions(totals: Totals, labels: dict[str, str]) -> float:
    return totals[semconv.M_SESSIONS.name, frozenset(labels.items())]


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_totals_are_what_the_jobs_did(method: str) -> None:
    """Four calls, one killed, one idle process, one that writes nonsense, one with a child."""
    aggregator = Aggregator()
    context = _context(method)
    said, never, ready, idle_over, child_over = (context.Event() for _ in range(5))
    done = [_start(context, aggregator, _takes_a_call, turns) for turns in (1, 2, 3)]
    parent = _start(context, aggregator, _leaves_a_child_behind, 4, child_over)
    killed = _start(context, aggregator, _hangs_in_a_call, 5, said, never)
    idle = _start(context, aggregator, _never_gets_a_call, ready, idle_over)
    nonsense = _start(context, aggregator, _writes_nonsense)
    assert said.wait(_TIMEOUT_S)
    assert ready.wait(_TIMEOUT_S)
    for process in (*done, nonsense):
        process.join(_TIMEOUT_S)
        assert process.exitcode == 0
    # the killed one and the idle one are all that is left
    assert not aggregator.drain(0.1)
    assert _sessions(_totals(aggregator), _CRASHED) == 0
    assert killed.pid is not None
    os.kill(killed.pid, signal.SIGKILL)
    killed.join(_TIMEOUT_S)
    idle_over.set()
    idle.join(_TIMEOUT_S)
    # the child that was left behind is still there, and is not taken for its job
    assert aggregator.drain(_TIMEOUT_S)
    child_over.set()
    parent.join(_TIMEOUT_S)
    totals = _totals(aggregator)
    aggregator.close()
    agent = frozenset(_AGENT.items())
    assert totals == {
        (semconv.M_SESSIONS.name, frozenset(_COMPLETED.items())): 4,
        (semconv.M_SESSIONS.name, frozenset(_CRASHED.items())): 1,
        (semconv.M_SESSIONS_ACTIVE.name, agent): 0,
        (semconv.M_TURN_LATENCY.name, agent): 1 + 2 + 3 + 4 + 5,
        (
            semconv.M_TELEMETRY_DROPPED.name,
            frozenset({("signal", "metrics"), ("reason", "garbage")}),
        ): 1,
    }


def test_a_call_that_is_killed_at_its_end_counts_once() -> None:
    """Completed or crashed, whatever was already said when the kill came; never both."""
    jobs = 30
    aggregator = Aggregator()
    context = _context("forkserver")
    ready = context.Semaphore(0)
    begins = [context.Event() for _ in range(jobs)]
    processes = [_start(context, aggregator, _ends_in_a_hurry, ready, begin) for begin in begins]
    for _ in processes:
        assert ready.acquire(timeout=_TIMEOUT_S)
    for number, (process, begin) in enumerate(zip(processes, begins, strict=True)):
        begin.set()
        time.sleep(number * 0.0002)  # so that the kills are spread over what an end takes
        process.kill()
    assert aggregator.drain(_TIMEOUT_S)
    for process in processes:
        process.join(_TIMEOUT_S)
    totals = _totals(aggregator)
    aggregator.close()
    completed = totals.get((semconv.M_SESSIONS.name, frozenset(_COMPLETED.items())), 0)
    assert completed + _sessions(totals, _CRASHED) == jobs
    assert totals[semconv.M_SESSIONS_ACTIVE.name, frozenset(_AGENT.items())] == 0
    print(f"{completed:.0f} of {jobs} calls were completed when they were killed")


def test_a_worker_that_is_stopped_while_jobs_end_loses_nothing() -> None:
    """Fifty jobs end while the main process is stopped for five seconds, and none waits for it."""
    jobs, turns = 50, 10
    context = _context("forkserver")
    ready, begin = context.Semaphore(0), context.Event()
    ended: SimpleQueue[_Ended] = context.SimpleQueue()
    totals: SimpleQueue[Totals | None] = context.SimpleQueue()
    worker = context.Process(
        target=_worker_with_jobs, args=(jobs, turns, ready, begin, ended, totals)
    )
    worker.start()
    assert worker.pid is not None
    try:
        for _ in range(jobs):
            assert ready.acquire(timeout=_TIMEOUT_S)
        assert totals.get() is None  # all of them are started
        os.kill(worker.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        begin.set()
        ends = [ended.get() for _ in range(jobs)]
        took_s = time.monotonic() - stopped
        time.sleep(max(0.0, 5 - took_s))  # stopped for five seconds, whatever the jobs do
        os.kill(worker.pid, signal.SIGCONT)
        counted = totals.get()
    finally:
        worker.kill()
        worker.join()
    assert took_s < 5, "the jobs ended while the worker was stopped"
    assert all(end.closed for end in ends)
    # a call's own thread never waits; the end of its process waits for a write to a buffer
    assert max(end.slowest_s for end in ends) < 1
    assert max(end.close_s for end in ends) < 2
    assert counted is not None
    assert _sessions(counted, _COMPLETED) == jobs
    assert _sessions(counted, _CRASHED) == 0
    assert counted[semconv.M_TURN_LATENCY.name, frozenset(_AGENT.items())] == jobs * turns
    print(
        f"{jobs} jobs ended in {took_s:.2f} s; slowest call into the relay "
        f"{max(end.slowest_s for end in ends) * 1000:.1f} ms, slowest close "
        f"{max(end.close_s for end in ends) * 1000:.1f} ms"
    )
