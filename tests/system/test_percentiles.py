# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Percentiles as a real Prometheus reads them off a worker's scrape, beside those of the values.

What is exact is the nearest rank: the value that so many of all values do not exceed.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import pytest
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry

from callspan import semconv
from callspan.metrics.job.accumulator import DeltaAccumulator
from callspan.metrics.wire.rows import Batch
from callspan.metrics.worker.endpoint import ScrapeEndpoint
from callspan.metrics.worker.naming import family_name
from callspan.metrics.worker.prometheus import StateCollector
from callspan.metrics.worker.state import State
from callspan.semconv import Metric
from kit.prometheus import Programs, Prometheus

RANKS: Final = (0.5, 0.9, 0.95, 0.99)
TURNS: Final = 2000

BEFORE: Final = semconv.M_TURN_LATENCY._replace(
    name="agent.turn.latency.before",
    bounds=(0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0),
)
"""The turn latency as it was when P99 read 4.9 s and no turn had taken more than 3.5."""


class Promise(NamedTuple):
    """How far off a percentile of a metric is at most, where its value is within a range."""

    metric: Metric
    at_least: float
    at_most: float
    error: float


LATENCY: Final = Promise(semconv.M_TURN_LATENCY, 0.2, 6, 0.25)
TOOLS: Final = Promise(semconv.M_TOOL_CALL_DURATION, 0.1, 10, 0.5)
PROMISES: Final = (
    LATENCY,
    Promise(semconv.M_TURN_STAGE_DURATION, 0.2, 6, 0.25),
    Promise(semconv.M_FIRST_RESPONSE_LATENCY, 0.2, 6, 0.25),
    TOOLS,
)


def drawn(seed: str, draw: Callable[[random.Random], float], count: int = TURNS) -> list[float]:
    """Return values of a distribution, the same in every run."""
    source = random.Random(seed)
    return [draw(source) for _ in range(count)]


def lognormal(median: float, sigma: float) -> Callable[[random.Random], float]:
    """Return a distribution as latencies have it."""
    return lambda source: source.lognormvariate(math.log(median), sigma)


def mixed(
    share: float, some: Callable[[random.Random], float], others: Callable[[random.Random], float]
) -> Callable[[random.Random], float]:
    """Return a distribution of which a share is of one kind, the rest of another."""
    return lambda source: some(source) if source.random() < share else others(source)


def near(center: float) -> Callable[[random.Random], float]:
    """Return a distribution of values that hardly differ."""
    return lambda source: source.uniform(0.96 * center, 1.04 * center)


SLOW: Final = "one turn of five waits for a slow tool"
TIMED_OUT: Final = "a model that times out"
REALISTIC: Final = {
    "median 0.8 s": drawn("0.8", lognormal(0.8, 0.35)),
    "median 1.0 s": drawn("1.0", lognormal(1.0, 0.35)),
    "median 1.2 s": drawn("1.2", lognormal(1.2, 0.35)),
    "median 1.5 s": drawn("1.5", lognormal(1.5, 0.35)),
    "a few calls": drawn("few", lognormal(1.1, 0.3), 60),
    "turns with and without tools": drawn(
        "tools", mixed(0.2, lognormal(2.7, 0.2), lognormal(0.9, 0.2))
    ),
    "all within 3.2 to 3.5 s": drawn("cluster", lambda source: source.uniform(3.2, 3.5)),
    SLOW: drawn("slow", mixed(0.2, lambda source: source.uniform(3.2, 3.5), lognormal(1.0, 0.2))),
    "a long tail": drawn("tail", lognormal(1.0, 0.9)),
    TIMED_OUT: drawn(
        "timeouts", mixed(0.03, lambda source: source.uniform(21, 24), lognormal(1.0, 0.3))
    ),
}
ALIKE: Final = {
    f"all near {center:.2f} s": drawn(f"{center}", near(center), 200)
    for center in (0.22 * 1.15**step for step in range(24))
}
"""All values in one bucket or two, wherever that is: nothing is worse for a percentile."""
POPULATIONS: Final = REALISTIC | ALIKE


class Readings:
    """What Prometheus has of the populations, each under an agent name of its own."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus

    def percentile(self, metric: Metric, population: str, rank: float) -> float:
        """Return a percentile as a dashboard reads it."""
        series = f"{family_name(metric.name, metric.unit, 'histogram')}_bucket"
        chosen = f'{series}{{agent_name="{population}"}}'
        # over a window, as on the dashboards; a scrape that comes too late takes nothing away
        answer = self._prometheus.wait_for(
            f"histogram_quantile({rank}, sum by (le) (max_over_time({chosen}[1h])))",
            wanted=bool,
            timeout_s=60,
        )
        return answer[()]

    def error(self, metric: Metric, population: str, rank: float) -> float:
        """Return by what part of itself a percentile is read too high or too low."""
        read = self.percentile(metric, population, rank)
        return abs(read / exact(POPULATIONS[population], rank) - 1)


def exact(values: Sequence[float], rank: float) -> float:
    """Return a percentile of values by nearest rank."""
    return sorted(values)[math.ceil(rank * len(values)) - 1]


@pytest.fixture(scope="module")
def readings(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readings]:
    """All populations recorded as a job records them, served as a worker serves them."""
    accumulator = DeltaAccumulator()
    for metric in (BEFORE, *(promise.metric for promise in PROMISES)):
        of_all = metric in (LATENCY.metric, TOOLS.metric)
        populations = POPULATIONS if of_all else REALISTIC
        for population, values in populations.items():
            labels = (population, *("any" for _ in metric.labels[1:]))
            for value in values:
                accumulator.record(metric, value, labels)
    state = State()
    state.apply(Batch(tuple(accumulator.drain())), "job")
    registry = CollectorRegistry()
    StateCollector(state, Resource({})).register(registry)
    endpoint = ScrapeEndpoint(registry, environ={"OTEL_EXPORTER_PROMETHEUS_PORT": "0"})
    directory = tmp_path_factory.mktemp("prometheus")
    try:
        with Prometheus(programs, directory, urlsplit(endpoint.address).port or 0) as prometheus:
            prometheus.wait_until_ready(timeout_s=60)
            yield Readings(prometheus)
    finally:
        endpoint.close()


@pytest.mark.parametrize("population", REALISTIC)
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.metric.name)
def test_a_percentile_is_off_by_the_ratio_of_the_bounds_at_most(
    readings: Readings, promise: Promise, population: str
) -> None:
    """P50, P90, P95 and P99, where they lie in the range that callers wait."""
    within = [
        rank
        for rank in RANKS
        if promise.at_least <= exact(POPULATIONS[population], rank) <= promise.at_most
    ]
    assert within
    errors = {rank: readings.error(promise.metric, population, rank) for rank in within}
    assert max(errors.values()) <= promise.error, errors


@pytest.mark.parametrize("population", ALIKE)
@pytest.mark.parametrize("promise", [LATENCY, TOOLS], ids=lambda promise: promise.metric.name)
def test_it_is_so_wherever_all_are_alike(
    readings: Readings, promise: Promise, population: str
) -> None:
    """Between any two bounds."""
    errors = {rank: readings.error(promise.metric, population, rank) for rank in RANKS}
    assert max(errors.values()) <= promise.error, errors


def test_a_percentile_is_usually_off_by_a_few_hundredths(readings: Readings) -> None:
    """The ratio is the worst case; turns of real agents are not all alike."""
    errors = [
        readings.error(semconv.M_TURN_LATENCY, population, rank)
        for population in REALISTIC
        for rank in RANKS
    ]
    assert statistics.median(errors) < 0.02


def test_the_slowest_turns_are_read_as_slow_as_they_were(readings: Readings) -> None:
    """Where no turn takes more than 3.5 s P99 was 4.9 s: no bound lay between 3 and 5."""
    assert max(POPULATIONS[SLOW]) <= 3.5
    assert readings.percentile(BEFORE, SLOW, 0.99) == pytest.approx(4.9, abs=0.01)
    assert readings.percentile(semconv.M_TURN_LATENCY, SLOW, 0.99) <= 3.5
    assert readings.error(semconv.M_TURN_LATENCY, SLOW, 0.99) < 0.01


def test_a_time_out_is_not_read_as_the_last_bound(readings: Readings) -> None:
    """One turn of thirty waits more than 20 s; P99 was 8 s, which is where the bounds ended."""
    assert readings.percentile(BEFORE, TIMED_OUT, 0.99) == 8
    assert readings.percentile(semconv.M_TURN_LATENCY, TIMED_OUT, 0.99) > 20
    assert readings.error(semconv.M_TURN_LATENCY, TIMED_OUT, 0.99) <= 0.5
