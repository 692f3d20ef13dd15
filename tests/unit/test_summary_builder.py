# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""From a call's events to its turns, tools and summary."""

from __future__ import annotations

import pytest

from callspan.call.application_events import Converted, FeedbackGiven
from callspan.call.call import Call
from callspan.call.events import (
    CallEvent,
    ErrorRaised,
    FirstResponse,
    HandedOff,
    Interrupted,
    MessageAdded,
    ModelUsed,
    SpeechEnded,
    ToolFinished,
    TurnAnswered,
)
from callspan.call.summary import (
    CallStart,
    CallSummary,
    Conversion,
    Error,
    Handoff,
    Interruption,
    ModelCost,
    ModelUsage,
    Tool,
    Turn,
    Unpriced,
)
from callspan.call.summary_builder import SummaryBuilder
from callspan.semconv import Usage

USER = {"end_of_turn_delay": 0.5, "transcription_delay": 0.2, "stopped_speaking_at": 10.0}
AGENT = {"llm_node_ttft": 0.25, "tts_node_ttfb": 0.125, "started_speaking_at": 11.0}


def user(text: str = "Hello?", **timings: float) -> MessageAdded:
    return MessageAdded("user", text, False, timings)


def agent(text: str = "Yes.", *, interrupted: bool = False, **timings: float) -> MessageAdded:
    return MessageAdded("agent", text, interrupted, timings)


@pytest.fixture
def call() -> Call:
    return Call(
        "job",
        agent_name="receptionist",
        started_at=1.0,
        closed_at=61.0,
        opened_instant=7.0,
        closed_instant=67.0,
    )


@pytest.fixture
def builder(call: Call) -> SummaryBuilder:
    return SummaryBuilder(call, content=True)


def summarised(builder: SummaryBuilder) -> CallSummary:
    return builder.summary(trace_id="ab" * 16, outcome="completed", labels={"intent": "billing"})


def turns(builder: SummaryBuilder, *events: CallEvent) -> list[Turn]:
    """Return the turns that come of events, one second after each other."""
    records = [each for at, event in enumerate(events) for each in builder.handle(event, float(at))]
    assert tuple(records) == summarised(builder).turns
    return [each for each in records if isinstance(each, Turn)]


def test_a_call_starts_when_its_session_did(call: Call, builder: SummaryBuilder) -> None:
    """The instant of the record is the fallback where nobody noted the session's start yet."""
    assert builder.start("", 2.0) == CallStart("job", "", "receptionist", "production", 1.0)
    call.started_at = None
    assert builder.start("", 2.0).started_at == 2.0


def test_a_measured_latency_is_the_answers(builder: SummaryBuilder) -> None:
    """It is on the first turn of the agent that follows, with its stages."""
    greeting, question, answer, more = turns(
        builder,
        agent("Good day."),
        user(**USER),
        TurnAnswered(1.0, {"llm_first_token": 0.4, "other": 0.6}),
        agent(**AGENT),
        agent("And more.", **AGENT),
    )
    assert greeting == Turn("job", 0, "agent", 0.0, "Good day.")
    assert question == Turn(
        "job",
        1,
        "user",
        1.0,
        "Hello?",
        timings_s={"end_of_turn_delay": 0.5, "transcription_delay": 0.2},
        ended_at=10.0,
    )
    assert answer == Turn(
        "job",
        1,
        "agent",
        3.0,
        "Yes.",
        latency_s=1.0,
        latency_source="measured",
        stages_s={"llm_first_token": 0.4, "other": 0.6},
        timings_s={"llm_node_ttft": 0.25, "tts_node_ttfb": 0.125},
        started_at=11.0,
    )
    assert more.latency_s is None
    assert more.latency_source is None


def test_what_livekit_did_not_measure_is_summed_and_marked(builder: SummaryBuilder) -> None:
    """End of turn, first token and first audio; once, on the turn that answers."""
    _, answer, more = turns(builder, user(**USER), agent(**AGENT), agent(**AGENT))
    assert answer.latency_s == 0.5 + 0.25 + 0.125
    assert answer.latency_source == "summed"
    assert answer.stages_s == {}
    assert more.latency_s is None


@pytest.mark.parametrize("missing", ["end_of_turn_delay", "llm_node_ttft", "tts_node_ttfb"])
def test_a_sum_with_a_part_missing_is_no_latency(builder: SummaryBuilder, missing: str) -> None:
    """A smaller number would pass for a faster answer."""
    _, answer = turns(
        builder,
        user(**{k: v for k, v in USER.items() if k != missing}),
        agent(**{k: v for k, v in AGENT.items() if k != missing}),
    )
    assert answer.latency_s is None
    assert answer.latency_source is None


@pytest.mark.parametrize("latency_s", [-0.1, 60.1])
def test_a_suspect_latency_is_none_here_either(builder: SummaryBuilder, latency_s: float) -> None:
    """As the metric keeps it out; nor is it replaced by a sum."""
    _, answer = turns(builder, user(**USER), TurnAnswered(latency_s, {}), agent(**AGENT))
    assert answer.latency_s is None


def test_a_sum_that_cannot_be_is_no_latency(builder: SummaryBuilder) -> None:
    """LiveKit's delays are differences of two times of day."""
    _, answer = turns(builder, user(**{**USER, "end_of_turn_delay": 3600.5}), agent(**AGENT))
    assert (answer.latency_s, answer.latency_source) == (None, None)


def test_an_answer_that_was_cut_off_at_once_is_a_turn(builder: SummaryBuilder) -> None:
    """Its latency is in the metric."""
    _, cut, again = turns(builder, user(), TurnAnswered(0.5, {"other": 0.5}), user("No, wait."))
    assert (cut.speaker, cut.index, cut.interrupted, cut.text) == ("agent", 1, True, "")
    assert cut.latency_s == 0.5
    assert (again.speaker, again.index) == ("user", 2)
    builder.handle(TurnAnswered(0.25, {}), 8.0)
    [last] = builder.end(9.0)
    assert (last.index, last.latency_s, last.interrupted) == (2, 0.25, True)
    assert summarised(builder).turns[-1] == last
    assert builder.end(9.0) == []


def test_a_tool_is_complete_when_it_ends(builder: SummaryBuilder) -> None:
    """With the turn that it was called in."""
    builder.handle(user(), 1.0)
    event = ToolFinished("book", "success", 0.5, call_id="c1", arguments="{}", output="booked")
    records = builder.handle(event, 2.0)
    assert records == [Tool("job", 1, "book", "success", 2.0, 0.5, "c1", "{}", "booked")]
    assert summarised(builder).tools == tuple(records)


def test_without_content_no_word_is_kept(call: Call) -> None:
    """Neither what was said, nor what tools were given and gave back."""
    builder = SummaryBuilder(call, content=False)
    builder.handle(user("Marmaduke"), 1.0)
    builder.handle(ToolFinished("book", "error", arguments="Marmaduke", output="Marmaduke"), 2.0)
    assert "Marmaduke" not in summarised(builder).to_json()
    assert summarised(builder).turns[0].text is None


def test_the_summary_of_a_call(call: Call, builder: SummaryBuilder) -> None:
    """All that there is to say of it."""
    for event in (
        FirstResponse(0.5),
        SpeechEnded("agent", 2.0),
        SpeechEnded("agent", 1.0),
        SpeechEnded("user", 4.0),
        user(),
        Interrupted("barge_in"),
        HandedOff("reception", "billing"),
        ErrorRaised("llm", "openai", "APIError", True),
        ModelUsed("llm", "openai", "gpt", {Usage.REQUESTS: 1, Usage.INPUT_TOKENS: 10}),
        ModelUsed("llm", "openai", "gpt", {Usage.REQUESTS: 1, Usage.INPUT_TOKENS: 5}),
    ):
        call.apply(event)
        builder.handle(event, 7.0)
    call.dtmf_count = 3
    call.close_reason = "user_initiated"
    call.annotations.reason = "wanted a refund"
    call.annotations.user_id = "u"
    call.annotations.tenant_id = "t"
    call.apply(Converted("bookings", first=True, value=100.0, currency="EUR"))
    call.apply(Converted("bookings", first=False, value=20.0, currency="EUR"))
    call.apply(Converted("upsells", first=True))
    call.apply(FeedbackGiven("csat", 4.0))
    call.costs.by_model["llm", "openai", "gpt"] = 0.25
    call.costs.by_model["other", "flat", "flat"] = 0.5
    call.costs.unpriced["tts", "acme", ""] = 2
    assert summarised(builder) == CallSummary(
        call_id="job",
        trace_id="ab" * 16,
        agent_name="receptionist",
        kind="production",
        outcome="completed",
        reason="wanted a refund",
        labels={"intent": "billing"},
        user_id="u",
        tenant_id="t",
        started_at=1.0,
        ended_at=61.0,
        duration_s=60.0,
        close_reason="user_initiated",
        failed=False,
        first_response_s=0.5,
        user_turns=1,
        turns=(Turn("job", 1, "user", 7.0, "Hello?"),),
        tools=(),
        interruptions=(Interruption("barge_in", 1, 7.0),),
        handoffs=(Handoff("reception", "billing", 7.0),),
        errors=(Error("llm", "openai", "APIError", True, 7.0),),
        speech_s={"agent": 3.0, "user": 4.0},
        usage=(ModelUsage("llm", "openai", "gpt", {"requests": 2, "input_tokens": 15}),),
        cost_dollars=0.75,
        cost_by_component={"llm": 0.25, "other": 0.5},
        costs=(
            ModelCost("llm", "openai", "gpt", 0.25),
            ModelCost("other", "flat", "flat", 0.5),
        ),
        unpriced=(Unpriced("tts", "acme", "", 2),),
        conversions=(Conversion("bookings", {"EUR": 120.0}), Conversion("upsells", {})),
        feedback={"csat": 4.0},
        dtmf_count=3,
    )


def test_a_cost_that_is_not_known_is_none(call: Call, builder: SummaryBuilder) -> None:
    """A zero would be a price."""
    call.costs.unpriced["tts", "acme", ""] = 2
    assert summarised(builder).cost_dollars is None
