# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What it costs to count a call: in its job process, and in the worker's main process.

The job's side is timed on the thread that does it: one turn's measurements recorded, collected
and made a frame. The worker's side is fed the frames of whole calls over real channels, one for
each call; its CPU is that of opening the channels and of the aggregator's thread, and its private
memory is read on the way.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable

import psutil
from opentelemetry.sdk.metrics import MeterProvider

from callspan import semconv
from callspan.metrics.job.reader import RowReader
from callspan.metrics.wire.frames import Encoder
from callspan.metrics.wire.rows import Batch, Opened, own_row
from callspan.metrics.worker.aggregator import Aggregator

ROUNDS = 300
CALLS = 10_000
MEASUREMENTS_PER_TURN = 12
SERIES_PER_CALL = 75
BOUNDS = semconv.M_TURN_LATENCY.bounds


class Job:
    """A job process's instruments: 15 counters and 15 histograms, 3 label sets each."""

    def __init__(self) -> None:
        self.reader = RowReader()
        meter = MeterProvider([self.reader], shutdown_on_exit=False).get_meter("job")
        self.encoder = Encoder()
        counters = [meter.create_counter(f"counter.{n}", "{call}", "A counter.") for n in range(15)]
        histograms = [
            meter.create_histogram(
                f"histogram.{n}", "s", "A histogram.", explicit_bucket_boundaries_advisory=BOUNDS
            )
            for n in range(15)
        ]
        record: list[Callable[..., None]] = [counter.add for counter in counters]
        record += [histogram.record for histogram in histograms]
        self._series = [
            (one, {"agent_name": "receptionist", "kind": str(kind), "status": "success"})
            for kind in range(3)
            for one in record
        ]

    def record(self, series: int) -> None:
        """Record once on each of so many series."""
        for record, labels in self._series[:series]:
            record(0.3, labels)

    def frames(self) -> bytes:
        """Collect what was recorded, as frames."""
        return b"".join(self.encoder.encode(Batch(tuple(self.reader.drain()))))


def turn_ms(series_known: bool) -> tuple[float, int]:
    """Return milliseconds of one turn, and bytes; of a later turn once series are described."""
    times, size = [], 0
    job = Job()
    job.record(90)
    job.frames()
    for _ in range(ROUNDS):
        if not series_known:
            job.encoder = Encoder()
        start = time.thread_time()
        job.record(MEASUREMENTS_PER_TURN)
        size = len(job.frames())
        times.append((time.thread_time() - start) * 1000)
    return statistics.median(times), size


def call_end() -> bytes:
    """Return the frames of a call that is opened and closed with 75 series in between."""
    job = Job()
    crash_row = own_row(semconv.M_SESSIONS, {"agent_name": "receptionist", "outcome": "crashed"})
    opened = b"".join(job.encoder.encode(Batch((), (Opened("call", (crash_row,)),))))
    job.record(SERIES_PER_CALL)
    rows = tuple(job.reader.drain())
    return opened + b"".join(job.encoder.encode(Batch(rows, (), ("call",))))


def _reader_clock() -> int:
    """Return the clock of the CPU that the aggregator's thread has used."""
    (thread,) = (one for one in threading.enumerate() if one.name.endswith("metrics-aggregator"))
    assert thread.ident is not None
    return time.pthread_getcpuclockid(thread.ident)


def merge() -> tuple[float, dict[int, float]]:
    """Return the worker's CPU seconds for all calls, and its memory in MB on the way."""
    frames = call_end()
    aggregator = Aggregator()
    clock = _reader_clock()
    process = psutil.Process()
    memory = {}
    adding_s = 0.0
    for done in range(1, CALLS + 1):
        start = time.thread_time()
        end = aggregator.add_process()
        adding_s += time.thread_time() - start
        # the job's part
        end.sendall(frames)
        end.close()
        if done % 50 == 0:
            aggregator.drain(60)
        if done in (1_000, CALLS):
            memory[done] = process.memory_full_info().uss / 1e6
    reading_s = time.clock_gettime(clock)
    aggregator.close()
    return adding_s + reading_s, memory


def main() -> None:
    """Measure and print."""
    for name, series_known in (("its series new", False), ("its series known", True)):
        ms, size = turn_ms(series_known)
        print(
            f"job: a turn of {MEASUREMENTS_PER_TURN} measurements, {name}: recorded, collected, "
            f"framed in {ms:.2f} ms, {size} bytes"
        )
    cpu_s, memory = merge()
    few, many = (memory[calls] for calls in sorted(memory))
    print(f"worker: {CALLS} calls of {SERIES_PER_CALL} series, {len(call_end())} bytes each:")
    print(f"  {CALLS / cpu_s:.0f} calls a second and core, {cpu_s / CALLS * 1e6:.0f} µs each")
    print(f"  private memory after 1,000 calls {few:.1f} MB, after 10,000 {many:.1f} MB")


if __name__ == "__main__":
    main()
