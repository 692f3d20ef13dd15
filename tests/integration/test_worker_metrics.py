# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Numbers that add up: what a real worker says of its calls is what was done to them.

In code and zero-code, in each process model, on Prometheus and on OTLP.
"""

from __future__ import annotations

import socket
from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from integration.counted_calls import (
    EXPECTED,
    IN_PROCESSES,
    IN_THREADS,
    Counted,
    Worker,
    a_worker,
    count,
    jobs_in,
)
from kit.scrape import (
    Totals,
    attributes,
    free_port,
    samples,
    scraped_totals,
    sent_totals,
    wait_for_scrape,
)

IDENTITIES = "IDENTITIES"
"""Begins the line in which a call prints the names of its own (see kit/agents/every_ending.py)."""


# each value of each axis: in code or zero-code, process model, exporters, traces
@pytest.fixture(
    scope="module",
    params=[
        pytest.param((False, "forkserver", "prometheus,otlp", {}), id="line-forkserver-both"),
        pytest.param((True, "forkserver", "prometheus,otlp", {}), id="command-forkserver-both"),
        pytest.param(
            (False, "spawn", "otlp", {"OTEL_TRACES_EXPORTER": "none"}),
            id="line-spawn-otlp-untraced",
        ),
        pytest.param(
            (True, "spawn", "prometheus", {"OTEL_TRACES_SAMPLER": "always_off"}),
            id="command-spawn-prometheus-unsampled",
        ),
        pytest.param(
            (False, "thread", "prometheus", {"OTEL_TRACES_SAMPLER": "always_off"}),
            id="line-thread-prometheus-unsampled",
        ),
        pytest.param(
            (True, "thread", "otlp", {"OTEL_TRACES_EXPORTER": "none"}),
            id="command-thread-otlp-untraced",
        ),
    ],
)
def counted(request: pytest.FixtureRequest) -> Counted:
    """Twelve calls, four at a time, by a worker that also has a process without any."""
    by_command, start_method, exporters, variables = request.param
    if start_method == "thread":
        rooms, model = IN_THREADS, {"EXECUTOR": "thread"}
    else:
        rooms, model = IN_PROCESSES, {"START_METHOD": start_method}
    return count(rooms, exporters, by_command=by_command, variables={**model, **variables})


def test_the_scrape_counts_what_was_done(counted: Counted) -> None:
    """Every call in every way it can end, none twice, and none is still in progress."""
    if "prometheus" not in counted.exporters:
        assert counted.scraped == ""
        return
    assert scraped_totals(counted.scraped) == EXPECTED[counted.rooms]


def test_the_last_push_counts_what_was_done(counted: Counted) -> None:
    """The same by OTLP: one worker, one instance, cumulative, all of its series once."""
    if "otlp" not in counted.exporters:
        assert counted.pushes == []
        return
    assert sent_totals(counted.pushes[-1]) == EXPECTED[counted.rooms]
    resources = [
        attributes(each.resource.attributes)
        for push in counted.pushes
        for each in push.resource_metrics
    ]
    instances = {resource["service.instance.id"] for resource in resources}
    assert len(instances) == 1
    if counted.scraped:
        (target,) = [each for each in samples(counted.scraped) if each.name == "target_info"]
        assert {target.labels["service_instance_id"]} == instances


def test_series_are_known_before_their_first_call(counted: Counted) -> None:
    """At 0, so that the first call of each outcome is an increase."""
    if not counted.before:
        return
    assert scraped_totals(counted.before) == {
        key: 0
        for key in EXPECTED[counted.rooms]
        if key[0] in ("agent_sessions_total", "agent_jobs_total")
    }


def test_there_is_one_set_of_series(counted: Counted) -> None:
    """No name and no series is twice in the scrape, in either format, nor twice in a push."""
    if counted.scraped:
        series = [(each.name, frozenset(each.labels.items())) for each in samples(counted.scraped)]
        assert Counter(series).most_common(1)[0][1] == 1
        families = [family.name for family in parse_text(counted.text)]
        assert Counter(families).most_common(1)[0][1] == 1
    for push in counted.pushes:
        assert len(push.resource_metrics) == 1
        sent = [
            metric.name
            for scope_metrics in push.resource_metrics[0].scope_metrics
            for metric in scope_metrics.metrics
        ]
        assert Counter(sent).most_common(1)[0][1] == 1


def test_no_series_names_a_call(counted: Counted) -> None:
    """No room, job, session or participant: each call would be a series of its own."""
    names = {
        name
        for line in counted.run.stdout.splitlines()
        if line.startswith(IDENTITIES)
        for name in line.removeprefix(IDENTITIES).split()
    }
    assert len(names) == 4 * len(counted.rooms)
    assert set(counted.rooms) < names
    exported = counted.before + counted.scraped + counted.text + repr(counted.pushes)
    assert [name for name in names if name in exported] == []


def test_traces_are_as_they_were_asked_for(counted: Counted) -> None:
    """The numbers are right without them, too."""
    roots = [span for span in counted.spans if span.name == "job_entrypoint"]
    if counted.traced:
        killed = [room for room in counted.rooms if room.startswith("killed")]
        assert len(roots) == len(counted.rooms) - len(killed)
    else:
        assert counted.spans == []


def test_livekits_own_metrics_are_counted_to_the_last(counted: Counted) -> None:
    """What LiveKit recorded in the last call is there as well, by the same way."""
    sent = {
        metric.name
        for push in counted.pushes[-1:]
        for scope_metrics in push.resource_metrics[0].scope_metrics
        for metric in scope_metrics.metrics
    }
    scraped = {sample.name for sample in samples(counted.scraped or "# EOF\n")}
    if "otlp" in counted.exporters:
        assert sent >= {"gen_ai.client.token.usage", "lk.agents.usage.llm_output_tokens"}
    if "prometheus" in counted.exporters:
        assert scraped >= {
            "gen_ai_client_token_usage_count",
            "lk_agents_usage_llm_output_tokens_total",
        }


def test_how_deliveries_go_outlives_the_jobs(counted: Counted) -> None:
    """Whether spans get through is known when no call is on, and how long ago they last did."""
    if "prometheus" not in counted.exporters or not counted.traced:
        return
    up = {
        sample.labels["destination"]: sample.value
        for sample in samples(counted.scraped)
        if sample.name == "agent_telemetry_up"
    }
    [traces] = [name for name in up if "/v1/traces" in name]
    assert up[traces] == 1
    ages = [
        sample.value
        for sample in samples(counted.scraped)
        if sample.name == "agent_telemetry_export_age_seconds"
        and sample.labels["destination"] == traces
    ]
    assert len(ages) == 1
    assert 0 <= ages[0] < 120


def test_nothing_of_opentelemetry_complains(counted: Counted) -> None:
    """Neither we, nor an exporter that was set up beside ours and should not be sending.

    The scripted model has no price: that is said once, however many calls use it.
    """
    ours = ("WARNING callspan ", "ERROR callspan ")
    complaints = ("WARNING opentelemetry.", "ERROR opentelemetry.", *ours)
    logged = counted.run.stderr.splitlines()
    complained = [line for line in logged if line.startswith(complaints)]
    assert len(complained) == 1, "\n".join(complained)
    assert "no price for llm gpt-4o-mini of 127.0.0.1" in complained[0]


@pytest.mark.parametrize("by_command", [False, True], ids=["line", "command"])
def test_a_second_worker_counts_without_the_first_ones_port(by_command: bool) -> None:
    """It says so once and goes on; its calls go out by the other route, and the first's stay."""
    both = {"OTEL_METRICS_EXPORTER": "prometheus,otlp"}
    port = free_port()
    with a_worker(("plain-1",), port, both, by_command=by_command) as first:
        first.gate.wait_until_up()
        first.gate.take_calls()
        with a_worker(("plain-2", "plain-3"), port, both, by_command=by_command) as second:
            second.gate.wait_until_up()
            second.gate.take_calls()
        assert_port_was_taken(second, sessions=2)
        scraped = wait_for_scrape(port, lambda body: jobs_in(body) >= 1)
        assert completed_in(scraped_totals(scraped)) == 1
    assert completed_in(sent_totals(first.pushed)) == 1
    ids = {
        attributes(each.pushed.resource_metrics[0].resource.attributes)["service.instance.id"]
        for each in (first, second)
    }
    assert len(ids) == 2


@pytest.mark.parametrize("by_command", [False, True], ids=["line", "command"])
def test_a_taken_port_costs_only_the_scrape(by_command: bool) -> None:
    """Whoever has the port: the worker says so once, counts its calls, and sends them."""
    both = {"OTEL_METRICS_EXPORTER": "prometheus,otlp"}
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with a_worker(("plain-1",), port, both, by_command=by_command) as worker:
            worker.gate.wait_until_up()
            worker.gate.take_calls()
    assert_port_was_taken(worker, sessions=1)


def assert_port_was_taken(worker: Worker, *, sessions: int) -> None:
    """Assert that a worker said that its port is taken, and sent its numbers by OTLP."""
    (said,) = worker.ending.result().logged("ERROR")
    assert said.startswith(
        f"OTEL_EXPORTER_PROMETHEUS_PORT={worker.port}: cannot serve metrics on "
        f"localhost:{worker.port} ("
    )
    assert "Address already in use" in said
    assert said.endswith(
        "; calls are counted and go out by the other routes; free the port or set another one"
    )
    assert completed_in(sent_totals(worker.pushed)) == sessions


def completed_in(totals: Totals) -> float:
    """Return how many sessions were completed."""
    labels = frozenset({("agent_name", "receptionist"), ("outcome", "completed")})
    return totals["agent_sessions_total", labels]
