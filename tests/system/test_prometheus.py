# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A real Prometheus scrapes a worker that takes calls: its queries give what happened in them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from callspan import semconv
from kit.call_gate import CallGate
from kit.prometheus import (
    Programs,
    Prometheus,
    PrometheusUnavailableError,
    Result,
    find,
    lint,
)
from kit.scrape import TEXT, free_port, samples, scrape
from kit.workers import run_agent
from offline.dialogue import RECEPTIONIST
from offline.llm_server import ScriptedChatServer
from offline.received import ReceivedSpan
from offline.receiver import OtlpReceiver

ROOMS = ("call-books", "call-tool-fails")
"""Two callers of the demo: one books a cleaning; to the other, the tool refuses to."""

AGENT = "receptionist"
MISNAMED = "lk_agents_active_job_count"
"""LiveKit's own gauge in the same registry, whose name promtool would have end otherwise."""
RESOURCE = "service.version=1.2.3,deployment.environment.name=staging"


@dataclass
class Scraped:
    """What Prometheus and the receiver of traces have of a worker that runs.

    Attributes:
        prometheus: It has scraped the worker before its first call, and after its last.
        since: When it began to, Unix seconds.
        openmetrics: What the worker serves after its last call.
        text: The same in Prometheus's own format.
        spans: The spans of its calls.
    """

    prometheus: Prometheus
    since: float
    openmetrics: str
    text: str
    spans: list[ReceivedSpan]

    @property
    def latencies(self) -> list[float]:
        """LiveKit's own figure of each turn's latency, in seconds and sorted."""
        return sorted(
            span.attributes["lk.e2e_latency"]
            for span in self.spans
            if span.name == "agent_turn" and "lk.e2e_latency" in span.attributes
        )


@pytest.fixture(scope="module")
def scraped(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    """Two callers talk to a worker that is scraped every second."""
    port = free_port()
    since = time.time()
    with (
        ScriptedChatServer(RECEPTIONIST) as model,
        OtlpReceiver() as receiver,
        Prometheus(programs, tmp_path_factory.mktemp("prometheus"), port) as prometheus,
        ThreadPoolExecutor(1) as pool,
        CallGate() as worker,
    ):
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
            "OTEL_METRICS_EXPORTER": "prometheus",
            "CALLSPAN_CONVERSIONS": "book_appointment=bookings",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_RESOURCE_ATTRIBUTES": RESOURCE,
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": "none",
            "WITNESS": str(tmp_path_factory.mktemp("witness")),
            "ROOMS": ",".join(ROOMS),
            "GATE": str(worker.port),
        }
        agent = Path(__file__).with_name("scraped_agent")
        ending = pool.submit(run_agent, str(agent), variables, timeout_s=150)
        prometheus.wait_until_ready(timeout_s=20)
        worker.wait_until_up()
        prometheus.wait_for(
            "agent_sessions_total",
            "outcome",
            wanted=lambda series: len(series) == len(semconv.OUTCOMES),
        )
        worker.take_calls()
        prometheus.wait_for(
            "sum(agent_jobs_total)", wanted=lambda series: series == {(): len(ROOMS)}
        )
        yield Scraped(
            prometheus=prometheus,
            since=since,
            openmetrics=scrape(port),
            text=scrape(port, TEXT),
            spans=receiver.spans,
        )
    assert ending.result().logged("ERROR") == []


def test_volume_is_there_by_agent_and_by_outcome(scraped: Scraped) -> None:
    """How many calls there were, and how they ended."""
    query = scraped.prometheus.query
    assert query("sum by (agent_name) (agent_sessions_total)", "agent_name") == {(AGENT,): 2}
    by_outcome = {(outcome,): 0 for outcome in semconv.OUTCOMES} | {("completed",): 2}
    assert query("sum by (outcome) (agent_sessions_total)", "outcome") == by_outcome
    assert query("agent_sessions_active", "agent_name") == {(AGENT,): 0}


def test_the_first_calls_are_an_increase(scraped: Scraped) -> None:
    """Their series were at 0 before them; Prometheus extrapolates to the window's edges."""
    increases = scraped.prometheus.query("increase(agent_sessions_total[5m])", "outcome")
    assert 2 <= increases["completed",] < 3
    assert increases["abandoned",] == 0
    # a second query, a moment later: it extrapolates from a little more
    rates = scraped.prometheus.query("rate(agent_sessions_total[5m])", "outcome")
    assert rates["completed",] == pytest.approx(increases["completed",] / 300, rel=0.05)


def test_durations_are_distributed_as_the_calls_lasted(scraped: Scraped) -> None:
    """Each bucket holds the calls whose summaries say that they were no longer."""
    lasted = [
        span.attributes["agent.session.duration"]
        for span in scraped.spans
        if span.name == "job_entrypoint"
    ]
    assert len(lasted) == len(ROOMS)
    buckets = scraped.prometheus.query("sum by (le) (agent_session_duration_seconds_bucket)", "le")
    assert {float(le): count for (le,), count in buckets.items()} == {
        bound: sum(seconds <= bound for seconds in lasted)
        for bound in (5, 10, 30, 60, 120, 300, 600, 1800, 3600, float("inf"))
    }


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.95, 0.99])
def test_a_quantile_is_that_of_the_turns(scraped: Scraped, quantile: float) -> None:
    """P50, P90, P95 and P99 are off by a quarter of the latency of that rank at most."""
    quantiles = scraped.prometheus.query(
        f"histogram_quantile({quantile}, "
        "sum by (le, agent_name) (agent_turn_latency_seconds_bucket))",
        "agent_name",
    )
    latencies = scraped.latencies
    rank = math.ceil(quantile * len(latencies)) - 1
    # beyond 6 s, which a turn takes here where the processor is not to be had, bounds are coarser
    off = 0.25 if latencies[rank] <= 6 else 2 / 3
    assert quantiles[AGENT,] == pytest.approx(latencies[rank], rel=off)


def test_every_turn_is_in_the_latency_and_in_its_stages(scraped: Scraped) -> None:
    """As often, and with the same sum, as LiveKit reported it."""
    query = scraped.prometheus.query
    assert query("agent_turn_latency_seconds_count") == {(): len(scraped.latencies)}
    (total,) = query("agent_turn_latency_seconds_sum").values()
    assert total == pytest.approx(sum(scraped.latencies))
    (stages,) = query("sum(agent_turn_stage_duration_seconds_sum)").values()
    assert stages == pytest.approx(total)


def test_tools_are_counted_by_how_they_ended(scraped: Scraped) -> None:
    """One booking is refused by the tool; it is an increase of its own series."""
    query = scraped.prometheus.query
    by_status = query("sum by (tool_name, status) (agent_tool_calls_total)", "tool_name", "status")
    assert {key: count for key, count in by_status.items() if count} == {
        ("check_availability", "success"): 2,
        ("book_appointment", "success"): 1,
        ("book_appointment", "error"): 1,
    }
    errors: Result = query('increase(agent_tool_calls_total{status="error"}[5m])', "tool_name")
    assert errors["check_availability",] == 0
    assert 1 <= errors["book_appointment",] < 2


def test_the_first_booking_is_an_increase_and_a_conversion(scraped: Scraped) -> None:
    """By the tutorial's query, in the form that works; a booking that the tool refused is none."""
    query = scraped.prometheus.query
    assert query("agent_bookings_total", "agent_name") == {(AGENT,): 1}
    assert 1 <= query("increase(agent_bookings_total[5m])", "agent_name")[AGENT,] < 2
    by_agent = "sum by (agent_name) (rate({}[1h]))"
    conversion = f"{by_agent} / {by_agent}".format("agent_bookings_total", "agent_sessions_total")
    # both are extrapolated; the booking came before its call was over
    assert query(conversion, "agent_name")[AGENT,] == pytest.approx(0.5, rel=0.1)


def test_two_releases_can_be_told_apart(scraped: Scraped) -> None:
    """Every series joins with what target_info says of the service."""
    joined = scraped.prometheus.query(
        "sum by (service_version, deployment_environment_name) (agent_sessions_total"
        " * on (instance, job) group_left (service_version, deployment_environment_name)"
        " target_info)",
        "service_version",
        "deployment_environment_name",
    )
    assert joined == {("1.2.3", "staging"): 2}


def test_an_exemplar_leads_to_the_turn_that_caused_it(scraped: Scraped) -> None:
    """Its trace is the call's, its span is an agent_turn with a latency in that bucket."""
    exemplars = scraped.prometheus.exemplars(
        "agent_turn_latency_seconds_bucket", since=scraped.since
    )
    turns = {
        (span.trace_id, span.span_id): span.attributes["lk.e2e_latency"]
        for span in scraped.spans
        if span.name == "agent_turn" and "lk.e2e_latency" in span.attributes
    }
    assert exemplars
    for labels, value in exemplars:
        assert set(labels) == {"trace_id", "span_id"}
        assert turns[labels["trace_id"], labels["span_id"]] == pytest.approx(value)


def test_an_openmetrics_parser_accepts_the_scrape(scraped: Scraped) -> None:
    """Prometheus's own client reads it back, exemplars included."""
    parsed = samples(scraped.openmetrics)
    assert any(
        sample.name == "agent_turn_latency_seconds_bucket" and sample.exemplar for sample in parsed
    )
    assert scraped.openmetrics.endswith("# EOF\n")


def test_promtool_has_nothing_against_the_scrape(scraped: Scraped, programs: Programs) -> None:
    """Names, types, help and units are as Prometheus wants them, LiveKit's own metrics included."""
    assert "agent_turn_latency_seconds_bucket" in scraped.text
    assert "gen_ai_client_token_usage_bucket" in scraped.text
    linted = [line for line in scraped.text.splitlines() if MISNAMED not in line]
    assert lint(programs, "\n".join([*linted, ""])) == ""


def test_without_prometheus_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The message says what is missing, where it was looked for, and what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        PrometheusUnavailableError,
        match=f"prometheus and promtool not found on PATH={tmp_path}: apt-get install prometheus",
    ):
        find()
