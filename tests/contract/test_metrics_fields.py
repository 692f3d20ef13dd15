# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What metrics are computed from: fails on a field of LiveKit's that nobody has thought about."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator

import pytest
from livekit.agents.llm import AgentHandoff, chat_context
from livekit.agents.metrics import base
from livekit.agents.telemetry import trace_types
from livekit.agents.voice import agent_activity, events, generation
from livekit.agents.voice.agent_session import AgentSession
from pydantic import BaseModel

from callspan import semconv
from callspan.livekit import metric_fields, session_listener
from callspan.livekit.metric_fields import FIELD_MAPPINGS, Home

CLASSES: tuple[type[BaseModel], ...] = typing.get_args(base.AgentMetrics)
ALL_HOMES = [
    pytest.param(home, id=f"{name}.{path}")
    for name, fields in FIELD_MAPPINGS.items()
    for path, home in fields.items()
]


def paths_of(model: type[BaseModel]) -> Iterator[str]:
    """The dotted path of every field, those of nested models in their place."""
    model.model_rebuild()  # a class that names one defined around it is finished only when used
    for name, field in model.model_fields.items():
        nested = [
            part
            for part in (field.annotation, *typing.get_args(field.annotation))
            if inspect.isclass(part) and issubclass(part, BaseModel)
        ]
        if nested:
            yield from (f"{name}.{path}" for path in paths_of(nested[0]))
        else:
            yield name


@pytest.mark.parametrize("model", CLASSES)
def test_every_field_has_a_home(model: type[BaseModel]) -> None:
    """A new field, or a field that is gone, is a row of the table to write or to take out."""
    assert set(FIELD_MAPPINGS[model.__name__]) == set(paths_of(model))


def test_there_are_no_homes_for_nobody() -> None:
    """A class that is gone has no rows."""
    assert set(FIELD_MAPPINGS) == {model.__name__ for model in CLASSES}


@pytest.mark.parametrize("home", ALL_HOMES)
def test_a_home_is_a_place_that_exists(home: Home) -> None:
    """A metric, a label of it, a span attribute by LiveKit's own spelling: at least one."""
    assert any((home.usage, home.metric, home.label, home.span, home.time_of))
    if home.metric is not None:
        assert home.metric in semconv.METRICS
    if home.span is not None:
        ours = {semconv.STT_AUDIO_DURATION}
        theirs = {value for name, value in vars(trace_types).items() if name.startswith("ATTR_")}
        assert home.span[1] in ours | theirs


def test_what_a_metrics_object_says_is_taken_off_it() -> None:
    """By the table: sums, details of details, the rate, and who made it."""
    details = base.RealtimeModelMetrics
    used = metric_fields.to_model_used(
        base.RealtimeModelMetrics(
            request_id="r",
            timestamp=1.0,
            duration=2.0,
            cancelled=True,
            tokens_per_second=30.0,
            input_token_details=details.InputTokenDetails(
                audio_tokens=7, cached_tokens_details=details.CachedTokenDetails(text_tokens=3)
            ),
            output_token_details=details.OutputTokenDetails(),
            metadata=base.Metadata(model_name="m", model_provider="p"),
        )
    )
    assert used is not None
    assert (used.component, used.provider, used.model) == ("realtime", "p", "m")
    assert used.tokens_per_second == 30.0
    assert used.usage == {
        "requests": 1,
        "request_duration": 2.0,
        "cancelled_requests": 1,
        "input_audio_tokens": 7,
        "cached_text_tokens": 3,
    }


@pytest.mark.parametrize("wrong_s", [-3599.0, 3601.0])
def test_a_duration_that_cannot_be_is_no_usage(wrong_s: float) -> None:
    """A realtime model's is the difference of two times of day, and the speed is made from it."""
    details = base.RealtimeModelMetrics
    used = metric_fields.to_model_used(
        base.RealtimeModelMetrics(
            request_id="r",
            timestamp=1.0,
            duration=wrong_s,
            tokens_per_second=0.01,
            output_tokens=36,
            input_token_details=details.InputTokenDetails(),
            output_token_details=details.OutputTokenDetails(),
        )
    )
    assert used is not None
    assert used.usage == {"requests": 1, "output_tokens": 36}
    assert used.tokens_per_second is None
    assert used.suspect == 1
    joined = metric_fields.to_model_used(
        base.AvatarMetrics(
            timestamp=1.0, session_started_time=9000.0, avatar_joined_time=9000.0 + wrong_s
        )
    )
    assert joined is not None
    assert (joined.usage, joined.suspect) == ({}, 1)


def test_how_long_an_avatar_took_to_join() -> None:
    """Two instants of LiveKit's are one duration of ours."""
    joined = base.AvatarMetrics(timestamp=12.0, session_started_time=10.0, avatar_joined_time=12.0)
    used = metric_fields.to_model_used(joined)
    assert used is not None
    assert used.usage == {"join_duration": 2.0}


def test_a_component_without_metadata_is_told_by_its_class() -> None:
    """So that two of them are not added up as one."""
    vad = base.VADMetrics(
        label="my.vad.VAD",
        timestamp=1.0,
        idle_time=4.0,
        inference_duration_total=0.1,
        inference_count=31,
    )
    used = metric_fields.to_model_used(vad)
    assert used is not None
    assert (used.provider, used.model) == ("my.vad.VAD", "")


def test_the_functions_that_are_wrapped() -> None:
    """Called with these keywords, and give back the record that they fill in."""
    for wrapped, keywords in (
        (agent_activity.perform_llm_inference, {"node"}),
        (agent_activity.perform_tts_inference, {"node"}),
        (
            agent_activity.perform_tool_executions,
            {"session", "tool_ctx", "tool_execution_started_cb", "tool_execution_completed_cb"},
        ),
    ):
        parameters = inspect.signature(wrapped).parameters
        assert keywords <= set(parameters)
        assert {parameters[key].kind for key in keywords} == {inspect.Parameter.KEYWORD_ONLY}
    assert {"started_at", "ttft"} <= set(generation._LLMGenerationData.__dataclass_fields__)
    assert {"ttfb", "synthesis_started_at"} <= set(
        generation._TTSGenerationData.__dataclass_fields__
    )


def test_the_fields_that_are_read() -> None:
    """Of a turn's metrics, of events and of chat items."""
    assert {"e2e_latency", "playback_latency", "started_speaking_at"} <= set(
        chat_context.MetricsReport.__annotations__
    )
    names = typing.get_args(events.EventTypes)
    for name, event, fields in (
        ("agent_state_changed", events.AgentStateChangedEvent, {"old_state", "new_state"}),
        ("user_state_changed", events.UserStateChangedEvent, {"old_state", "new_state"}),
        ("conversation_item_added", events.ConversationItemAddedEvent, {"item"}),
        ("metrics_collected", events.MetricsCollectedEvent, {"metrics"}),
        ("speech_created", events.SpeechCreatedEvent, {"created_at"}),
        ("tool_execution_updated", events.ToolExecutionUpdatedEvent, {"update"}),
        ("error", events.ErrorEvent, {"error", "source"}),
        ("close", events.CloseEvent, {"created_at"}),
    ):
        assert name in names
        assert fields | {"created_at"} <= set(event.model_fields)
    assert {"old_agent_id", "new_agent_id"} <= set(AgentHandoff.model_fields)
    ended = events.ToolCallEnded.model_fields["status"].annotation
    assert set(typing.get_args(ended)) == set(session_listener._TOOL_STATUSES)


async def test_latency_is_known_when_the_answer_begins() -> None:
    """LiveKit keeps it for its console; without it a latency is told after the speech."""
    assert AgentSession()._early_assistant_metrics is None


def test_errors_name_their_component() -> None:
    """A new kind of error would be called other."""
    annotation = events.ErrorEvent.model_fields["error"].annotation
    kinds = {
        model.model_fields["type"].default
        for model in typing.get_args(annotation)
        if inspect.isclass(model) and issubclass(model, BaseModel)
    }
    assert kinds == set(session_listener._COMPONENT_BY_ERROR)
