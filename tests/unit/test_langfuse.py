# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Langfuse's copies: what is left out and what becomes of its children, what each copy says."""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags

from callspan import semconv
from callspan.export import langfuse
from callspan.export.delivery import DeliveringSpanProcessor
from callspan.export.span_filter import SpanFilter
from kit.memory import SpanMemory

LIVEKIT = semconv.LIVEKIT_SCOPE_NAME
CALL = {"session.id": "AJ_1", "agent.name": "receptionist", "agent.call.kind": "production"}


def finished(
    name: str,
    attributes: Mapping[str, Any] | None = None,
    *,
    scope: str = LIVEKIT,
    resource: Mapping[str, str] | None = None,
    status: Status | None = None,
    child: bool = False,
) -> ReadableSpan:
    memory = SpanMemory(
        TracerProvider(resource=Resource(dict(resource or {})), shutdown_on_exit=False)
    )
    parent = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    context = trace.set_span_in_context(NonRecordingSpan(parent)) if child else None
    span = memory.tracer(scope).start_span(name, context, attributes=dict(attributes or {}))
    if status is not None:
        span.set_status(status)
    span.end()
    (only,) = memory.spans
    return only


def mapped(span: ReadableSpan, environment: str = "", release: str = "") -> dict[str, Any]:
    return dict(langfuse.mapping(environment, release)(span).attributes or {})


# --- every span --------------------------------------------------------------------------------


_IDENTITY = {**CALL, "user.id": "u1", "tenant.id": "t1", "agent.label.intent": "billing"}
_SAID_EVERYWHERE = {
    "langfuse.session.id": "AJ_1",
    "langfuse.user.id": "u1",
    "langfuse.trace.name": "receptionist",
    "langfuse.environment": "production",
    "langfuse.release": "7",
    "langfuse.trace.metadata.agent_name": "receptionist",
    "langfuse.trace.metadata.call_kind": "production",
    "langfuse.trace.metadata.tenant_id": "t1",
    "langfuse.observation.level": "DEFAULT",
}


def test_every_copy_says_to_which_call_it_belongs() -> None:
    """Session, user, environment, release, trace name, and what can be searched for.

    A label is the observation's own: the trace may have another by the end.
    """
    said = mapped(
        finished(
            "agent_turn",
            {**_IDENTITY, "agent.turn.index": 3},
            resource={"deployment.environment.name": "production", "service.version": "7"},
            child=True,
        )
    )
    assert {key: value for key, value in said.items() if key.startswith("langfuse.")} == {
        **_SAID_EVERYWHERE,
        "langfuse.observation.metadata.turn_index": "3",
        "langfuse.observation.metadata.intent": "billing",
        "langfuse.observation.type": "agent",
    }


@pytest.mark.parametrize(("name", "child"), [("job_entrypoint", True), ("agent_session", False)])
def test_the_root_says_what_the_trace_is(name: str, child: bool) -> None:
    """Its tags and labels, in the job's root and in a session's that has no job."""
    said = mapped(
        finished(
            name,
            _IDENTITY,
            resource={"deployment.environment.name": "production", "service.version": "7"},
            child=child,
        )
    )
    assert {key: value for key, value in said.items() if key.startswith("langfuse.")} == {
        **_SAID_EVERYWHERE,
        "langfuse.trace.tags": ("receptionist", "production", "intent:billing"),
        "langfuse.trace.metadata.intent": "billing",
        "langfuse.observation.type": "span",
    }


def test_what_is_not_known_is_not_said() -> None:
    """A span of no call has a type and nothing made up."""
    assert mapped(finished("agent_session")) == {
        "langfuse.observation.type": "span",
        "langfuse.observation.level": "DEFAULT",
    }


@pytest.mark.parametrize(
    ("resource", "environment", "expected"),
    [
        ({"deployment.environment.name": "a"}, "b", "b"),
        ({"deployment.environment": "old"}, "", "old"),
        ({"deployment.environment.name": "EU Production!"}, "", "eu-production-"),
        ({"deployment.environment.name": "langfuse-dev"}, "", "dev"),
        ({"deployment.environment.name": "x" * 99}, "", "x" * 40),
        ({}, "", None),
    ],
)
def test_the_environment_in_the_letters_that_langfuse_takes(
    resource: dict[str, str], environment: str, expected: str | None
) -> None:
    """The variable wins over the resource; what Langfuse would throw away is spelt anew."""
    said = mapped(finished("agent_turn", resource=resource), environment)
    assert said.get("langfuse.environment") == expected


def test_the_release_of_the_variable_wins() -> None:
    """LANGFUSE_RELEASE, else the service's version."""
    span = finished("agent_turn", resource={"service.version": "7"})
    assert mapped(span, release="sha-1")["langfuse.release"] == "sha-1"


def test_the_finished_span_is_not_rewritten() -> None:
    """Another destination gets it as it was."""
    span = finished("llm_request", {"gen_ai.usage.input_tokens": 3, "gen_ai.request.model": "m"})
    before = dict(span.attributes or {})
    copy = langfuse.mapping()(span)
    assert dict(span.attributes or {}) == before
    assert (copy.context, copy.start_time, copy.end_time) == (
        span.context,
        span.start_time,
        span.end_time,
    )


# --- types and levels --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["user_turn", "tts_node", "llm_request_run", "start_agent_activity"]
)
def test_a_model_alone_makes_no_generation(name: str) -> None:
    """Langfuse would take it for one, and estimate its usage."""
    said = mapped(finished(name, {"gen_ai.request.model": "gpt-4o", "gen_ai.response.model": "x"}))
    assert said["langfuse.observation.type"] == "span"
    assert said["langfuse.observation.metadata.model"] == "x"
    assert not set(said) & set(semconv.LANGFUSE_READS_AS_MODEL)


@pytest.mark.parametrize("scope", ["opentelemetry.instrumentation.openai_v2", LIVEKIT])
def test_a_request_counts_once_where_another_instrumentation_reports_it_too(scope: str) -> None:
    """Only the request's own span is a generation, whoever else wrote its usage down."""
    usage = {"gen_ai.usage.input_tokens": 3, "gen_ai.request.model": "gpt-4o"}
    said = mapped(finished("chat gpt-4o", usage, scope=scope))
    assert said["langfuse.observation.type"] == "span"
    assert not any(key.startswith("gen_ai.usage.") for key in said)


def test_a_failed_request_is_an_error_and_no_generation() -> None:
    """It has no usage; its status says what it is."""
    status = Status(StatusCode.ERROR, "refused")
    said = mapped(finished("llm_request", {"gen_ai.request.model": "gpt-4o"}, status=status))
    assert said["langfuse.observation.type"] == "span"
    assert said["langfuse.observation.level"] == "ERROR"


def test_details_keep_the_level_that_langfuse_gives_them() -> None:
    """Where all spans are sent, those of LiveKit's plumbing stay hidden as it hides them."""
    assert "langfuse.observation.level" not in mapped(finished("tts_node"))
    assert mapped(finished("tts_request"))["langfuse.observation.level"] == "DEFAULT"


# --- usage, cost, time -------------------------------------------------------------------------

_counts = st.integers(0, 10_000)


@given(
    st.fixed_dictionaries(
        {
            semconv.GEN_AI_INPUT_TOKENS: _counts,
            semconv.GEN_AI_OUTPUT_TOKENS: _counts,
            semconv.GEN_AI_CACHE_READ: _counts,
            semconv.GEN_AI_CACHE_WRITE: _counts,
            semconv.GEN_AI_REASONING: _counts,
            semconv.GEN_AI_AUDIO_INPUT: _counts,
            semconv.GEN_AI_AUDIO_CACHE_READ: _counts,
            semconv.GEN_AI_AUDIO_OUTPUT: _counts,
            semconv.GEN_AI_IMAGE_INPUT: _counts,
            semconv.GEN_AI_IMAGE_CACHE_READ: _counts,
        }
    )
)
def test_parts_add_up_to_the_total_whatever_is_reported(reported: dict[str, int]) -> None:
    """Counts that contradict each other never make more of a request than it took and gave."""
    parts = langfuse.tokens(reported)
    taken, out = reported[semconv.GEN_AI_INPUT_TOKENS], reported[semconv.GEN_AI_OUTPUT_TOKENS]
    if not taken and not out:
        assert parts == {}
        return
    assert parts.pop("total") == taken + out
    assert sum(count for name, count in parts.items() if name.startswith("input")) == taken
    assert sum(count for name, count in parts.items() if name.startswith("output")) == out
    assert min(parts.values()) >= 0


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ({"input_tokens": 64, "output_tokens": 1}, {"input": 64, "output": 1, "total": 65}),
        (
            {
                "input_tokens": 100,
                "output_tokens": 30,
                "cache_read.input_tokens": 40,
                "cache_write.input_tokens": 10,
                "reasoning.output_tokens": 25,
            },
            {
                "input": 50,
                "input_cache_read": 40,
                "input_cache_creation": 10,
                "output": 5,
                "output_reasoning_tokens": 25,
                "total": 130,
            },
        ),
        (
            {
                "input_tokens": 61,
                "output_tokens": 10,
                "text.input_tokens": 52,
                "audio.input_tokens": 9,
                "audio.output_tokens": 8,
                "cache_read.input_tokens": 53,
                "text.cache_read.input_tokens": 49,
                "audio.cache_read.input_tokens": 4,
                "input_cached_tokens": 53,
            },
            {
                "input": 3,
                "input_cached_audio_tokens": 4,
                "input_cache_read": 49,
                "input_audio_tokens": 5,
                "output": 2,
                "output_audio_tokens": 8,
                "total": 71,
            },
        ),
    ],
)
def test_tokens_are_divided(reported: dict[str, int], expected: dict[str, int]) -> None:
    """Cached, audio and reasoning tokens are no longer part of what contains them."""
    usage = {f"gen_ai.usage.{name}": count for name, count in reported.items()}
    said = mapped(finished("llm_request", {**usage, "gen_ai.response.model": "gpt-4o"}))
    assert said["langfuse.observation.type"] == "generation"
    assert said["langfuse.observation.model.name"] == "gpt-4o"
    assert json.loads(said["langfuse.observation.usage_details"]) == expected
    assert not any(key.startswith("gen_ai.usage.") for key in said)


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"characters_count": 25}, {"characters": 25, "total": 0}),
        (
            {"characters_count": 25, "input_tokens": 6, "output_tokens": 90},
            {"characters": 25, "input": 6, "output": 0, "output_audio_tokens": 90, "total": 96},
        ),
        ({"characters_count": 0}, None),
        (None, None),
        ([], None),
    ],
)
def test_characters_are_no_tokens(metrics: object, expected: dict[str, int] | None) -> None:
    """Synthesis counts in its own unit, beside a total that is of tokens."""
    attributes = {"gen_ai.request.model": "voice"}
    if metrics is not None:
        attributes["lk.tts_metrics"] = json.dumps(metrics)
    said = mapped(finished("tts_request", attributes))
    usage = said.get("langfuse.observation.usage_details")
    assert (None if usage is None else json.loads(usage)) == expected
    assert said["langfuse.observation.type"] == ("span" if expected is None else "generation")


def test_recognition_counts_in_milliseconds() -> None:
    """Whole numbers are all that Langfuse takes."""
    said = mapped(
        finished("stt_request", {"agent.stt.audio.duration": 0.9284}, scope=semconv.SCOPE_NAME)
    )
    assert json.loads(said["langfuse.observation.usage_details"]) == {
        "audio_milliseconds": 928,
        "total": 0,
    }


def test_when_an_answer_began() -> None:
    """LiveKit's own time without its quotes; else the request's start and the time to its first."""
    quoted = {"langfuse.observation.completion_start_time": '"2026-11-20T16:04:56.685531+00:00"'}
    key = "langfuse.observation.completion_start_time"
    assert mapped(finished("llm_request", quoted))[key] == "2026-11-20T16:04:56.685531+00:00"
    span = finished("tts_request", {"lk.tts_metrics": '{"ttfb": 0.25, "characters_count": 1}'})
    began = datetime.fromisoformat(mapped(span)[key]).timestamp()
    assert began == pytest.approx((span.start_time or 0) / 1e9 + 0.25, abs=1e-5)
    silent = finished("tts_request", {"lk.tts_metrics": '{"ttfb": -1, "characters_count": 1}'})
    assert key not in mapped(silent)


@pytest.mark.parametrize("odd", ["not json", "null", '{"ttfb": null, "characters_count": "many"}'])
def test_metrics_that_cannot_be_read_cost_no_span(odd: str) -> None:
    """The copy is made all the same, as a span without usage."""
    said = mapped(finished("tts_request", {"lk.tts_metrics": odd}))
    assert said["langfuse.observation.type"] == "span"


def test_every_part_of_usage_is_on_the_page() -> None:
    """A price table in Langfuse is written by these names."""
    page = (Path(__file__).parents[2] / "docs" / "backends.md").read_text()
    parts = [value for name, value in vars(semconv.langfuse).items() if name.startswith("USAGE_")]
    assert len(parts) == 13
    assert [part for part in parts if f"`{part}`" not in page] == []


# --- span filter ----------------------------------------------------------------------------------


class _Sent(SpanExporter):
    """Keeps what it is sent, or refuses it."""

    def __init__(self, answer: SpanExportResult = SpanExportResult.SUCCESS) -> None:
        self.answer = answer
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return self.answer

    def parents(self) -> dict[str, str | None]:
        """Each span's name with its parent's."""
        names = {span.context.span_id: span.name for span in self.spans if span.context}
        return {
            span.name: None if span.parent is None else names.get(span.parent.span_id, "?")
            for span in self.spans
        }


def _with_span_filter(sent: _Sent) -> tuple[TracerProvider, DeliveringSpanProcessor]:
    provider = TracerProvider(shutdown_on_exit=False)
    delivery = DeliveringSpanProcessor(sent, "langfuse", lambda span: span, SpanFilter())
    provider.add_span_processor(delivery)
    return provider, delivery


def test_children_of_what_is_left_out_go_to_the_nearest_that_is_kept() -> None:
    """Also where each is sent before its parent has ended."""
    sent = _Sent()
    provider, delivery = _with_span_filter(sent)
    tracer = provider.get_tracer(LIVEKIT)
    open_spans = ExitStack()
    for name in (
        "job_entrypoint",
        "agent_session",
        "session_start",
        "on_enter",
        "agent_turn",
        "llm_node",
        "llm_request",
    ):
        span = open_spans.enter_context(tracer.start_as_current_span(name))
        open_spans.callback(delivery.force_flush)
    open_spans.close()
    delivery.force_flush()
    assert sent.parents() == {
        "llm_request": "agent_turn",
        "agent_turn": "agent_session",
        "agent_session": "job_entrypoint",
        "job_entrypoint": None,
    }
    assert delivery.missing(span.get_span_context().trace_id) == (0, 4)


def test_a_child_that_starts_after_its_parent_has_ended_is_placed_too() -> None:
    """A task outlives the span that it was started under."""
    sent = _Sent()
    provider, delivery = _with_span_filter(sent)
    tracer = provider.get_tracer(LIVEKIT)
    with tracer.start_as_current_span("agent_turn"):
        left_out = tracer.start_span("llm_node")
        context = trace.set_span_in_context(left_out)
        left_out.end()
        del left_out
        gc.collect()
        tracer.start_span("llm_request", context=context).end()
    delivery.force_flush()
    assert sent.parents() == {"llm_request": "agent_turn", "agent_turn": None}


def test_a_root_that_is_left_out_leaves_roots() -> None:
    """A span of the application's own around a session is not sent, and nothing points at it."""
    sent = _Sent()
    provider, delivery = _with_span_filter(sent)
    with provider.get_tracer("application").start_as_current_span("request"):
        provider.get_tracer(LIVEKIT).start_span("agent_session").end()
    delivery.force_flush()
    assert sent.parents() == {"agent_session": None}


def test_names_alone_are_not_enough() -> None:
    """A span of the application's that is called as one of LiveKit's stays out."""
    sent = _Sent()
    provider, delivery = _with_span_filter(sent)
    provider.get_tracer("application").start_span("agent_turn").end()
    delivery.force_flush()
    assert sent.spans == []


def test_what_is_refused_is_missing_and_what_is_left_out_is_not() -> None:
    """The account is of what was to be sent."""
    sent = _Sent(SpanExportResult.FAILURE)
    provider, delivery = _with_span_filter(sent)
    tracer = provider.get_tracer(LIVEKIT)
    with tracer.start_as_current_span("agent_session") as session:
        tracer.start_span("on_enter").end()
        tracer.start_span("user_turn").end()
    delivery.force_flush()
    assert delivery.missing(session.get_span_context().trace_id) == (2, 2)


def test_a_long_life_holds_nothing_of_what_has_passed() -> None:
    """What is noted of a span goes with it."""
    span_filter = SpanFilter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(
        DeliveringSpanProcessor(_Sent(), "langfuse", lambda span: span, span_filter)
    )
    tracer = provider.get_tracer(LIVEKIT)
    for _ in range(100):
        with (
            tracer.start_as_current_span("agent_turn"),
            tracer.start_as_current_span("llm_node"),
        ):
            tracer.start_span("llm_request").end()
    gc.collect()
    assert len(span_filter._ancestors) == 0
    assert span_filter._adopted == {}
