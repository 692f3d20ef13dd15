# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a scrape costs after many calls, beside prometheus_client's multiprocess mode.

Ours: workers with 300 series (150 counters, 150 histograms with the buckets of a turn's latency)
that were fed the frames of 10, 1,000 and 10,000 calls; collected and written as text, in turns, in
one process.
Theirs: directories that as many processes as is practical have left their files in, each of them
with 60 series, after a call of its own. All times are CPU of the thread that scrapes.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition

from callspan import semconv
from callspan.metrics.wire.frames import Encoder
from callspan.metrics.wire.rows import Batch, Distribution, Exemplar, Instrument, Row, attributes_of
from callspan.metrics.worker.aggregator import Aggregator
from callspan.metrics.worker.prometheus import StateCollector

CALLS = (10, 1_000, 10_000)
DEAD = (10, 100, 1_000)
ROUNDS = 40
INSTRUMENTS = 10
LABEL_SETS = 15
LABEL_SETS_PER_CALL = 3
BOUNDS = semconv.M_TURN_LATENCY.bounds
"""The finest of ours: a scrape costs what its buckets do."""
LATENCY_S = 0.3

_DEAD_PROCESS = f"""
import os, sys
from prometheus_client import Counter, Histogram
keys = ["agent_name", "kind"]
for number in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        for n in range({INSTRUMENTS}):
            counter = Counter(f"c{{n}}", "A counter.", keys)
            histogram = Histogram(f"h{{n}}", "A histogram.", keys, buckets={BOUNDS})
            for kind in range({LABEL_SETS_PER_CALL}):
                counter.labels("receptionist", str(kind)).inc()
                histogram.labels("receptionist", str(kind)).observe({LATENCY_S})
        os._exit(0)
    os.waitpid(child, 0)
"""
_MULTIPROCESS_SCRAPE = """
import time
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
times = []
for _ in range(3):
    start = time.thread_time()
    generate_latest(registry)
    times.append((time.thread_time() - start) * 1000)
print(sorted(times)[1])
"""


def call_frames(call: int) -> bytes:
    """Return what one call comes to: 60 of the 300 series, some with an exemplar."""
    rows = []
    for kind in range(LABEL_SETS_PER_CALL):
        label_set = (call * LABEL_SETS_PER_CALL + kind) % LABEL_SETS
        labels = attributes_of({"agent_name": "receptionist", "kind": str(label_set)})
        for number in range(INSTRUMENTS):
            counter = Instrument(f"counter.{number}", "counter", "{call}", "A counter.")
            histogram = Instrument(f"histogram.{number}", "histogram", "s", "A histogram.", BOUNDS)
            bucket = bisect_left(BOUNDS, LATENCY_S)
            counts = tuple(int(index == bucket) for index in range(len(BOUNDS) + 1))
            exemplar = Exemplar(call + 1, 1, LATENCY_S, call)
            rows.append(Row(counter, labels, 1, 2, 1))
            rows.append(Row(histogram, labels, 1, 2, Distribution(LATENCY_S, counts), (exemplar,)))
    return b"".join(Encoder().encode(Batch(tuple(rows))))


def worker_after(calls: int) -> CollectorRegistry:
    """Return the registry of a worker whose jobs have taken so many calls."""
    aggregator = Aggregator()
    for call in range(calls):
        end = aggregator.add_process()
        end.sendall(call_frames(call))
        end.close()
        if call % 100 == 0:
            aggregator.drain(60)
    aggregator.drain(60)
    aggregator.close()
    registry = CollectorRegistry()
    StateCollector(aggregator.state, Resource({"service.name": "bench"})).register(registry)
    return registry


def timed_ms(write: Callable[[CollectorRegistry], bytes], registry: CollectorRegistry) -> float:
    """Return milliseconds of CPU that one scrape takes."""
    start = time.thread_time()
    write(registry)
    return (time.thread_time() - start) * 1000


def multiprocess_ms(dead: int) -> float:
    """Return milliseconds of CPU of a scrape after so many processes, by multiprocess mode."""
    directory = Path(tempfile.mkdtemp())
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)}
    try:
        subprocess.run([sys.executable, "-c", _DEAD_PROCESS, str(dead)], env=environ, check=True)
        done = subprocess.run(
            [sys.executable, "-c", _MULTIPROCESS_SCRAPE],
            env=environ,
            check=True,
            capture_output=True,
            text=True,
        )
    finally:
        shutil.rmtree(directory)
    return float(done.stdout)


def main() -> None:
    """Measure and print."""
    registries = {calls: worker_after(calls) for calls in CALLS}
    for name, write in (
        ("text", generate_latest),
        ("OpenMetrics, with exemplars", exposition.generate_latest),
    ):
        times: dict[int, list[float]] = {calls: [] for calls in CALLS}
        for _ in range(ROUNDS):
            for calls, registry in registries.items():
                times[calls].append(timed_ms(write, registry))
        medians = {calls: statistics.median(measured) for calls, measured in times.items()}
        print(f"scrape of 300 series, {name}, median of {ROUNDS}:")
        for calls, median in medians.items():
            ratio = median / medians[CALLS[0]]
            print(f"  after {calls:6} calls {median:8.1f} ms, {ratio:.2f} of the first")
    print("scrape of 60 series by the multiprocess mode of prometheus_client, median of 3:")
    for dead in DEAD:
        print(f"  after {dead:6} processes {multiprocess_ms(dead):8.1f} ms")


if __name__ == "__main__":
    main()
