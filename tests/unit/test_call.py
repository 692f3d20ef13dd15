# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What is known of a call, from what happens in it."""

from __future__ import annotations

import pytest

from callspan import semconv
from callspan.call.application_events import (
    Converted,
    FeedbackGiven,
    LabelSet,
    OutcomeSet,
    TenantSet,
    Transferred,
    UserSet,
)
from callspan.call.call import Call
from callspan.call.events import (
    AgentTurnStarted,
    CallEvent,
    CostRecorded,
    EntrypointFailed,
    ErrorRaised,
    FinalTranscript,
    Interrupted,
    KeyPressed,
    MessageAdded,
    ModelUsed,
    SessionClosed,
    SessionStarted,
    SpeechStarted,
    ToolFinished,
    TurnAnswered,
    UserTurnEnded,
    UserTurnStarted,
)
from callspan.semconv import Usage


def call_after(*happened: CallEvent) -> Call:
    call = Call("1")
    for event in happened:
        call.apply(event)
    return call


def test_a_turn_takes_its_transcripts_and_leaves_none() -> None:
    """What the recogniser gave belongs to one turn only; what came before it is left out."""
    late, first, second = (FinalTranscript(at, "x") for at in (9.0, 11.0, 12.0))
    heard = ModelUsed("stt", "acme", "ear", {Usage.AUDIO_DURATION: 1.5})
    paid = CostRecorded("stt", "acme", "ear", 0.01)
    # of another component, and without a price
    others = ModelUsed("tts", "acme", "voice", {Usage.AUDIO_DURATION: 9.0})
    unpriced = CostRecorded("stt", "acme", "ear", None)
    call = call_after(late, first, second, heard, paid, others, unpriced)
    assert call.speech(since=10.0) == ([first, second], 1.5, 0.01)
    call.apply(UserTurnEnded())
    assert call.speech(since=0.0) == ([], 0.0, 0.0)


def test_duration_is_known_only_of_a_closed_call() -> None:
    """From the first start to the last close; a session that is open again has none."""
    call = call_after(SessionStarted(1_000.0, 10.0, "front-desk"))
    assert (call.started_at, call.agent_name, call.duration_s) == (1_000.0, "front-desk", None)
    call.apply(SessionClosed(1_002.5, 12.5, "user_initiated", False))
    assert (call.closed_at, call.close_reason, call.duration_s) == (1_002.5, "user_initiated", 2.5)
    call.apply(SessionStarted(1_010.0, 20.0, "back-office"))
    assert (call.started_at, call.agent_name, call.duration_s) == (1_000.0, "front-desk", None)
    call.apply(SessionClosed(1_014.0, 24.0, "error", True))
    assert (call.close_reason, call.failed, call.duration_s) == ("error", True, 14.0)


def test_turns_are_counted_by_whoever_hears_them() -> None:
    """A realtime model that keeps turns to itself shows them by its answers."""
    speaks = SpeechStarted(semconv.SPEAKER_USER)
    turn = (speaks, UserTurnStarted(), AgentTurnStarted())
    assert call_after(AgentTurnStarted()).turn_index == 0
    assert call_after(AgentTurnStarted(), *turn, *turn).turn_index == 2

    turn = (speaks, AgentTurnStarted(), AgentTurnStarted())
    assert call_after(AgentTurnStarted(), *turn, *turn).turn_index == 2


def test_what_is_counted() -> None:
    """Messages of the user, the agent's speech, keys, and the user's interruptions."""
    call = call_after(
        MessageAdded(semconv.SPEAKER_USER, "Hi.", False, {}),
        MessageAdded(semconv.SPEAKER_AGENT, "Hello.", False, {}),
        SpeechStarted(semconv.SPEAKER_AGENT),
        SpeechStarted(semconv.SPEAKER_AGENT),
        KeyPressed(),
        KeyPressed(),
        KeyPressed(),
        Interrupted(semconv.INTERRUPTION_BARGE_IN),
        Interrupted(semconv.INTERRUPTION_FALSE),
    )
    assert call.user_message_count == 1
    assert call.agent_speech_count == 2
    assert call.dtmf_count == 3
    assert call.interruptions == 1


@pytest.mark.parametrize(
    ("happened", "failures", "slowest"),
    [
        (ToolFinished("book", semconv.TOOL_ERROR), 1, 0.0),
        (ToolFinished("book", semconv.TOOL_SUCCESS), 0, 0.0),
        (ErrorRaised("llm", "", "APIError", recoverable=False), 1, 0.0),
        (ErrorRaised("llm", "", "APIError", recoverable=True), 0, 0.0),
        (TurnAnswered(2.5, {}), 0, 2.5),
        (TurnAnswered(-0.1, {}), 0, 0.0),
        (TurnAnswered(1e9, {}), 0, 0.0),
    ],
)
def test_what_makes_a_call_worth_looking_at(
    happened: CallEvent, failures: int, slowest: float
) -> None:
    """What failed for good, and the slowest turn; a latency that cannot be is none."""
    call = call_after(happened, TurnAnswered(0.0, {}))
    assert (call.failures, call.slowest_turn_s, call.failed) == (failures, slowest, False)


def test_an_entrypoint_that_raised_is_a_failed_call() -> None:
    """Whatever its session said."""
    call = call_after(EntrypointFailed(), SessionClosed(1.0, 1.0, "job_shutdown", False))
    assert call.failed


def test_what_the_application_says() -> None:
    """The last word on outcome and labels; conversions once, what they are worth added up."""
    said = call_after(
        OutcomeSet("booking", "asked for a price"),
        OutcomeSet("voicemail"),
        Converted("bookings", True, 120.0, "EUR"),
        Converted("bookings", False, 80.0, "EUR"),
        Converted("callbacks", True),
        LabelSet("intent", "billing"),
        LabelSet("intent", "booking"),
        FeedbackGiven("csat", 4.0),
        Transferred(),
        UserSet("u-1"),
        TenantSet("t-1"),
    ).annotations
    assert (said.outcome, said.reason) == ("voicemail", "")
    assert said.conversions == ["bookings", "callbacks"]
    assert dict(said.values) == {("bookings", "EUR"): 200.0}
    assert said.labels == {"intent": "booking"}
    assert said.feedback == {"csat": 4.0}
    assert (said.transferred, said.user_id, said.tenant_id) == (True, "u-1", "t-1")


def test_usage_and_costs_are_summed_by_model() -> None:
    """Sums by component; of idle times the longest; what has no price is counted."""
    call = call_after(
        ModelUsed("stt", "acme", "ear", {Usage.AUDIO_DURATION: 2.0}),
        ModelUsed("stt", "acme", "ear", {Usage.AUDIO_DURATION: 1.0}),
        ModelUsed("vad", "", "silero", {Usage.LONGEST_IDLE: 7.0, Usage.INFERENCES: 30}),
        ModelUsed("vad", "", "silero", {Usage.LONGEST_IDLE: 3.0, Usage.INFERENCES: 30}),
        CostRecorded("stt", "acme", "ear", 0.01),
        CostRecorded("stt", "acme", "ear", 0.02),
        CostRecorded("llm", "acme", "brain", None),
    )
    assert call.usage.fields() == {
        "agent.usage.stt.audio_duration": 3.0,
        "agent.usage.vad.longest_idle": 7.0,
        "agent.usage.vad.inferences": 60,
    }
    assert dict(call.costs.by_model) == {("stt", "acme", "ear"): pytest.approx(0.03)}
    assert dict(call.costs.unpriced) == {("llm", "acme", "brain"): 1}
