# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Two hundred calls, and the books agree: every count, every sum, every tenth of a cent.

Real job processes act out seeded scripts; each keeps a ledger of what it did, as it did it. What
the worker's scrape and the roots of the traces say is compared with what these ledgers come to,
added up apart from the package. Two of the processes are killed two seconds after the last thing
that happened in them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integration.reconciliation.ledger import PRICE_FILE, Ledger, Series, series
from integration.reconciliation.script import KILLED
from kit.call_gate import CallGate
from kit.scrape import free_port, samples, wait_for_scrape
from kit.workers import Run, run_agent
from offline.received import ReceivedSpan
from offline.receiver import OtlpReceiver

AGENT = Path(__file__).parent / "reconciliation" / "agent"
SEED = 20261120
CALLS = 200
KILLED_AT = (70, 140)

pytestmark = pytest.mark.timeout(600)

_CLOCKED = {
    "agent_session_llm_duration_seconds",
    "agent_llm_tokens_per_second",
    "agent_tool_call_duration_seconds",
    "agent_session_duration_seconds",
}
"""What only a clock can tell: buckets are not compared, and sums with what else was measured."""
_EXACT = 1e-9


@dataclass
class Books:
    """What was done, and what is said of it.

    Attributes:
        ledger: What the calls come to.
        scraped: All samples of calls, by name and labels.
        roots: The root span of each job that was not killed, by the job's id.
        spans: All spans, by the same.
        summaries: What the hook was given at the end of each, by the same.
        run: What the worker logged.
    """

    ledger: Ledger
    scraped: dict[Series, float]
    roots: dict[str, ReceivedSpan]
    spans: dict[str, list[ReceivedSpan]]
    summaries: dict[str, dict[str, Any]]
    run: Run


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Books:
    folder = tmp_path_factory.mktemp("reconciliation")
    prices, ledger, summaries = (folder / name for name in ("prices.toml", "ledger", "summaries"))
    prices.write_text(PRICE_FILE)
    ledger.mkdir()
    summaries.mkdir()
    rooms = [f"{each}-{KILLED}" if each in KILLED_AT else f"{each}" for each in range(CALLS)]
    port = free_port()
    ours = "CALLSPAN"
    with OtlpReceiver() as receiver, ThreadPoolExecutor(1) as pool, CallGate(timeout_s=500) as gate:
        ending = pool.submit(
            run_agent,
            str(AGENT),
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
                "OTEL_METRICS_EXPORTER": "prometheus",
                "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
                # so that spans of the killed get out, and those of the others on any machine
                "OTEL_BSP_SCHEDULE_DELAY": "500",
                f"{ours}_FLUSH_TIMEOUT": "8",
                f"{ours}_PRICES": str(prices),
                f"{ours}_CONVERSIONS": "book_appointment=bookings:booking",
                f"{ours}_DEFAULT_OUTCOME": "inquiry",
                "LEDGER": str(ledger),
                "SUMMARIES": str(summaries),
                "SEED": str(SEED),
                "ROOMS": ",".join(rooms),
                "GATE": str(gate.port),
            },
            timeout_s=590,
        )
        gate.wait_until_up()
        gate.take_calls()
        scraped = wait_for_scrape(port, lambda body: _jobs(body) >= CALLS)
    run = ending.result()
    roots = {
        str(span.attributes["session.id"]): span
        for span in receiver.spans
        if span.name == "job_entrypoint"
    }
    spans: defaultdict[str, list[ReceivedSpan]] = defaultdict(list)
    for span in receiver.spans:
        spans[str(span.attributes.get("session.id", ""))].append(span)
    durations = {job: root.attributes["agent.session.duration"] for job, root in roots.items()}
    return Books(
        Ledger(ledger, durations),
        _of_calls(scraped),
        roots,
        spans,
        {path.stem: json.loads(path.read_text()) for path in summaries.iterdir()},
        run,
    )


def _of_calls(scraped: str) -> dict[Series, float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for sample in samples(scraped)
        if sample.name.startswith("agent_") and not sample.name.startswith("agent_telemetry_")
    }


def _jobs(scraped: str) -> float:
    totals = _of_calls(scraped)
    return sum(value for (name, _), value in totals.items() if name == "agent_jobs_total")


def test_the_calls_were_what_they_are_meant_to_be(books: Books) -> None:
    """As many as that, two of them killed, and nothing that can happen did not."""
    assert len(books.ledger.calls) == CALLS
    assert sum(call.end is None for call in books.ledger.calls.values()) == len(KILLED_AT)
    done = {entry["what"] for call in books.ledger.calls.values() for entry in call.entries}
    assert done == {
        *("generation", "tool", "handoff", "turn", "interruption", "convert", "label", "outcome"),
        *("feedback", "count", "record", "tag", "judge", "transfer", "ending", "end"),
    }
    outcomes = {call.outcome for call in books.ledger.calls.values() if call.end is not None}
    assert outcomes == {
        *("inquiry", "complaint", "other", "booking", "paid", "success", "failure", "error"),
        *("transferred", "abandoned"),
    }


def test_the_scrape_says_what_the_ledgers_come_to(books: Books) -> None:
    """Every counter and histogram, each with each of its labels; all others stand at 0."""
    wrong = {
        key: (float(books.ledger.totals.get(key, 0)), books.scraped.get(key, 0.0))
        for key in books.ledger.totals.keys() | books.scraped.keys()
        if not _is_measured(key)
        and abs(books.ledger.totals.get(key, 0) - books.scraped.get(key, 0.0)) > _EXACT
    }
    assert wrong == {}


def _is_measured(key: Series) -> bool:
    family, _, kind = key[0].rpartition("_")
    return (family in _CLOCKED and kind in ("bucket", "sum")) and not (
        family == "agent_session_duration_seconds" and kind == "sum"
    )


def test_what_was_measured_is_what_was_measured_elsewhere(books: Books) -> None:
    """Durations are within the calls' own; those of models are what LiveKit wrote on its spans."""
    for call in books.ledger.calls.values():
        if call.end is not None:
            duration = books.roots[call.end["job"]].attributes["agent.session.duration"]
            assert call.at_least_s <= duration <= call.end["at_most_s"]
    measured = [
        (span.attributes, json.loads(str(span.attributes["lk.llm_metrics"])))
        for spans in books.spans.values()
        for span in spans
        if "lk.llm_metrics" in span.attributes
    ]
    ended = [each for attributes, each in measured if attributes["session.id"] in books.roots]
    of_calls = series("agent_session_llm_duration_seconds_sum", {})
    assert books.scraped[of_calls] == pytest.approx(sum(each["duration"] for each in ended))
    speeds: defaultdict[Series, float] = defaultdict(float)
    for _, each in measured:
        if each["tokens_per_second"]:
            labels = {
                "provider": each["metadata"]["model_provider"],
                "model": each["metadata"]["model_name"],
            }
            speeds[series("agent_llm_tokens_per_second_sum", labels)] += each["tokens_per_second"]
    assert {key: books.scraped[key] for key in speeds} == pytest.approx(speeds)
    for key, at_least_s in books.ledger.at_least_s.items():
        # half a second at most for what LiveKit does around a tool, on a busy machine
        calls = books.scraped[key[0].replace("_sum", "_count"), key[1]]
        assert at_least_s <= books.scraped[key] <= at_least_s + 0.5 * calls


def test_the_roots_say_what_the_ledgers_say(books: Books) -> None:
    """Outcome, labels, conversions, turns and cost of each call that was not killed."""
    ended = {call.end["job"]: call for call in books.ledger.calls.values() if call.end is not None}
    assert books.roots.keys() == ended.keys()
    for job, call in ended.items():
        said = books.roots[job].attributes
        assert said["agent.outcome"] == call.outcome
        assert said["agent.session.turns"] == call.turns
        assert list(said.get("agent.conversions", ())) == call.conversions
        labels = {
            name.removeprefix("agent.label."): value
            for name, value in said.items()
            if name.startswith("agent.label.")
        }
        assert labels == call.labels
        cost = call.cost(said["agent.session.duration"])
        assert abs(said["agent.cost.dollars"] - cost) < _EXACT
        spent = sum(call.spent.values())
        assert abs(said.get("agent.cost.llm", 0.0) - spent) < _EXACT
        assert abs(said["agent.cost.other"] - (cost - spent)) < _EXACT


def test_the_summaries_say_what_the_ledgers_say(books: Books) -> None:
    """The same and more, as a hook of the application is given it; the killed have none."""
    ended = {call.end["job"]: call for call in books.ledger.calls.values() if call.end is not None}
    assert books.summaries.keys() == ended.keys()
    for job, call in ended.items():
        said, entries = books.summaries[job], call.entries
        assert said["outcome"] == call.outcome
        assert said["labels"] == call.labels
        assert said["user_turns"] == call.turns
        assert abs(said["cost_dollars"] - call.cost(said["duration_s"])) < _EXACT
        for each in said["costs"]:
            model = (each["component"], each["provider"], each["model"])
            if each["component"] == "llm":
                assert abs(each["dollars"] - call.spent[model]) < _EXACT
        assert [each["name"] for each in said["conversions"]] == call.conversions
        tools = [(each["name"], each["status"]) for each in entries if each["what"] == "tool"]
        assert [(each["name"], each["status"]) for each in said["tools"]] == tools
        for name, what in (("handoffs", "handoff"), ("interruptions", "interruption")):
            assert len(said[name]) == sum(each["what"] == what for each in entries)


def test_each_request_carries_its_own_cost(books: Books) -> None:
    """The spans of a call add up to what it cost, less what is paid by the minute and the call."""
    for job, root in books.roots.items():
        requests = [
            span.attributes.get("agent.cost.dollars", 0.0)
            for span in books.spans[job]
            if span.name == "llm_request"
        ]
        spent = root.attributes["agent.cost.dollars"] - root.attributes["agent.cost.other"]
        assert sum(requests) == pytest.approx(spent, abs=_EXACT)


def test_what_has_no_price_is_named_once(books: Books) -> None:
    """By the whole worker, with the line to add, however many calls use it."""
    lines = [line for line in books.run.logged("WARNING") if "agent_unpriced_usage_total" in line]
    unpriced = [
        dict(labels) for name, labels in books.ledger.totals if name == "agent_unpriced_usage_total"
    ]
    named = [f"{each['component']} {each['model']} of {each['provider']}" for each in unpriced]
    assert len(lines) == len(named)
    assert all(sum(name in line for line in lines) == 1 for name in named)
    assert (
        "no price for llm mystery of initech: its use is counted in agent_unpriced_usage_total and "
        "is in no cost; add to the file that CALLSPAN_PRICES names: "
        '[llm."initech/mystery"] per_million_input_tokens = 0.15 per_million_output_tokens = 0.60'
    ) in lines
