# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""LiveKit's events as records of the call, on a session that only emits them."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
from livekit.agents import APITimeoutError, function_tool
from livekit.agents.language import LanguageCode
from livekit.agents.llm import AgentHandoff, ChatMessage, FunctionCall, FunctionCallOutput, LLMError
from livekit.agents.metrics import EOUMetrics
from livekit.agents.stt import SpeechData, SpeechEvent, SpeechEventType
from livekit.agents.voice import events as lk
from livekit.rtc import EventEmitter
from opentelemetry.trace import Span

from callspan.call.call import Call
from callspan.call.events import (
    CallEvent,
    ErrorRaised,
    FinalTranscript,
    FirstResponse,
    HandedOff,
    Interrupted,
    SessionClosed,
    SessionStarted,
    SpeechEnded,
    SpeechStarted,
    ToolFinished,
    ToolsDeclared,
    TurnAnswered,
)
from callspan.livekit import clock
from callspan.livekit.observer import Observer
from callspan.livekit.session_listener import SessionListener


class Session(EventEmitter[str]):
    """A session's events and the attributes of it that are read."""

    def __init__(self, clocks: Clocks) -> None:
        super().__init__()
        self.clocks = clocks
        self.output = SimpleNamespace(audio=object(), audio_enabled=True)
        self._activity: Any = None
        self.current_speech: Any = None
        self._early_assistant_metrics: Any = None

    def agent(self, old: str, new: str, at: float) -> None:
        self.clocks.show(at)
        event = lk.AgentStateChangedEvent(old_state=old, new_state=new, created_at=at)  # type: ignore[arg-type]
        self.emit("agent_state_changed", event)

    def user(self, old: str, new: str, at: float) -> None:
        self.clocks.show(at)
        event = lk.UserStateChangedEvent(old_state=old, new_state=new, created_at=at)  # type: ignore[arg-type]
        self.emit("user_state_changed", event)

    def says(self, **metrics: float) -> None:
        item = ChatMessage(role="assistant", content=["Hello."], metrics=metrics)  # type: ignore[typeddict-item]
        self.emit("conversation_item_added", lk.ConversationItemAddedEvent(item=item))

    def tool(self, update: Any, at: float) -> None:
        self.clocks.show(at)
        event = lk.ToolExecutionUpdatedEvent(update=update, created_at=at)
        self.emit("tool_execution_updated", event)


class Sink:
    """Takes in what happens in a call, as the runtime does.

    Attributes:
        events: What happened while the session was open.
        starts: Its starts.
        closes: Its closes.
    """

    def __init__(self) -> None:
        self.events: list[CallEvent] = []
        self.starts: list[SessionStarted] = []
        self.closes: list[SessionClosed] = []

    def call_event(self, call: Call, event: CallEvent) -> None:
        call.apply(event)
        if isinstance(event, SessionStarted):
            self.starts.append(event)
        elif isinstance(event, SessionClosed):
            self.closes.append(event)
        else:
            self.events.append(event)

    def interrupted(self, span: Span | None, kind: str, at_ns: int | None) -> None:
        self.events.append(Interrupted(kind))


def follow(session: Session, sink: Sink) -> SessionListener:
    """Follow a session that starts at the instant that its clocks show."""
    followed = SessionListener(session, Call("job"), cast("Observer", sink))
    followed.start("front-desk")
    return followed


@dataclass
class Clocks:
    """The clocks of a process.

    Attributes:
        instant: What the one shows that cannot step.
        time_of_day: What the other shows.
    """

    instant: float = 100.0
    time_of_day: float = 100.0

    def show(self, at: float) -> None:
        """Both show the same."""
        self.instant = self.time_of_day = at


@pytest.fixture(autouse=True)
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Clocks that begin at the same second, so that events of the future are of now."""
    clocks = Clocks()
    fake = SimpleNamespace(time=lambda: clocks.time_of_day, perf_counter=lambda: clocks.instant)
    monkeypatch.setattr(clock, "time", fake)
    return clocks


@pytest.fixture
def session(clocks: Clocks) -> Session:
    return Session(clocks)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def followed(session: Session, sink: Sink) -> SessionListener:
    return follow(session, sink)


@pytest.mark.usefixtures("followed")
def test_who_speaks(session: Session, sink: Sink) -> None:
    """The first audio of the agent, and how long each of the two spoke."""
    session.agent("initializing", "speaking", 101.5)
    session.agent("speaking", "listening", 103.5)
    session.user("listening", "speaking", 104.0)
    session.user("speaking", "listening", 105.0)
    session.agent("thinking", "speaking", 106.0)
    session.clocks.show(107.0)
    session.emit("close", lk.CloseEvent(reason=lk.CloseReason.USER_INITIATED, created_at=107.0))
    assert sink.events == [
        SpeechStarted("agent"),
        FirstResponse(1.5),
        SpeechEnded("agent", 2.0),
        SpeechEnded("user", 1.0),
        SpeechStarted("agent"),
        SpeechEnded("agent", 1.0),
    ]
    [started], [closed] = sink.starts, sink.closes
    assert (started.instant, started.agent_name) == (100.0, "front-desk")
    assert (closed.instant, closed.reason, closed.failed) == (107.0, "user_initiated", False)


@pytest.mark.usefixtures("followed")
def test_a_chat_has_no_speech(session: Session, sink: Sink) -> None:
    """LiveKit calls an agent that writes speaking, too."""
    session.output.audio = None
    session.agent("thinking", "speaking", 101.5)
    session.agent("speaking", "listening", 103.5)
    assert sink.events == [SpeechStarted("agent")]


@pytest.mark.usefixtures("followed")
def test_a_latency_is_told_when_the_answer_begins_and_once(session: Session, sink: Sink) -> None:
    """Not again with the message that follows, nor with a speech that answers nothing."""
    session.output.audio = None
    session.clocks.show(100.5)
    session.emit(
        "metrics_collected",
        lk.MetricsCollectedEvent(
            metrics=EOUMetrics(
                timestamp=100.5,
                end_of_utterance_delay=0.5,
                transcription_delay=0.25,
                on_user_turn_completed_delay=0.0,
            )
        ),
    )
    session._early_assistant_metrics = {"e2e_latency": 1.0, "playback_latency": 0.125}
    session.agent("thinking", "speaking", 101.0)
    session.says(e2e_latency=1.0, started_speaking_at=101.0)
    session.agent("listening", "speaking", 109.0)
    session.says()
    [answered] = [event for event in sink.events if isinstance(event, TurnAnswered)]
    assert answered.latency_s == 1.0
    assert answered.stages_s == {
        "transcription": 0.25,
        "end_of_turn": 0.25,
        "turn_hook": 0.0,
        "playback": 0.125,
        "other": 0.375,
    }


@pytest.mark.usefixtures("followed")
def test_a_latency_that_was_not_told_early_comes_with_the_message(
    session: Session, sink: Sink
) -> None:
    """As of an agent that greets after a handoff, or in a version that keeps no early metrics."""
    session.says(e2e_latency=1.0, started_speaking_at=101.0)
    answered = [event for event in sink.events if isinstance(event, TurnAnswered)]
    assert answered == [TurnAnswered(1.0, {"playback": 0.0, "other": 1.0})]


@pytest.mark.usefixtures("followed")
def test_a_handoff_and_the_tools_it_brings(session: Session, sink: Sink) -> None:
    """The first agent of a session is none: nobody had the call before."""

    @function_tool
    async def book() -> None:
        """Book."""

    session._activity = SimpleNamespace(tools=[book])
    for old, new in ((None, "greeter"), ("greeter", "accounts")):
        item = AgentHandoff(old_agent_id=old, new_agent_id=new)
        session.emit("conversation_item_added", lk.ConversationItemAddedEvent(item=item))
    assert sink.events == [
        ToolsDeclared(("book",)),
        ToolsDeclared(("book",)),
        HandedOff("greeter", "accounts"),
    ]


@pytest.mark.usefixtures("followed")
@pytest.mark.parametrize(
    ("theirs", "ours"), [("done", "success"), ("error", "error"), ("cancelled", "cancelled")]
)
def test_a_tool_that_ran(session: Session, sink: Sink, theirs: Any, ours: str) -> None:
    """From its start to its true end, however early the turn went on without it."""
    call = FunctionCall(call_id="1", name="book", arguments="{}")
    session.tool(lk.ToolCallStarted(function_call=call), 101.0)
    session.tool(lk.ToolCallEnded(id="1_final", call_id="1", status=theirs), 104.0)
    assert sink.events == [ToolFinished("book", ours, 3.0)]


@pytest.mark.parametrize(
    ("name", "is_error", "expected"),
    [
        ("invented", True, ToolFinished("other", "error")),
        ("book", True, ToolFinished("book", "error")),
        ("book", False, ToolFinished("book", "cancelled")),
    ],
)
def test_a_tool_that_was_refused(
    session: Session,
    sink: Sink,
    followed: SessionListener,
    name: str,
    is_error: bool,
    expected: ToolFinished,
) -> None:
    """Unknown, with bad arguments, or a duplicate: it did not run; LiveKit hears of it as ever."""
    heard: list[Any] = []

    def perform_tool_executions(**kwargs: Any) -> None:
        call = FunctionCall(call_id="1", name=name, arguments="{}")
        output = FunctionCallOutput(call_id="1", name=name, output="no", is_error=is_error)
        kwargs["tool_execution_completed_cb"](SimpleNamespace(fnc_call=call, fnc_call_out=output))

    kwargs = {
        "tool_ctx": SimpleNamespace(function_tools={"book": object()}),
        "tool_execution_started_cb": heard.append,
        "tool_execution_completed_cb": heard.append,
    }
    perform_tool_executions(**followed.watching_tools(kwargs))
    assert sink.events == [expected]
    assert len(heard) == 1


@pytest.mark.parametrize(
    ("kind", "text", "transcripts"),
    [
        (SpeechEventType.FINAL_TRANSCRIPT, "Hello.", [FinalTranscript(104.5, "Hello.")]),
        (SpeechEventType.FINAL_TRANSCRIPT, "", []),
        (SpeechEventType.INTERIM_TRANSCRIPT, "Hel", []),
    ],
)
def test_final_transcripts(
    sink: Sink,
    followed: SessionListener,
    kind: SpeechEventType,
    text: str,
    transcripts: list[FinalTranscript],
) -> None:
    """Those that say something, with when the recogniser gave them."""
    data = SpeechData(language=LanguageCode("en"), text=text)
    event = SpeechEvent(type=kind, alternatives=[data])
    event.created_at = 104.5
    followed.recognised(event)
    followed.recognised(SpeechEvent(type=kind, alternatives=[]))
    assert sink.events == transcripts


@pytest.mark.usefixtures("followed")
def test_an_interruption_that_was_none(session: Session, sink: Sink) -> None:
    """Whether or not a speech is still there."""
    event = lk.AgentFalseInterruptionEvent(resumed=True)
    for speech in (None, SimpleNamespace(_agent_turn_span=None)):
        session.current_speech = speech
        session.emit("agent_false_interruption", event)
    assert sink.events == [Interrupted("false")] * 2


@pytest.mark.usefixtures("followed")
def test_an_error(session: Session, sink: Sink) -> None:
    """Whose, of which class, and whether the session lives on; never its words."""
    error = LLMError(
        timestamp=1.0, label="llm", error=APITimeoutError("who knows"), recoverable=True
    )
    source = SimpleNamespace(provider="api.example.com")
    session.emit("error", lk.ErrorEvent(error=error, source=source))
    assert sink.events == [ErrorRaised("llm", "api.example.com", "APITimeoutError", True)]


def test_a_session_that_starts_again_is_followed_once(session: Session, sink: Sink) -> None:
    """What was listened to before its close is not heard twice."""
    first = follow(session, sink)
    session.emit("close", lk.CloseEvent(reason=lk.CloseReason.USER_INITIATED))
    assert first.is_closed
    assert not follow(session, sink).is_closed
    session.user("listening", "speaking", 104.0)
    session.user("speaking", "listening", 105.0)
    assert sink.events == [SpeechEnded("user", 1.0)]


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_a_clock_that_is_set_changes_no_duration(sink: Sink, clocks: Clocks, step_s: float) -> None:
    """In the midst of a greeting, of what the user says, and of a tool: the time of day jumps."""
    session = Session(clocks)
    follow(session, sink)
    tool = FunctionCall(call_id="1", name="book", arguments="{}")
    ahead_s = 0.0

    def at(instant: float) -> float:
        clocks.instant, clocks.time_of_day = instant, instant + ahead_s
        return clocks.time_of_day

    def emit(name: str, event: Any) -> None:
        session.emit(name, event)

    def states(kind: str, old: str, new: str, created_at: float) -> None:
        event = {"agent": lk.AgentStateChangedEvent, "user": lk.UserStateChangedEvent}[kind]
        emit(f"{kind}_state_changed", event(old_state=old, new_state=new, created_at=created_at))

    states("agent", "initializing", "speaking", at(101.5))
    ahead_s += step_s
    states("agent", "speaking", "listening", at(103.5))
    states("user", "listening", "speaking", at(104.0))
    ahead_s += step_s
    # stamped with when the last word was heard, half a second ago
    states("user", "speaking", "listening", at(105.5) - 0.5)
    emit(
        "tool_execution_updated",
        lk.ToolExecutionUpdatedEvent(
            update=lk.ToolCallStarted(function_call=tool), created_at=at(106.0)
        ),
    )
    ahead_s += step_s
    emit(
        "tool_execution_updated",
        lk.ToolExecutionUpdatedEvent(
            update=lk.ToolCallEnded(id="1", call_id="1", status="done"), created_at=at(106.25)
        ),
    )
    assert sink.events == [
        SpeechStarted("agent"),
        FirstResponse(1.5),
        SpeechEnded("agent", 2.0),
        SpeechEnded("user", 1.0),
        ToolFinished("book", "success", 0.25),
    ]


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_a_stamp_from_before_the_clock_was_set_is_of_now(clocks: Clocks, step_s: float) -> None:
    """Half a second that cannot be told, in place of an hour that did not pass."""
    clocks.show(5000.0)
    assert clock.instant_of(4999.5) == 4999.5
    clocks.time_of_day += step_s
    assert clock.instant_of(4999.5) == 5000.0
