# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Where livekit-agents is patched to follow its sessions, and what each patch hands on.

Events, metrics objects and ``ChatMessage.metrics`` are public, and read by
:mod:`.session_listener`. The functions wrapped here say what no event does: that a session
starts, when models and tools are asked, each final transcript, and when a speech is stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from uuid import uuid4
from weakref import WeakKeyDictionary

from .. import semconv
from ..call.call import Call
from ..diagnostics.guard import guarded
from . import job
from .observer import Observer
from .patches import MissingError, Patches
from .session_listener import SessionListener

_KIND_BY_SOURCE: Final = {
    "audio_activity": semconv.INTERRUPTION_BARGE_IN,
    "user_turn": semconv.INTERRUPTION_BARGE_IN,
}
_VOICE: Final = "livekit.agents.voice"

_Wrapper = Callable[[Any, Any, Any, Any], Any]


def patch(patches: Patches, observer: Observer) -> list[str]:
    """Follow the sessions of this process.

    Returns:
        What this version of livekit-agents has no place for, in plain words.
    """
    sessions: WeakKeyDictionary[Any, SessionListener] = WeakKeyDictionary()

    def start(wrapped: Any, session: Any, args: Any, kwargs: Any) -> Any:
        with guarded("observing a session"):
            followed = sessions.get(session)
            if followed is None or followed.is_closed:
                agent = args[0] if args else kwargs.get("agent")
                call = observer.session_starting(partial(_new_call, observer))
                followed = sessions[session] = SessionListener(session, call, observer)
                followed.start(_name_of(agent))
        return wrapped(*args, **kwargs)

    patches.wrap(f"{_VOICE}.agent_session", "AgentSession.start", start)
    missing = _wrap_all(patches, _turns(sessions), "stages of turns are other")
    return missing + _wrap_all(patches, {**_transcripts(sessions), **_speeches(observer)})


def _wrap_all(
    patches: Patches, wrappers: dict[tuple[str, str], _Wrapper], without: str = ""
) -> list[str]:
    """Wrap what is there; return what is not, in plain words."""
    missing = []
    for (module, path), wrapper in wrappers.items():
        try:
            patches.wrap(f"{_VOICE}.{module}", path, wrapper)
        except MissingError as error:
            missing.append(f"{error}: {without}" if without else str(error))
    return missing


def _turns(sessions: WeakKeyDictionary[Any, SessionListener]) -> dict[tuple[str, str], _Wrapper]:
    """Know when models and tools are asked: without it, stages of a turn are not told apart."""

    def on_llm(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        result = wrapped(*args, **kwargs)
        with guarded("noting a generation"):
            if (followed := _of_node(kwargs.get("node"))) is not None:
                followed.turn.llm_asked(result[1])
        return result

    def on_tts(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        result = wrapped(*args, **kwargs)
        with guarded("noting a synthesis"):
            if (followed := _of_node(kwargs.get("node"))) is not None:
                followed.turn.tts_asked(result[1])
        return result

    def on_tools(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        with guarded("noting tools"):
            if (followed := sessions.get(kwargs.get("session"))) is not None:
                kwargs = followed.watching_tools(kwargs)
        return wrapped(*args, **kwargs)

    def _of_node(node: Any) -> SessionListener | None:
        """Find the session of an agent's ``llm_node`` or ``tts_node``, a bound method."""
        activity = getattr(getattr(node, "__self__", None), "_activity", None)
        session = getattr(activity, "_session", None)
        return None if session is None else sessions.get(session)

    return {
        ("agent_activity", "perform_llm_inference"): on_llm,
        ("agent_activity", "perform_tts_inference"): on_tts,
        ("agent_activity", "perform_tool_executions"): on_tools,
    }


def _transcripts(
    sessions: WeakKeyDictionary[Any, SessionListener],
) -> dict[tuple[str, str], _Wrapper]:
    """Read each final transcript when it arrives; an event comes with the end of the turn."""

    def on_stt_event(wrapped: Any, recognition: Any, args: Any, kwargs: Any) -> Any:
        with guarded("reading a transcript"):
            if (followed := sessions.get(recognition._session)) is not None:
                followed.recognised(args[0])
        return wrapped(*args, **kwargs)

    return {("audio_recognition", "AudioRecognition._on_stt_event"): on_stt_event}


def _speeches(observer: Observer) -> dict[tuple[str, str], _Wrapper]:
    """Note who stopped a speech, and when, while its span can be written."""

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

    return {
        ("speech_handle", "SpeechHandle._cancel"): cancel_speech,
        ("speech_handle", "SpeechHandle._end_agent_turn"): end_agent_turn,
    }


def _new_call(observer: Observer) -> Call:
    """Make the record of a session's call, for the job it runs in or for none."""
    from livekit.agents import get_job_context

    ctx = get_job_context(required=False)
    return (
        job.call_of(ctx, observer)
        if ctx is not None
        else Call(f"session-{uuid4().hex}", kind=semconv.KIND_TEST)
    )


def _name_of(agent: Any) -> str:
    return str(getattr(agent, "id", None) or getattr(agent, "label", None) or "")
