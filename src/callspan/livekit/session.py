# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""An AgentSession's events, as facts of the call's record."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from .. import semconv
from ..call.call import Call, FinalTranscript
from ..diagnostics.guard import guarded
from . import clock, job
from .listeners import listener
from .observer import Observer
from .patches import MissingError, Patches
from .session_listener import CallEvents

_KIND_BY_SOURCE = {
    "audio_activity": semconv.INTERRUPTION_BARGE_IN,
    "user_turn": semconv.INTERRUPTION_BARGE_IN,
}


def patch(patches: Patches, observer: Observer) -> list[str]:
    """Observe sessions, recognisers and speeches.

    Returns:
        What this version of livekit-agents has no place for, in plain words.
    """
    calls: dict[int, Call] = {}
    """By id of the live AgentSession."""
    events = CallEvents(observer)

    def start(wrapped: Any, session: Any, args: Any, kwargs: Any) -> Any:
        with guarded("observing a session"):
            if id(session) not in calls:
                agent = args[0] if args else kwargs.get("agent")
                call = observer.session_starting(_new_call, _name_of(agent))
                calls[id(session)] = call
                call.started_at = call.started_at or time.time()
                if call.opened_instant is None:
                    call.opened_instant = clock.now()
                call.closed_at = call.closed_instant = None
                events.listen(session, call)
                _listen(session, call, observer, forget=lambda: calls.pop(id(session), None))
        return wrapped(*args, **kwargs)

    def on_stt_event(wrapped: Any, recognition: Any, args: Any, kwargs: Any) -> Any:
        with guarded("reading a transcript"):
            _note_final(calls.get(id(recognition._session)), args[0])
        return wrapped(*args, **kwargs)

    def on_metrics(wrapped: Any, activity: Any, args: Any, kwargs: Any) -> Any:
        with guarded("reading metrics"):
            metrics = args[0]
            call = calls.get(id(activity._session))
            if call is not None and metrics.type == "stt_metrics":
                call.stt_audio_s += metrics.audio_duration
        return wrapped(*args, **kwargs)

    def cancel_speech(wrapped: Any, speech: Any, args: Any, kwargs: Any) -> Any:
        if not speech.interrupted:
            speech._callspan_interrupted_at_ns = time.time_ns()
        return wrapped(*args, **kwargs)

    def end_agent_turn(wrapped: Any, speech: Any, args: Any, kwargs: Any) -> Any:
        with guarded("recording an interruption"):
            if speech.interrupted and speech._agent_turn_span is not None:
                observer.interrupted(
                    speech._agent_turn_span,
                    _KIND_BY_SOURCE.get(
                        speech._interrupt_source, semconv.INTERRUPTION_PROGRAMMATIC
                    ),
                    getattr(speech, "_callspan_interrupted_at_ns", None),
                )
        return wrapped(*args, **kwargs)

    voice = "livekit.agents.voice"
    patches.wrap(f"{voice}.agent_session", "AgentSession.start", start)
    missing = events.patch(patches)
    optional = (
        (f"{voice}.audio_recognition", "AudioRecognition._on_stt_event", on_stt_event),
        (f"{voice}.agent_activity", "AgentActivity._on_metrics_collected", on_metrics),
        (f"{voice}.speech_handle", "SpeechHandle._cancel", cancel_speech),
        (f"{voice}.speech_handle", "SpeechHandle._end_agent_turn", end_agent_turn),
    )
    for module, path, wrapper in optional:
        try:
            patches.wrap(module, path, wrapper)
        except MissingError as error:
            missing.append(str(error))
    return missing


def _new_call() -> Call:
    """Make the record of a session's call, for the job it runs in or for none."""
    from livekit.agents import get_job_context

    ctx = get_job_context(required=False)
    return (
        job.call_of(ctx)
        if ctx is not None
        else Call(f"session-{uuid4().hex}", kind=semconv.KIND_TEST)
    )


def _name_of(agent: Any) -> str:
    return str(getattr(agent, "id", None) or getattr(agent, "label", None) or "")


def _note_final(call: Call | None, event: Any) -> None:
    if call is None or event.type.value != "final_transcript" or not event.alternatives:
        return
    if text := event.alternatives[0].text:
        received_at = getattr(event, "created_at", None) or time.time()
        call.finals.append(FinalTranscript(received_at, text))


def _listen(session: Any, call: Call, observer: Observer, *, forget: Callable[[], object]) -> None:
    """Subscribe to a session's public events, with listeners that are cheap to call."""

    def on_close(event: Any) -> None:
        forget()
        call.closed_at, call.closed_instant = time.time(), clock.now()
        call.close_reason = str(getattr(event.reason, "value", event.reason))
        call.failed = call.failed or event.error is not None
        observer.session_closed(call)
        # it may be started again, and observed anew
        for name, listening in listeners.items():
            session.off(name, listening)

    def on_agent_state(event: Any) -> None:
        if event.new_state == "speaking":
            call.agent_speech_count += 1

    def on_item(event: Any) -> None:
        if getattr(event.item, "role", None) == "user":
            call.user_message_count += 1

    def on_false_interruption(event: Any) -> None:
        speech = session.current_speech
        span = None if speech is None else getattr(speech, "_agent_turn_span", None)
        observer.interrupted(span, semconv.INTERRUPTION_FALSE, None)

    handlers = {
        "close": on_close,
        "agent_state_changed": on_agent_state,
        "conversation_item_added": on_item,
        "agent_false_interruption": on_false_interruption,
    }
    listeners = {name: listener(name, handle) for name, handle in handlers.items()}
    for name, listening in listeners.items():
        session.on(name, listening)
