# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a call costs in Langfuse is what it costs everywhere else; its labels are the last ones.

Real workers and job processes take the calls.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kit.call_gate import CallGate
from kit.workers import run_agent
from offline.received import ReceivedSpan
from offline.receiver import OtlpReceiver

pytestmark = pytest.mark.timeout(600)

OURS = "CALLSPAN"
COST = "langfuse.observation.cost_details"
PRICES: dict[str, Any] = {
    "tts": {"espeak-ng/*": {"per_character": 0.001}},
    "stt": {"test/scripted": {"per_minute": 0.6}},
}
ROOMS = (
    "spoken_turn",
    "failing_tool",
    "preemptive_generation",
    "barge_in",
    "false_interruption",
    "closed_mid_speech",
    "programmatic_interruption",
    "text_only",
    "realtime",
    "realtime_barge_in",
    "late_usage",
    "changing_label",
    "second_model",
    "unheard_end",
    "unpriced_model",
)


@dataclass(frozen=True)
class Call:
    """One call: what Langfuse was sent of it, and what a plain destination was."""

    sent: Sequence[ReceivedSpan]
    native: Sequence[ReceivedSpan]

    @property
    def native_root(self) -> dict[str, Any]:
        """The attributes of the root as every destination but Langfuse gets it."""
        [root] = filter(_is_root, self.native)
        return root.attributes

    @property
    def ledger(self) -> float:
        """Dollars that the call cost."""
        return float(self.native_root.get("agent.cost.dollars", 0.0))

    @property
    def root(self) -> dict[str, Any]:
        """The attributes of Langfuse's root."""
        [root] = filter(_is_root, self.sent)
        return root.attributes


def take(
    folder: Path, rooms: Sequence[str], prices: dict[str, Any], **more: str
) -> dict[str, Call]:
    """Have a worker take calls, with Langfuse beside a plain destination."""
    path = folder / "prices.json"
    path.write_text(json.dumps(prices))
    with OtlpReceiver() as langfuse, ThreadPoolExecutor(1) as pool, CallGate(500) as gate:
        ending = pool.submit(
            run_agent,
            "scenarios_as_calls",
            {
                "OTEL_TRACES_EXPORTER": "langfuse,otlp",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}",
                "OTEL_METRICS_EXPORTER": "none",
                "LANGFUSE_PUBLIC_KEY": "pk-lf-1234567890",
                "LANGFUSE_SECRET_KEY": "sk-lf-0987654321",
                "LANGFUSE_BASE_URL": langfuse.endpoint,
                f"{OURS}_FLUSH_TIMEOUT": "8",
                f"{OURS}_PRICES": str(path),
                "ROOMS": ",".join(rooms),
                "GATE": str(gate.port),
                **more,
            },
            timeout_s=590,
        )
        gate.wait_until_up()
        gate.take_calls()
    run = ending.result()
    sent, native = _by_call(langfuse.spans), _by_call(run.spans)
    job_of = dict(line.split()[1:] for line in run.stdout.splitlines() if line.startswith("JOB "))
    for calls in (sent, native):
        roots = [
            (job, span.name) for job, spans in calls.items() for span in spans if _is_root(span)
        ]
        wanted = [(job, "job_entrypoint") for job in job_of.values()]
        assert sorted(roots) == sorted(wanted), run.stderr
    return {room: Call(sent[job_of[room]], native[job_of[room]]) for room in rooms}


def _is_root(span: ReceivedSpan) -> bool:
    return not span.parent_span_id


def _by_call(spans: Sequence[ReceivedSpan]) -> dict[str, list[ReceivedSpan]]:
    calls: defaultdict[str, list[ReceivedSpan]] = defaultdict(list)
    for span in spans:
        calls[str(span.attributes["session.id"])].append(span)
    return calls


def cost_of(observation: ReceivedSpan) -> float | None:
    """Return what Langfuse takes an observation's cost to be; None: it uses a table of its own.

    ``OtelIngestionProcessor.extractCostDetails`` and ``IngestionService.calculateUsageCosts``.
    """
    given = json.loads(observation.attributes.get(COST, "{}"))
    return float(given["total"]) if given else None


def summed(call: Call) -> float:
    """Return what Langfuse shows for the trace, and for the session."""
    return math.fsum(cost_of(observation) or 0.0 for observation in call.sent)


_CASES: dict[str, tuple[tuple[str, ...], dict[str, Any], dict[str, str]]] = {
    "models": (ROOMS, PRICES, {}),
    "flat prices too": (
        ("spoken_turn", "text_only", "realtime", "unheard_end"),
        {**PRICES, "flat": {"per_call": 0.25, "per_minute": 0.06}},
        {},
    ),
    "all spans, at hang-up": (
        ("spoken_turn", "failing_tool", "realtime_barge_in", "late_usage"),
        PRICES,
        {f"{OURS}_DISABLED_PARTS": "span_filter", f"{OURS}_KEEP_CALLS": "ratio=1"},
    ),
}


@pytest.fixture(scope="module")
def calls_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Call]]:
    """Have a worker take the calls of a case, once for all the tests that ask for it."""

    @cache
    def calls_of_case(case: str) -> dict[str, Call]:
        rooms, prices, more = _CASES[case]
        return take(tmp_path_factory.mktemp("prices"), rooms, prices, **more)

    return calls_of_case


@pytest.fixture(params=_CASES)
def calls(
    request: pytest.FixtureRequest, calls_of: Callable[[str], dict[str, Call]]
) -> dict[str, Call]:
    """Calls of all kinds; some with prices by the minute; some whose spans wait for a decision."""
    return calls_of(request.param)


def test_langfuse_adds_up_to_what_the_call_cost(calls: dict[str, Call]) -> None:
    """Once, not twice, in every kind of call.

    As Langfuse's ``IngestionService.calculateUsageCosts`` (worker/src/services/IngestionService/
    index.ts) takes the cost of an observation, and as its event-query-builder.ts adds up those of
    a trace: ``sum(total_cost)``.
    """
    added = {room: summed(call) for room, call in calls.items()}
    assert added == {room: pytest.approx(call.ledger, abs=1e-9) for room, call in calls.items()}
    assert {room for room, call in calls.items() if not call.ledger} <= {"unpriced_model"}


def test_langfuse_is_left_to_price_only_what_has_no_price_here(calls: dict[str, Call]) -> None:
    """Its own table would add to a call's cost what the root has said, or what is in no cost."""
    left = {
        (room, span.name)
        for room, call in calls.items()
        for span in call.sent
        if "langfuse.observation.model.name" in span.attributes and cost_of(span) is None
    }
    assert left == {(room, "llm_request") for room in calls if room == "unpriced_model"}


def test_the_root_says_only_what_no_other_observation_says(calls: dict[str, Call]) -> None:
    """Flat prices, and what was used without a span to say it; nothing where that is nothing."""
    beyond_flat = set()
    for room, call in calls.items():
        said = json.loads(call.root.get(COST, "{}"))
        assert said in ({}, {"other": said.get("total"), "total": said.get("total")})
        rest = said.get("total", 0.0) - call.native_root.get("agent.cost.other", 0.0)
        assert rest > -1e-9
        if rest > 1e-9:
            beyond_flat.add(room)
    assert beyond_flat >= calls.keys() & {
        # what was recognised for no words
        *("false_interruption", "unheard_end"),
        # what transcribes beside a realtime model, and usage that comes when its span has ended
        *("realtime", "realtime_barge_in", "late_usage"),
    }
    assert beyond_flat.isdisjoint(
        {"spoken_turn", "failing_tool", "text_only", "changing_label", "second_model"}
    )


# --- labels ------------------------------------------------------------------------------------

METADATA = "langfuse.trace.metadata."
TAGS = ("receptionist", "production", "intent:complaint")


@pytest.fixture
def relabelled(calls_of: Callable[[str], dict[str, Call]]) -> Call:
    """A call whose label is another in each of its turns, and another still at its end."""
    return calls_of("models")["changing_label"]


def test_a_label_that_changes_stands_as_one_tag(relabelled: Call) -> None:
    """The last.

    Langfuse 3 merges the tags of all observations of a trace (``overwriteObject`` in
    worker/src/services/IngestionService/utils.ts), Langfuse 4 takes those of whichever was stored
    last, and of those of a session the union (``EVENTS_AGGREGATION_FIELDS.tags`` and
    ``EVENTS_SESSION_AGGREGATION_FIELDS.trace_tags`` in event-query-builder.ts).
    """
    tags = [span.attributes.get("langfuse.trace.tags", []) for span in relabelled.sent]
    assert {tag for each in tags for tag in each} == set(TAGS)
    # whichever is stored last
    assert {tuple(each) for each in tags if each} == {TAGS}


def test_a_label_that_changes_is_in_the_metadata_of_its_trace_as_the_last(relabelled: Call) -> None:
    """And in that of each observation as it was then.

    Langfuse 3 merges the metadata that observations have for their trace in the order in which
    these started (``IngestionService.mergeTraceRecords``); Langfuse 4 takes the root's.
    """
    merged = {}
    for span in sorted(relabelled.sent, key=lambda span: span.start_ns):
        merged |= {key: value for key, value in span.attributes.items() if key.startswith(METADATA)}
    assert merged[f"{METADATA}intent"] == "complaint"
    assert relabelled.root[f"{METADATA}intent"] == "complaint"
    requests = sorted(
        (span for span in relabelled.sent if span.name == "llm_request"), key=lambda s: s.start_ns
    )
    then = [span.attributes["langfuse.observation.metadata.intent"] for span in requests]
    assert then == ["booking", "billing"]
