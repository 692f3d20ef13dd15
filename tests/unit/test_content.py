# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Copies without content: what goes, what stays, what is never touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Status, StatusCode

from callspan import semconv
from callspan.export.content_filter import is_content, without_content
from kit.memory import SpanMemory


def _span(memory: SpanMemory, **attributes: object) -> ReadableSpan:
    with memory.tracer().start_as_current_span("s") as span:
        span.set_attributes(attributes)  # type: ignore[arg-type]
        span.add_event("kept", {"lk.speech_id": "1", "lk.pii.participant_identity": "Ann"})
        span.add_event("gen_ai.user.message", {"content": "secret"})
    return memory.spans[0]


def test_content_goes_and_the_rest_stays(span_memory: SpanMemory) -> None:
    """Attributes and events lose what is content; the finished span itself is not rewritten."""
    span = _span(
        span_memory,
        **{"lk.pii.chat_ctx": "secret", "gen_ai.input.messages": "[]", "lk.speech_id": "1"},
    )
    copy = without_content(span)
    assert dict(copy.attributes or {}) == {"lk.speech_id": "1"}
    assert [(event.name, dict(event.attributes or {})) for event in copy.events] == [
        ("kept", {"lk.speech_id": "1"})
    ]
    assert "lk.pii.chat_ctx" in (span.attributes or {})
    assert copy.context == span.context
    assert copy.start_time == span.start_time
    assert copy.end_time == span.end_time


def test_messages_of_failures_are_replaced(span_memory: SpanMemory) -> None:
    """An exception keeps its type and loses its words, in event, attribute and status."""
    with (
        pytest.raises(ValueError, match="Ann Smith"),
        span_memory.tracer().start_as_current_span("s"),
    ):
        raise ValueError("no slot for Ann Smith")
    copy = without_content(span_memory.spans[0])
    (event,) = copy.events
    assert dict(event.attributes or {}) == {
        "exception.type": "ValueError",
        "exception.message": semconv.REDACTED,
        "exception.escaped": "False",
    }
    assert copy.status.status_code is StatusCode.ERROR
    assert copy.status.description == semconv.REDACTED


def test_a_status_alone_is_replaced_too(span_memory: SpanMemory) -> None:
    """A status set by hand quotes what failed as an exception does."""
    with span_memory.tracer().start_as_current_span("s") as span:
        span.set_status(Status(StatusCode.ERROR, "Ann Smith"))
    assert without_content(span_memory.spans[0]).status.description == semconv.REDACTED


def test_a_span_without_content_is_not_copied(span_memory: SpanMemory) -> None:
    """Nothing to take out, nothing to pay for."""
    with span_memory.tracer().start_as_current_span("s", attributes={"a": 1}) as span:
        span.add_event("e")
    (finished,) = span_memory.spans
    assert without_content(finished) is finished


@given(st.text(max_size=20), st.text(max_size=20))
def test_the_pii_segment_marks_content_wherever_it_stands(before: str, after: str) -> None:
    """Whatever LiveKit names next with the segment is content already."""
    assert is_content(f"{before}.pii.{after}")


@pytest.mark.parametrize(
    "key", ["lk.speech_id", "gen_ai.usage.input_tokens", "happiie", "session.id"]
)
def test_names_without_content(key: str) -> None:
    """Names that carry no content are left alone."""
    assert not is_content(key)
