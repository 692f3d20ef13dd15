# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""What a real AgentSession can do, traced by LiveKit alone and then with the instrumentation.

Each scenario is played twice. The first run is the reference: LiveKit's spans on a plain provider.
The second has to give the same spans, whole, enriched, and `stt_request` besides.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from kit.behaviours import scenarios
from kit.behaviours.recording import (
    Recording,
    Scenario,
    record_instrumented,
    record_reference,
)

SESSION = Counter(
    {
        "agent_session": 1,
        "session_start": 1,
        "start_agent_activity": 1,
        "setup_toolsets": 1,
        "on_enter": 1,
        "session_close": 1,
        "drain_agent_activity": 1,
        "on_exit": 1,
    }
)
"""A session with one agent."""
SPEECH = Counter(
    {
        "agent_speaking": 1,
        "tts_node": 1,
        "tts_stream_adapter": 1,
        "tts_request": 1,
        "tts_request_run": 1,
    }
)
"""Words that are synthesised and played."""
LLM_STEP = Counter({"llm_node": 1, "llm_request": 1, "llm_request_run": 1})
USER_TURN = Counter(
    {
        "user_turn": 1,
        "user_speaking": 1,
        "eou_wait": 1,
        "eou_detection": 1,
        "on_user_turn_completed": 1,
    }
)
"""What the caller says in one go, up to its commit."""
AGENT_TURN = Counter({"agent_turn": 1})


@dataclass(frozen=True)
class Behaviour:
    """A scenario and what its trace is made of.

    Attributes:
        scenario: What happens.
        spans: LiveKit's spans.
        transcripts: User turns that have a transcript of a recogniser.
        interruptions: The kind of each interruption of the agent.
        heard: Whether LiveKit tells how much of an interrupted speech was heard; it does not for
            a realtime model's.
    """

    scenario: Scenario
    spans: Counter[str]
    transcripts: int = 0
    interruptions: tuple[str, ...] = ()
    heard: bool = True


def times(count: int, names: Counter[str]) -> Counter[str]:
    return Counter({name: count * each for name, each in names.items()})


BEHAVIOURS = [
    Behaviour(
        scenarios.handoff,
        times(2, SESSION - Counter(["agent_session", "session_start", "session_close"]))
        + Counter(["agent_session", "session_start", "session_close", "update_agent"])
        + times(2, AGENT_TURN + LLM_STEP + SPEECH)
        + Counter(["function_tool"]),
    ),
    Behaviour(
        scenarios.failing_tool,
        SESSION + AGENT_TURN + times(2, LLM_STEP) + SPEECH + Counter({"function_tool": 2}),
    ),
    Behaviour(scenarios.failing_llm, SESSION + AGENT_TURN + LLM_STEP),
    Behaviour(
        scenarios.tool_with_progress,
        SESSION
        + times(2, AGENT_TURN + SPEECH)
        + times(3, LLM_STEP)
        + Counter({"function_tool": 1}),
    ),
    Behaviour(scenarios.say_without_llm, SESSION + AGENT_TURN + SPEECH),
    Behaviour(
        scenarios.text_only,
        SESSION + times(2, AGENT_TURN + LLM_STEP + Counter(["agent_speaking"])),
    ),
    Behaviour(
        scenarios.text_in_job,
        SESSION + times(2, AGENT_TURN + LLM_STEP + Counter(["agent_speaking"])),
    ),
    Behaviour(
        scenarios.spoken_turn,
        SESSION + USER_TURN + AGENT_TURN + LLM_STEP + SPEECH,
        transcripts=1,
    ),
    Behaviour(
        scenarios.preemptive_generation,
        SESSION
        + USER_TURN
        + Counter({"user_speaking": 1, "eou_wait": 1})
        + AGENT_TURN
        + times(2, LLM_STEP)
        + SPEECH,
        transcripts=1,
    ),
    Behaviour(
        scenarios.barge_in,
        SESSION + USER_TURN + times(2, AGENT_TURN + SPEECH) + LLM_STEP,
        transcripts=1,
        interruptions=("barge_in",),
    ),
    Behaviour(
        scenarios.paused_barge_in,
        SESSION + USER_TURN + times(2, AGENT_TURN + SPEECH) + LLM_STEP,
        transcripts=1,
        interruptions=("barge_in",),
    ),
    Behaviour(
        scenarios.false_interruption,
        SESSION
        + AGENT_TURN
        + SPEECH
        + Counter({"agent_speaking": 1, "user_turn": 1, "user_speaking": 1}),
        interruptions=("false",),
    ),
    Behaviour(
        scenarios.programmatic_interruption,
        SESSION + AGENT_TURN + SPEECH,
        interruptions=("programmatic",),
    ),
    Behaviour(
        scenarios.closed_mid_turn,
        SESSION + Counter({"user_turn": 1, "user_speaking": 1}),
        transcripts=1,
    ),
    Behaviour(
        scenarios.closed_mid_speech,
        SESSION + AGENT_TURN + SPEECH,
        interruptions=("programmatic",),
    ),
    Behaviour(
        scenarios.realtime,
        SESSION
        + AGENT_TURN
        + Counter(
            {
                "user_speaking": 1,
                "realtime_inference": 2,
                "function_tool": 1,
                "agent_speaking": 1,
            }
        ),
    ),
    Behaviour(
        scenarios.realtime_barge_in,
        SESSION
        + times(2, AGENT_TURN + Counter(["user_speaking", "realtime_inference", "agent_speaking"])),
        interruptions=("barge_in",),
        heard=False,
    ),
    Behaviour(
        scenarios.realtime_with_own_turns,
        SESSION + USER_TURN + AGENT_TURN + Counter(["realtime_inference", "agent_speaking"]),
    ),
]


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda b: b.scenario.__name__)
async def test_a_call_gives_the_spans_of_the_reference_and_ours(behaviour: Behaviour) -> None:
    """Nothing of LiveKit's is lost or doubled, and every span knows its call."""
    reference = await record_reference(behaviour.scenario)
    assert reference.names >= behaviour.spans
    assert_whole(reference)

    instrumented = await record_instrumented(behaviour.scenario)
    assert_whole(instrumented)
    added = Counter({"stt_request": behaviour.transcripts})
    assert comparable(instrumented) == comparable(reference) + added
    assert_every_span_knows_its_call(instrumented)
    assert_stt_requests_belong_to_turns(instrumented)
    assert_interruptions(instrumented, behaviour)


def comparable(recording: Recording) -> Counter[str]:
    """The spans of a run, but for counts that depend on who wins a race.

    The end of a turn is judged again whenever a transcript comes in between. The usage of a
    response that was cut off gets a span of its own if the service reports it after LiveKit has
    closed the response's span.
    """
    names = recording.names
    names.pop("realtime_metrics", None)
    if names["eou_detection"]:
        names["eou_detection"] = 1
    return names


def assert_whole(recording: Recording) -> None:
    assert recording.roots == ["agent_session"]
    assert len(recording.trace_ids) == 1
    assert recording.orphans == []
    assert recording.duplicates == []
    assert recording.started == recording.names, "every span that starts ends"
    assert recording.late == Counter(), "no span ends after its session"


def assert_every_span_knows_its_call(recording: Recording) -> None:
    for name in ("session.id", "agent.name", "agent.call.kind"):
        values = {(span.attributes or {}).get(name) for span in recording.spans}
        assert len(values) == 1, name
        assert values.isdisjoint({None, ""}), name
    for span in recording.spans:
        if turn := turn_of(recording, span):
            assert index_of(span) == index_of(turn), span.name
            assert index_of(span) is not None, span.name
    turns = [index_of(span) for span in recording.named("user_turn")]
    assert turns == list(range(1, len(turns) + 1))


def assert_stt_requests_belong_to_turns(recording: Recording) -> None:
    for span in recording.named("stt_request"):
        turn = recording.parent_of(span)
        assert turn is not None
        assert turn.name == "user_turn"
        assert span.start_time == turn.start_time
        assert span.start_time is not None
        assert span.end_time is not None
        assert turn.end_time is not None
        assert span.start_time < span.end_time <= turn.end_time


def assert_interruptions(recording: Recording, expected: Behaviour) -> None:
    events = [
        (span, event)
        for span in recording.spans
        for event in span.events
        if event.name == "interruption"
    ]
    kinds = tuple(event.attributes["agent.interruption.kind"] for _, event in events)
    assert kinds == expected.interruptions
    for span, event in events:
        assert span.name == "agent_turn"
        assert span.start_time <= event.timestamp <= span.end_time
        if expected.heard and event.attributes["agent.interruption.kind"] != "false":
            assert event.attributes["agent.playout.position"] > 0


def turn_of(recording: Recording, span: ReadableSpan) -> ReadableSpan | None:
    turn: ReadableSpan | None = span
    while turn is not None and turn.name not in ("user_turn", "agent_turn"):
        turn = recording.parent_of(turn)
    return turn


def index_of(span: ReadableSpan) -> object:
    return (span.attributes or {}).get("agent.turn.index")
