# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a session does, from LiveKit's events and metrics objects, as facts of its call."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from .. import semconv
from ..call.call import Call
from ..call.events import (
    CallEvent,
    ErrorRaised,
    FinalTranscript,
    FirstResponse,
    HandedOff,
    MessageAdded,
    SessionClosed,
    SessionStarted,
    SpeechEnded,
    SpeechStarted,
    ToolFinished,
    ToolsDeclared,
    TurnAnswered,
)
from ..diagnostics.guard import observed
from . import clock, metric_fields
from .listeners import listener
from .observer import Observer
from .turn_tracker import TurnTracker

_TOOL_STATUSES: Final = {
    "done": semconv.TOOL_SUCCESS,
    "error": semconv.TOOL_ERROR,
    "cancelled": semconv.TOOL_CANCELLED,
}
_SPEAKERS: Final = {"user": semconv.SPEAKER_USER, "assistant": semconv.SPEAKER_AGENT}
_COMPONENT_BY_ERROR: Final = {
    "llm_error": semconv.COMPONENT_LLM,
    "stt_error": semconv.COMPONENT_STT,
    "tts_error": semconv.COMPONENT_TTS,
    "realtime_model_error": semconv.COMPONENT_REALTIME,
    "interruption_detection_error": semconv.COMPONENT_INTERRUPTION,
}


class SessionListener:
    """One session that is followed: its events, and what is remembered from one to the next.

    Args:
        session: LiveKit's, about to start.
        call: The call that it is part of.
        observer: Takes in what happens.

    Attributes:
        turn: What is done between the end of the user's speech and the answer to it.
        is_closed: Whether it has closed; it may be started, and followed, again.
    """

    def __init__(self, session: Any, call: Call, observer: Observer) -> None:
        # weak: it is the key under which this is kept
        self._session = weakref.ref(session)
        self._call = call
        self._observer = observer
        self.turn = TurnTracker()
        self.is_closed = False
        self._heard = call.agent_speech_count > 0
        self._speaking_since: dict[str, float] = {}
        self._running_tools: dict[str, tuple[Any, float]] = {}
        self._started_tools: set[str] = set()
        self._early_metrics: Any = None
        self._reported_latency: float | None = None
        self._listeners: dict[str, Callable[[Any], None]] = {}

    def start(self, agent_name: str) -> None:
        """Say that the session starts, and listen to its events.

        Args:
            agent_name: The agent that it starts with.
        """
        self._emit(SessionStarted(time.time(), clock.now(), agent_name))
        from livekit.rtc import EventEmitter

        session = self._session()
        for name, handle in (
            ("agent_state_changed", self._agent_state_changed),
            ("user_state_changed", self._user_state_changed),
            ("conversation_item_added", self._item_added),
            ("metrics_collected", self._metrics_collected),
            ("speech_created", self._speech_created),
            ("tool_execution_updated", self._tool_updated),
            ("agent_false_interruption", self._false_interruption),
            ("error", self._error),
            ("close", self._close),
        ):
            self._listeners[name] = listener(name, handle)
            # not the session's own on(), which warns whoever wants metrics_collected
            EventEmitter.on(session, name, self._listeners[name])

    def _emit(self, event: CallEvent) -> None:
        self._observer.call_event(self._call, event)

    # --- who speaks ----------------------------------------------------------------------------

    def _agent_state_changed(self, event: Any) -> None:
        session = self._session()
        if session is None:
            return
        if event.new_state == "speaking":
            self._emit(SpeechStarted(semconv.SPEAKER_AGENT))
            if session.output.audio is not None and session.output.audio_enabled:
                at = clock.instant_of(event.created_at)
                self._speaking_since[semconv.SPEAKER_AGENT] = at
                self._first_heard(at)
            early = getattr(session, "_early_assistant_metrics", None)
            # what is set stays until the next answer: the object tells whether it is new
            if early is not None and early is not self._early_metrics:
                self._early_metrics = early
                self._answered(early, heard_at=clock.instant_of(event.created_at))
        elif event.old_state == "speaking":
            self._speech_ended(semconv.SPEAKER_AGENT, clock.instant_of(event.created_at))

    def _first_heard(self, at: float) -> None:
        if not self._heard:
            self._heard = True
            if self._call.opened_instant is not None:
                self._emit(FirstResponse(max(at - self._call.opened_instant, 0.0)))

    def _user_state_changed(self, event: Any) -> None:
        if event.new_state == "speaking":
            self._speaking_since[semconv.SPEAKER_USER] = clock.instant_of(event.created_at)
        elif event.old_state == "speaking":
            self._speech_ended(semconv.SPEAKER_USER, clock.instant_of(event.created_at))

    def _speech_ended(self, speaker: str, at: float) -> None:
        since = self._speaking_since.pop(speaker, None)
        if since is not None and at > since:
            self._emit(SpeechEnded(speaker, at - since))

    def _false_interruption(self, event: Any) -> None:
        speech = getattr(self._session(), "current_speech", None)
        span = getattr(speech, "_agent_turn_span", None)
        self._observer.interrupted(span, semconv.INTERRUPTION_FALSE, None)

    def recognised(self, event: Any) -> None:
        """Take in a recogniser's event, which LiveKit keeps to itself."""
        if event.type.value != "final_transcript" or not event.alternatives:
            return
        if text := event.alternatives[0].text:
            received_at = getattr(event, "created_at", None) or time.time()
            self._emit(FinalTranscript(received_at, text))

    def _close(self, event: Any) -> None:
        self.is_closed = True
        for speaker in list(self._speaking_since):
            self._speech_ended(speaker, clock.instant_of(event.created_at))
        reason = str(getattr(event.reason, "value", event.reason))
        failed = event.error is not None
        self._emit(SessionClosed(time.time(), clock.now(), reason, failed))
        if (session := self._session()) is not None:
            for name, listener in self._listeners.items():
                session.off(name, listener)

    # --- turns ---------------------------------------------------------------------------------

    def _metrics_collected(self, event: Any) -> None:
        if event.metrics.type == "eou_metrics":
            self.turn.turn_ended(event.metrics)
        if (used := metric_fields.to_model_used(event.metrics)) is not None:
            self._emit(used)

    def _speech_created(self, event: Any) -> None:
        activity = getattr(self._session(), "_activity", None)
        if getattr(activity, "realtime_llm_session", None) is not None:
            self.turn.reply_requested(clock.instant_of(event.created_at))

    def _item_added(self, event: Any) -> None:
        item = event.item
        if item.type == "agent_handoff":
            self._agent_changed(item.old_agent_id, item.new_agent_id)
        elif (speaker := _SPEAKERS.get(getattr(item, "role", ""))) is not None:
            metrics = item.metrics
            # after the speech; most latencies were known when it began, see above
            if (
                speaker == semconv.SPEAKER_AGENT
                and metrics.get("e2e_latency") != self._reported_latency
            ):
                began_at = metrics.get("started_speaking_at")
                heard_at = clock.instant_of(began_at) if began_at else clock.now()
                self._answered(metrics, heard_at=heard_at)
            numbers = {k: v for k, v in metrics.items() if isinstance(v, int | float)}
            self._emit(MessageAdded(speaker, item.text_content or "", item.interrupted, numbers))

    def _answered(self, metrics: Mapping[str, Any], *, heard_at: float) -> None:
        latency = metrics.get("e2e_latency")
        if latency is None:
            return
        self._reported_latency = latency
        stages = self.turn.answered(
            latency=latency,
            playback_latency=metrics.get("playback_latency") or 0.0,
            heard_at=heard_at,
        )
        self._emit(TurnAnswered(latency, stages))

    # --- agents, tools, errors -----------------------------------------------------------------

    def _agent_changed(self, old: str | None, new: str) -> None:
        activity = getattr(self._session(), "_activity", None)
        if activity is not None:
            self._emit(ToolsDeclared(_names(activity.tools)))
        if old is not None:
            self._emit(HandedOff(old, new))

    def watching_tools(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of ``perform_tool_executions`` with our callbacks chained in."""
        declared = kwargs["tool_ctx"].function_tools

        def on_started(wrapped: Any, _: Any, args: Any, given: Any) -> Any:
            self.turn.tool_called(args[0].call_id)
            return wrapped(*args, **given)

        def on_completed(wrapped: Any, _: Any, args: Any, given: Any) -> Any:
            self._tool_completed(args[0], declared)
            return wrapped(*args, **given)

        started, completed = "tool_execution_started_cb", "tool_execution_completed_cb"
        return {
            **kwargs,
            started: observed("noting a tool", kwargs[started], on_started),
            completed: observed("noting the end of a tool", kwargs[completed], on_completed),
        }

    def _tool_completed(self, output: Any, declared: Mapping[str, Any]) -> None:
        call = output.fnc_call
        self.turn.tool_answered(call.call_id)
        if call.call_id not in self._started_tools:
            # refused without being run: unknown, bad arguments, a duplicate
            name = call.name if call.name in declared else semconv.OTHER
            refused = semconv.TOOL_ERROR if output.fnc_call_out.is_error else semconv.TOOL_CANCELLED
            result = output.fnc_call_out.output
            self._emit(
                ToolFinished(
                    name, refused, call_id=call.call_id, arguments=call.arguments, output=result
                )
            )

    def _tool_updated(self, event: Any) -> None:
        update = event.update
        if update.type == "tool_call_started":
            call = update.function_call
            self._started_tools.add(call.call_id)
            self._running_tools[call.call_id] = (call, clock.instant_of(event.created_at))
        elif update.type == "tool_call_ended":
            call, since = self._running_tools.pop(update.call_id)
            duration_s = max(clock.instant_of(event.created_at) - since, 0.0)
            self._emit(
                ToolFinished(
                    call.name,
                    _TOOL_STATUSES[update.status],
                    duration_s,
                    call_id=call.call_id,
                    arguments=call.arguments,
                    output=update.message,
                )
            )

    def _error(self, event: Any) -> None:
        error = event.error
        self._emit(
            ErrorRaised(
                component=_COMPONENT_BY_ERROR.get(getattr(error, "type", ""), semconv.OTHER),
                provider=str(getattr(event.source, "provider", "")),
                error_type=type(getattr(error, "error", error)).__name__,
                recoverable=bool(getattr(error, "recoverable", False)),
            )
        )


def _names(tools: Iterable[Any]) -> tuple[str, ...]:
    from livekit.agents.llm import ToolContext

    return tuple(ToolContext(list(tools)).function_tools)
