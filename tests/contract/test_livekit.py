# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What we read of livekit-agents: fails when a release moves it, before a dashboard goes empty."""

from __future__ import annotations

import typing
from collections.abc import Iterator

import pytest
from livekit.agents import AgentServer
from livekit.agents.llm import ChatMessage
from livekit.agents.stt import SpeechEventType
from livekit.agents.telemetry import pii, trace_types
from livekit.agents.voice import events, speech_handle
from livekit.agents.voice.agent_session import AgentSession

from callspan import semconv
from callspan.export.content_filter import is_content
from callspan.livekit import install
from callspan.livekit.patches import Patches


@pytest.fixture
def patches() -> Iterator[Patches]:
    patches = Patches()
    yield patches
    patches.undo()


def test_every_place_we_patch_is_there(patches: Patches) -> None:
    """With the installed version nothing is degraded."""
    assert install.install(patches, observer=None) == []  # type: ignore[arg-type]


def test_undo_puts_back_the_very_objects(patches: Patches) -> None:
    """What was replaced is the same object again."""
    before = {name: vars(AgentSession)[name] for name in ("start",)}
    install.install(patches, observer=None)  # type: ignore[arg-type]
    assert vars(AgentSession)["start"] is not before["start"]
    patches.undo()
    assert vars(AgentSession)["start"] is before["start"]


def test_events_we_listen_to() -> None:
    """The session still emits them, with the fields that are read."""
    names = typing.get_args(events.EventTypes)
    for name in ("close", "agent_state_changed", "conversation_item_added"):
        assert name in names
    assert "agent_false_interruption" in names
    assert {"error", "reason"} <= set(events.CloseEvent.model_fields)
    assert "new_state" in events.AgentStateChangedEvent.model_fields
    assert "item" in events.ConversationItemAddedEvent.model_fields
    assert "role" in ChatMessage.model_fields
    assert SpeechEventType.FINAL_TRANSCRIPT.value == "final_transcript"


def test_reasons_for_an_interruption() -> None:
    """A new source would be called programmatic: look whether it is."""
    assert typing.get_args(speech_handle.InterruptionSource) == (
        "audio_activity",
        "user_turn",
        "programmatic",
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (semconv.LK_TRANSCRIPT, trace_types.ATTR_USER_TRANSCRIPT),
        (semconv.LK_TRANSCRIPTION_DELAY, trace_types.ATTR_TRANSCRIPTION_DELAY),
        (semconv.LK_PLAYOUT_POSITION, trace_types.ATTR_PLAYOUT_POSITION),
        (semconv.LK_SIP_PREFIX, trace_types.ATTR_SIP_PREFIX),
        (semconv.LK_SIP_PHONE_NUMBER, trace_types.ATTR_SIP_PHONE_NUMBER),
        (semconv.GEN_AI_REQUEST_MODEL, trace_types.ATTR_GEN_AI_REQUEST_MODEL),
        (semconv.GEN_AI_PROVIDER_NAME, trace_types.ATTR_GEN_AI_PROVIDER_NAME),
    ],
)
def test_attribute_names(ours: str, theirs: str) -> None:
    """LiveKit's own spelling of what we read."""
    assert ours == theirs


def test_what_livekit_calls_content_is_content_to_us() -> None:
    """Our filter drops at least what LiveKit's own filter drops."""
    assert pii.GEN_AI_PII_ATTRIBUTES <= semconv.CONTENT_ATTRIBUTES
    assert pii.PII_EVENT_NAMES <= semconv.CONTENT_EVENTS
    names = [value for name, value in vars(trace_types).items() if name.startswith("ATTR_")]
    for name in names:
        if pii.is_pii_attribute(name):
            assert is_content(name), name


def test_modules_can_be_preloaded() -> None:
    """What the forkserver imports once is a list of names on the server."""
    assert AgentServer()._preload_modules == []
