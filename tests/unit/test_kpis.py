# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's key figures, from a scrape whose figures are known."""

from __future__ import annotations

import math

import pytest
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, generate_latest

import kpis
from callspan import semconv
from callspan.metrics.wire.rows import Distribution, Instrument, Row, attributes_of, own_row
from callspan.metrics.worker.aggregator import Aggregator
from callspan.metrics.worker.prometheus import StateCollector
from callspan.semconv import Metric

AGENT = {"agent_name": "dental-receptionist"}


def seen(metric: Metric, *values: float, **labels: str) -> Row:
    """The row of a histogram that has seen these values."""
    instrument = Instrument(
        metric.name, "histogram", metric.unit, metric.description, tuple(map(float, metric.bounds))
    )
    counts = [0] * (len(metric.bounds) + 1)
    for value in values:
        counts[sum(bound < value for bound in metric.bounds)] += 1
    distribution = Distribution(sum(values), tuple(counts))
    return Row(instrument, attributes_of({**AGENT, **labels}), 1, 2, distribution)


def scrape(*rows: Row) -> kpis.Scrape:
    """What a worker with these rows serves."""
    aggregator = Aggregator()
    for row in rows:
        aggregator.state.add(row)
    aggregator.close()
    registry = CollectorRegistry()
    StateCollector(aggregator.state, Resource({})).register(registry)
    return kpis.Scrape(generate_latest(registry).decode())


def answered(latency_s: float, other_s: float) -> list[Row]:
    """The rows of a turn."""
    stage = semconv.M_TURN_STAGE_DURATION
    return [
        seen(semconv.M_TURN_LATENCY, latency_s),
        seen(stage, latency_s - other_s, stage="end_of_turn"),
        seen(stage, other_s, stage="other"),
    ]


BOOKINGS = semconv.conversion_metric("bookings", "Appointments booked.")


def booked(count: int) -> list[Row]:
    """The rows of calls that came to a booking."""
    return [sessions(count, "booking"), own_row(BOOKINGS, AGENT, count)]


def spent(dollars: float, of_calls: float) -> list[Row]:
    """The rows of what models took, and of one call's cost."""
    labels = {**AGENT, "component": "llm", "provider": "openai", "model": "gpt-4o-mini"}
    return [own_row(semconv.M_COST, labels, dollars), seen(semconv.M_SESSION_COST, of_calls)]


def sessions(count: int, outcome: str = "completed") -> Row:
    """The row of calls that ended."""
    return own_row(semconv.M_SESSIONS, {**AGENT, "outcome": outcome}, count)


BUCKETS = {0.5: 2.0, 1.0: 6.0, 2.0: 8.0, math.inf: 10.0}


@pytest.mark.parametrize(
    ("rank", "expected"),
    [
        (0.1, 0.25),  # the first bucket begins at 0
        (0.2, 0.5),  # a bound counts up to and with itself
        (0.5, 0.875),  # the 5th of 10: three quarters into the bucket of four
        (0.8, 2.0),
        (0.9, 2.0),  # beyond the last bound nothing is known but the bound
    ],
)
def test_a_quantile_is_interpolated_within_its_bucket(rank: float, expected: float) -> None:
    assert kpis.quantile(rank, BUCKETS) == pytest.approx(expected)


@pytest.mark.parametrize("buckets", [{}, {1.0: 0.0, math.inf: 0.0}])
def test_of_nothing_there_is_no_quantile(buckets: dict[float, float]) -> None:
    assert math.isnan(kpis.quantile(0.5, buckets))


def test_the_table() -> None:
    """Every figure is there, by the name that a dashboard asks for; a series at 0 says nothing."""
    tools = {"check_availability": (0.25,), "book_appointment": (0.4, 0.5)}
    text = kpis.table(
        scrape(
            sessions(3, "inquiry"),
            sessions(1, "abandoned"),
            sessions(0, "error"),
            *booked(1),
            own_row(
                semconv.M_CONVERSION_VALUE,
                {**AGENT, "conversion": "bookings", "currency": "USD"},
                90,
            ),
            seen(semconv.M_SESSION_DURATION, 10, outcome="inquiry"),
            seen(
                semconv.M_SESSION_DURATION.with_labels(("intent",)),
                20,
                30,
                outcome="booking",
                intent="booking",
            ),
            *spent(0.02, of_calls=0.02),
            own_row(
                semconv.M_UNPRICED_USAGE,
                {"component": "llm", "provider": "openai", "model": "gpt-9"},
                2,
            ),
            *answered(1.2, 0.03),
            own_row(semconv.M_TOOL_CALLS, {**AGENT, "tool_name": "book", "status": "error"}, 2),
            *[
                seen(semconv.M_TOOL_CALL_DURATION, *values, tool_name=name)
                for name, values in tools.items()
            ],
            own_row(semconv.M_INTERRUPTIONS, {**AGENT, "kind": "barge_in"}, 3),
        )
    )
    assert [line.split() for line in text.splitlines()] == [
        ["agent_sessions_total", "3", "inquiry"],
        ["1", "abandoned"],
        ["1", "booking"],
        ["agent_bookings_total", "1", "calls"],
        ["20.0%", "conversion", "rate"],
        ["agent_conversion_value_total", "90", "USD", "bookings"],
        ["agent_session_duration_seconds", "3", "calls"],
        ["20.00", "s", "average", "handle", "time"],
        ["25.00", "s", "intent", "booking"],
        ["agent_session_cost_dollars", "$0.0200", "cost", "per", "call"],
        ["agent_cost_dollars_total", "$0.0200", "llm"],
        ["agent_unpriced_usage_total", "2", "llm", "gpt-9"],
        ["agent_turn_latency_seconds", "1", "turns"],
        ["1.12", "s", "P50"],
        ["1.23", "s", "P90"],
        ["1.25", "s", "P99"],
        ["agent_turn_stage_duration_seconds", "97.5%", "end_of_turn"],
        ["2.5%", "other"],
        ["agent_tool_calls_total", "2", "book", "error"],
        ["agent_tool_call_duration_seconds", "0.38", "s", "mean"],
        ["agent_interruptions_total", "3", "barge_in"],
    ]


def test_a_worker_without_calls_has_a_table_too() -> None:
    assert "none" in kpis.table(scrape(sessions(0)))


def test_what_is_wrong_with_the_numbers() -> None:
    """Calls not counted, time that no stage claims, turns without a latency, sums that differ."""
    assert kpis.shortcomings(scrape(sessions(5), *answered(1.0, 0.05)), calls=5) == []
    [uncounted] = kpis.shortcomings(scrape(sessions(4), *answered(1.0, 0.05)), calls=5)
    assert "4 after 5" in uncounted
    [unclaimed] = kpis.shortcomings(scrape(sessions(5), *answered(1.0, 0.06)), calls=5)
    assert "6.0%" in unclaimed
    assert len(kpis.shortcomings(scrape(sessions(5)), calls=5)) == 1
    [uneven] = kpis.shortcomings(
        scrape(sessions(5), *answered(1.0, 0.0), own_row(BOOKINGS, AGENT, 1)), calls=5
    )
    assert uneven == "agent_bookings_total is 1, 0 calls have the outcome booking"
    [lost] = kpis.shortcomings(
        scrape(sessions(5), *answered(1.0, 0.0), *spent(0.03, of_calls=0.02)), calls=5
    )
    assert lost == "calls cost 0.02 dollars, what they used 0.03"
