# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What calls come to, in real job processes: said in code, said by variables, or by nobody."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from livekit.agents.voice.amd import AMDCategory

from callspan import semconv
from kit.call_gate import CallGate
from kit.realtime.script import RealtimeReply, RealtimeScript
from kit.realtime.server import ScriptedRealtimeServer
from kit.scrape import free_port, samples, wait_for_scrape
from kit.sip_service import StandInSipService
from kit.workers import Run, run_agent
from offline.llm_server import Reply, Rule, Script, ScriptedChatServer, ToolCall
from offline.received import ReceivedSpan
from offline.receiver import OtlpReceiver

OURS = "CALLSPAN"
MODEL = Script(
    [
        Rule(Reply(tool_calls=(ToolCall("book_appointment", {"day": "friday"}),)), user="full"),
        Rule(Reply(tool_calls=(ToolCall("book_appointment", {"day": "monday"}),)), user="book"),
        Rule(Reply("Goodbye.")),
    ]
)


@dataclass
class Calls:
    """What was said of some calls.

    Attributes:
        run: The worker that took them.
        scraped: Values of its scrape that are not 0, by metric and labels, the agent's apart.
        spans: By the room of their call.
    """

    run: Run
    scraped: dict[tuple[str, ...], float]
    spans: dict[str, list[ReceivedSpan]]

    def root(self, room: str) -> Mapping[str, Any]:
        """The attributes of a call's root."""
        [root] = [span for span in self.spans[room] if span.name == "job_entrypoint"]
        return root.attributes

    def counted(self, metric: str) -> dict[tuple[str, ...], float]:
        """The values of one metric, by its labels."""
        return {key[1:]: value for key, value in self.scraped.items() if key[0] == metric}


def take(
    agent: str, rooms: list[str], variables: Mapping[str, str], *, by_command: bool = False
) -> Calls:
    """Have a worker take calls, and read what it says of them."""
    port = free_port()
    with OtlpReceiver() as receiver, ThreadPoolExecutor(1) as pool, CallGate() as gate:
        ending = pool.submit(
            run_agent,
            agent,
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
                "OTEL_METRICS_EXPORTER": "prometheus",
                "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
                "OTEL_LOGS_EXPORTER": "none",
                "OPENAI_API_KEY": "none",
                "ROOMS": ",".join(rooms),
                "GATE": str(gate.port),
                **variables,
            },
            by_command=by_command,
            timeout_s=300,
        )
        gate.wait_until_up()
        gate.take_calls()
        scraped = wait_for_scrape(port, lambda body: _jobs(body) >= len(rooms))
    run = ending.result()
    room_of = dict(
        reversed(line.split()[1:]) for line in run.stdout.splitlines() if line.startswith("JOB ")
    )
    spans: dict[str, list[ReceivedSpan]] = {room: [] for room in rooms}
    for span in receiver.spans:
        spans[room_of[span.attributes["session.id"]]].append(span)
    return Calls(run, _nonzero(scraped), spans)


def _nonzero(scraped: str) -> dict[tuple[str, ...], float]:
    return {
        (
            sample.name,
            *sorted(f"{key}={text}" for key, text in sample.labels.items() if key != "agent_name"),
        ): sample.value
        for sample in samples(scraped)
        if sample.name.startswith("agent_") and sample.value
    }


def _jobs(scraped: str) -> float:
    return sum(value for key, value in _nonzero(scraped).items() if key[0] == "agent_jobs_total")


# --- nobody says anything ----------------------------------------------------------------------

OUTCOMES = {
    "book-1": "booking",
    "thread-1": "booking",
    "full-1": "inquiry",
    "chat-1": "inquiry",
    "hung_up-1": "abandoned",
    "heard-1": "inquiry",
    "moved-1": "transferred",
    "old-1": "transferred",
    "refused-1": "inquiry",
    "busy-1": "inquiry",
    "machine-1": "voicemail",
    "human-1": "inquiry",
    "success-1": "success",
    "fail-1": "failure",
    "tagged-1": "complaint",
    "spanish-1": "inquiry",
    "broken-1": "error",
}
"""What each call comes to, by its room."""


@pytest.fixture(scope="module", params=[False, True], ids=["line", "command"])
def unsaid(request: pytest.FixtureRequest) -> Calls:
    """Calls of an application that knows nothing of telemetry."""
    with ScriptedChatServer(MODEL) as model, StandInSipService() as sip:
        calls = take(
            "business_outcomes" if request.param else "business_outcomes_in_code",
            list(OUTCOMES),
            {
                "OPENAI_BASE_URL": model.base_url,
                "SIP_SERVICE": sip.url,
                f"{OURS}_CONVERSIONS": "book_appointment=bookings:booking",
                f"{OURS}_DEFAULT_OUTCOME": "inquiry",
                f"{OURS}_OUTCOMES": "complaint",
                f"{OURS}_LABELS": "language=en|es",
            },
            by_command=request.param,
        )
        assert sorted(sip.asked) == ["busy", "moved", "old", "refused"]
    return calls


def test_each_call_has_its_outcome(unsaid: Calls) -> None:
    """On its root, and counted once."""
    assert {room: unsaid.root(room)["agent.outcome"] for room in OUTCOMES} == OUTCOMES
    counted = Counter(f"outcome={outcome}" for outcome in OUTCOMES.values())
    counted["outcome=inquiry"] -= 1
    assert unsaid.counted("agent_sessions_total") == {
        **{(outcome,): float(calls) for outcome, calls in counted.items()},
        ("language=es", "outcome=inquiry"): 1,
    }


def test_a_tool_converts_by_a_variable(unsaid: Calls) -> None:
    """The one that succeeded; the one that failed never does."""
    assert unsaid.counted("agent_bookings_total") == {(): 2}
    for room in ("book-1", "thread-1"):
        assert unsaid.root(room)["agent.conversions"] == ["bookings"]
    assert "agent.conversions" not in unsaid.root("full-1")
    assert unsaid.counted("agent_tool_calls_total") == {
        ("status=success", "tool_name=book_appointment"): 2,
        ("status=error", "tool_name=book_appointment"): 1,
    }


def test_a_tag_is_a_label_by_allow_list(unsaid: Calls) -> None:
    """On the root as well; reasons are nowhere."""
    assert unsaid.root("spanish-1")["agent.label.language"] == "es"
    labelled = [key for key in unsaid.root("human-1") if key.startswith("agent.label.")]
    assert labelled == []
    assert "in so many words" not in repr(unsaid.spans) + repr(unsaid.scraped)


def test_machines_are_what_livekit_takes_for_machines() -> None:
    """Its categories, as it tags them."""
    assert {
        f"lk.amd:{each.value}" for each in AMDCategory if each.value.startswith("machine")
    } == semconv.LK_TAGS_MACHINE


# --- the application says it -------------------------------------------------------------------


@pytest.fixture(scope="module", params=[False, True], ids=["line", "command"])
def said(request: pytest.FixtureRequest) -> Calls:
    """Calls of an application that says what they are worth."""
    with ScriptedChatServer(MODEL) as model:
        return take(
            "business_declarations" if request.param else "business_declarations_in_code",
            ["plain-1", "complaint-1", "wrong-1"],
            {"OPENAI_BASE_URL": model.base_url},
            by_command=request.param,
        )


def test_it_is_heard_wherever_it_is_said(said: Calls) -> None:
    """In a hook of the agent, a tool, the entrypoint, a shutdown callback."""
    assert said.counted("agent_sessions_total") == {
        ("intent=billing", "outcome=booking", "tier=gold"): 1,
        ("intent=billing", "outcome=complaint", "tier=gold"): 1,
        ("intent=other", "outcome=booking", "tier=gold"): 1,
    }
    # when it happened, the tier was not known
    assert said.counted("agent_bookings_total") == {("intent=billing",): 3}
    eur = ("conversion=bookings", "currency=EUR")
    assert said.counted("agent_conversion_value_total") == {eur: 300}
    assert said.counted("agent_feedback_score_sum") == {("kind=nps",): 27}
    assert said.counted("agent_callbacks_total") == {("reason=late",): 6}
    assert said.counted("agent_party_size_sum") == {(): 9}
    assert said.counted("agent_tool_calls_total") == {
        ("status=success", "tool_name=book_appointment"): 3,
        ("status=success", "tool_name=read_calendar"): 3,
    }


def test_whose_call_it_is_is_on_its_spans_and_nowhere_else(said: Calls) -> None:
    """From when it is known; no series carries it, and no reason is exported."""
    for room in said.spans:
        root = said.root(room)
        assert (root["user.id"], root["tenant.id"]) == ("u-7", "t-1")
        assert root["agent.label.tier"] == "gold"
        [tool] = [span for span in said.spans[room] if span.name == "function_tool"]
        assert (tool.attributes["user.id"], tool.attributes["agent.label.intent"]) == (
            "u-7",
            "billing",
        )
    assert "u-7" not in repr(said.scraped)
    assert "Zanzibar" not in repr(said.spans)


def test_what_is_wrong_costs_a_line_and_no_call(said: Calls) -> None:
    """Each function says it once in a process, and the call goes on."""
    assert said.run.logged("ERROR") == [
        "business.label: 'a million values' is no value of label 'intent'; write any of "
        "['billing', 'booking']; further ones are not logged",
        "business.convert: conversion 'never declared' was not declared; write "
        "business.declare_conversion('never declared'); further ones are not logged",
    ]


def test_without_instrumentation_it_does_nothing() -> None:
    """An application that says it and is not instrumented takes its calls as ever."""
    with ScriptedChatServer(MODEL) as model, ThreadPoolExecutor(1) as pool, CallGate() as gate:
        ending = pool.submit(
            run_agent,
            "business_declarations",
            {
                "OPENAI_BASE_URL": model.base_url,
                "OPENAI_API_KEY": "none",
                "ROOMS": "wrong-1",
                "GATE": str(gate.port),
            },
        )
        gate.wait_until_up()
        gate.take_calls()
    run = ending.result()
    assert "JOB wrong-1" in run.stdout
    assert "Traceback" not in run.stderr
    assert run.logged() == []
    assert run.spans == []


# --- what it cost ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Calls:
    """A call through a pipeline of models and one with a realtime model, with own prices."""
    realtime = ScriptedRealtimeServer(
        RealtimeScript(hears=["Hello."], replies=[RealtimeReply("Good morning.")])
    )
    with ScriptedChatServer(Script([Rule(Reply("Good morning."))])) as model, realtime:
        address = model.base_url.removeprefix("http://").removesuffix("/v1")
        of_realtime = realtime.base_url.removeprefix("http://").removesuffix("/v1")
        prices = tmp_path_factory.mktemp("spoken") / "prices.json"
        tokens = {"per_million_input_tokens": 150, "per_million_output_tokens": 600}
        audio = {"per_million_input_audio_tokens": 1000, "per_million_output_audio_tokens": 2000}
        prices.write_text(
            json.dumps(
                {
                    "llm": {f"{address}/*": tokens},
                    "tts": {"espeak-ng/*": {"per_character": 0.001}},
                    "stt": {
                        "test/scripted": {"per_minute": 0.6},
                        # what transcribes beside the realtime model
                        f"{of_realtime}/*": tokens,
                    },
                    "realtime": {f"{of_realtime}/*": {**tokens, **audio}},
                    "flat": {"per_call": 0.25, "per_minute": 0.06},
                }
            )
        )
        return take(
            "pipeline_and_realtime",
            ["pipeline", "realtime"],
            {
                "CHAT": model.base_url,
                "REALTIME": realtime.base_url,
                f"{OURS}_PRICES": str(prices),
            },
        )


def costs_of(spans: list[ReceivedSpan]) -> dict[str, float]:
    """What the spans of a call say that they cost, the root apart."""
    costs: Counter[str] = Counter()
    for span in spans:
        if span.name != "job_entrypoint" and "agent.cost.dollars" in span.attributes:
            costs[span.name] += span.attributes["agent.cost.dollars"]
    return dict(costs)


def written(spans: list[ReceivedSpan], attribute: str) -> list[dict[str, Any]]:
    """LiveKit's metrics, as it wrote them on spans."""
    values = [span.attributes[attribute] for span in spans if attribute in span.attributes]
    return [json.loads(each) for each in values]


def test_a_pipeline_is_paid_for_on_the_spans_that_caused_it(spoken: Calls) -> None:
    """Each model on its own; with what the call itself costs, they are what it cost."""
    spans, root = spoken.spans["pipeline"], spoken.root("pipeline")
    [llm] = written(spans, "lk.llm_metrics")
    ttses = written(spans, "lk.tts_metrics")
    heard_s = sum(span.attributes.get("agent.stt.audio.duration", 0.0) for span in spans)
    costs = costs_of(spans)
    assert costs == {
        "llm_request": pytest.approx(
            llm["prompt_tokens"] * 150e-6 + llm["completion_tokens"] * 600e-6
        ),
        "tts_request": pytest.approx(sum(tts["characters_count"] for tts in ttses) * 0.001),
        "stt_request": pytest.approx(heard_s * 0.01),
    }
    assert min(costs.values()) > 0
    flat = 0.25 + root["agent.session.duration"] / 60 * 0.06
    assert root["agent.cost.other"] == pytest.approx(flat)
    assert root["agent.cost.dollars"] == pytest.approx(sum(costs.values()) + flat, abs=1e-9)
    assert {key: root[f"agent.cost.{key}"] for key in ("llm", "tts", "stt")} == {
        key: pytest.approx(costs[f"{key}_request"]) for key in ("llm", "tts", "stt")
    }


def test_a_realtime_model_is_paid_for_by_the_modality(spoken: Calls) -> None:
    """Audio at the price of audio, on the span that is still open when the usage comes.

    What transcribes beside it has no span in a call whose turns the model keeps to itself: its
    cost is the call's.
    """
    spans, root = spoken.spans["realtime"], spoken.root("realtime")
    [used] = [span.attributes for span in spans if span.name == "realtime_inference"]
    dollars = (
        used["gen_ai.usage.text.input_tokens"] * 150e-6
        + used["gen_ai.usage.audio.input_tokens"] * 1000e-6
        + used["gen_ai.usage.text.output_tokens"] * 600e-6
        + used["gen_ai.usage.audio.output_tokens"] * 2000e-6
    )
    assert min(used["gen_ai.usage.audio.input_tokens"], dollars) > 0
    assert costs_of(spans) == {"realtime_inference": pytest.approx(dollars)}
    beside = root["agent.cost.stt"] + root["agent.cost.other"]
    assert root["agent.cost.stt"] > 0
    assert root["agent.cost.dollars"] == pytest.approx(dollars + beside, abs=1e-9)


def test_money_is_on_the_scrape_too(spoken: Calls) -> None:
    """The sum of components is that of calls."""
    roots = [spoken.root(room)["agent.cost.dollars"] for room in spoken.spans]
    assert sum(spoken.counted("agent_cost_dollars_total").values()) == pytest.approx(sum(roots))
    assert spoken.counted("agent_session_cost_dollars_sum") == {(): pytest.approx(sum(roots))}
    assert spoken.counted("agent_session_cost_dollars_count") == {(): 2}
    assert spoken.counted("agent_unpriced_usage_total") == {}


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("by_command", [False, True], ids=["line", "command"])
def test_a_price_file_with_a_typo_is_said_and_the_worker_goes_on(
    tmp_path: Path, by_command: bool
) -> None:
    """In one line, with the entry and what to write; its call is taken, at packaged prices."""
    prices = tmp_path / "prices.toml"
    prices.write_text('[tts."acme/voice"]\nper_charakter = 0.00003\n')
    run = run_agent(
        "zero_code" if by_command else "instrument_at_import",
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            f"{OURS}_PRICES": str(prices),
        },
        by_command=by_command,
    )
    assert run.logged("ERROR") == [
        f"{OURS}_PRICES: {prices}: tts.\"acme/voice\": 'per_charakter' is not a price; the "
        "packaged prices are used; did you mean 'per_character'?"
    ]
    assert run.calls_ended == 1
    assert any(span.name == "job_entrypoint" for span in run.spans)
