# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Fewer spans for a backend that bills each of them: what a call is made of, without its plumbing.

A child ends before its parent and may be sent before it, so who is whose nearest kept ancestor
has to be known when a span starts: it is noted with the live span that will be left out, and
lives exactly as long as something can still be started below it.
"""

from __future__ import annotations

from typing import Final
from weakref import WeakKeyDictionary

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.trace import Span as ApiSpan
from opentelemetry.trace import SpanContext

from .. import semconv
from .span_copy import copy_of

_KEPT: Final = frozenset(
    {
        (semconv.LIVEKIT_SCOPE_NAME, semconv.SPAN_JOB),
        (semconv.LIVEKIT_SCOPE_NAME, semconv.SPAN_SESSION),
        (semconv.LIVEKIT_SCOPE_NAME, semconv.SPAN_USER_TURN),
        (semconv.LIVEKIT_SCOPE_NAME, semconv.SPAN_AGENT_TURN),
        (semconv.LIVEKIT_SCOPE_NAME, semconv.SPAN_LLM_REQUEST),
        (semconv.LIVEKIT_SCOPE_NAME, semconv.SPAN_REALTIME_INFERENCE),
        (semconv.LIVEKIT_SCOPE_NAME, semconv.SPAN_REALTIME_METRICS),
        (semconv.LIVEKIT_SCOPE_NAME, semconv.SPAN_TTS_REQUEST),
        (semconv.LIVEKIT_SCOPE_NAME, semconv.SPAN_FUNCTION_TOOL),
        (semconv.SCOPE_NAME, semconv.SPAN_STT_REQUEST),
    }
)
"""Root, session, turns, and the requests and tools of a turn, by scope and name."""


def is_kept(span: ReadableSpan) -> bool:
    """Tell whether a span belongs to what is sent."""
    scope = span.instrumentation_scope
    return scope is not None and (scope.name, span.name) in _KEPT


class SpanFilter:
    """Leaves spans out and gives their children to the nearest ancestor that is kept.

    Told of every span's start and end, on whatever thread that happens.
    """

    def __init__(self) -> None:
        # spans that are left out, each with the nearest ancestor that is kept
        self._ancestors: WeakKeyDictionary[ApiSpan, SpanContext | None] = WeakKeyDictionary()
        # kept spans that have not ended, by id, each with its new parent
        self._adopted: dict[int, SpanContext | None] = {}

    def started(self, span: Span, parent_context: Context | None) -> None:
        """Note below which kept span a span stands."""
        parent = trace.get_current_span(parent_context)
        orphaned = parent in self._ancestors
        ancestor = self._ancestors[parent] if orphaned else span.parent
        if not is_kept(span):
            self._ancestors[span] = ancestor
        elif orphaned:
            self._adopted[span.get_span_context().span_id] = ancestor

    def ended(self, span: ReadableSpan) -> ReadableSpan | None:
        """Return what is sent of a finished span: itself, a copy with a new parent, or None."""
        if not is_kept(span):
            return None
        span_id = 0 if span.context is None else span.context.span_id
        if span_id not in self._adopted:
            return span
        return copy_of(span, parent=self._adopted.pop(span_id))
