# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Enrichment: what each native span of a call is given, at its start or while it is still live."""

from __future__ import annotations

from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from .. import semconv
from ..call.events import AgentTurnStarted, SpeechStarted, UserTurnEnded, UserTurnStarted
from ..config.settings import Settings
from ..diagnostics.guard import contained, guarded
from . import stt_request, summary_attributes
from .call_trace import CallTrace

_REQUESTS: Final = frozenset(
    {semconv.SPAN_LLM_REQUEST, semconv.SPAN_TTS_REQUEST, semconv.SPAN_REALTIME_INFERENCE}
)
_READ_AT_END: Final = frozenset({semconv.SPAN_USER_TURN, semconv.SPAN_JOB_SHUTDOWN})


class EnrichingSpanProcessor(SpanProcessor):
    """Gives every span of a call its identity, and the root its summary.

    A processor cannot be taken off a provider again: ``active`` makes it inert.

    Args:
        provider: The provider it is added to, on which ``stt_request`` is made.
        settings: Which parts are on.
    """

    def __init__(self, provider: TracerProvider, settings: Settings) -> None:
        self.active = True
        self.provider = provider
        self._settings = settings
        # by span id, each with its context from the start: it may end in another
        self._awaited: dict[int, tuple[CallTrace, Context]] = {}
        self._stt_request = stt_request.SttRequest(provider, content=settings.content)

    @contained("writing call attributes")
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Write the call's identity and the turn's index on a span that starts."""
        if not self.active:
            return
        call_trace = CallTrace.find(parent_context)
        if call_trace is None:
            return
        native = _is_native(span)
        if native:
            _keep_live(call_trace, span)
            if span.name in _READ_AT_END:
                context = trace.set_span_in_context(span, parent_context)
                self._awaited[span.get_span_context().span_id] = (call_trace, context)
        if self._settings.has("attributes"):
            attributes = call_trace.attributes()
            index = _turn_index(call_trace, span, parent_context, native=native)
            if index is not None:
                attributes[semconv.TURN_INDEX] = index
            span.set_attributes(attributes)

    @contained("reading a finished span")
    def on_end(self, span: ReadableSpan) -> None:
        """Make ``stt_request`` of a finished turn; sum the call up before its root ends."""
        if not self._awaited or span.name not in _READ_AT_END or span.context is None:
            return
        awaited = self._awaited.pop(span.context.span_id, None)
        if awaited is None or not self.active:
            return
        call_trace, context = awaited
        if span.name == semconv.SPAN_USER_TURN:
            if self._settings.has("stt_request"):
                with guarded("making stt_request"):
                    self._stt_request.emit(call_trace.call, span, context)
            call_trace.emit(UserTurnEnded())
        elif span.name == semconv.SPAN_JOB_SHUTDOWN and self._settings.has("attributes"):
            with guarded("summing up the call"):
                # LiveKit ends the root right after this span: the last moment it can be written
                summary_attributes.write_summary(call_trace, content=self._settings.content)

    @contained("ending a span processor")
    def shutdown(self) -> None:
        """Do nothing: it holds nothing."""

    @contained("flushing spans", otherwise=lambda *_: True)
    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Do nothing: it holds nothing."""
        return True


def _is_native(span: ReadableSpan) -> bool:
    scope = span.instrumentation_scope
    return scope is not None and scope.name == semconv.LIVEKIT_SCOPE_NAME


def _keep_live(call_trace: CallTrace, span: Span) -> None:
    if span.name == semconv.SPAN_JOB:
        call_trace.root = span
        call_trace.remember(span)
    elif span.name == semconv.SPAN_SESSION:
        call_trace.session = span
        call_trace.remember(span)
    elif span.name in _REQUESTS:
        call_trace.requests[span.get_span_context().span_id] = span
    elif span.name == semconv.SPAN_USER_TURN:
        call_trace.emit(UserTurnStarted())
    elif span.name == semconv.SPAN_USER_SPEAKING:
        call_trace.emit(SpeechStarted(semconv.SPEAKER_USER))
    elif span.name == semconv.SPAN_AGENT_TURN:
        call_trace.emit(AgentTurnStarted())


def _turn_index(
    call_trace: CallTrace, span: Span, parent_context: Context | None, *, native: bool
) -> int | None:
    if native and span.name in (semconv.SPAN_USER_TURN, semconv.SPAN_AGENT_TURN):
        return call_trace.call.turn_index
    parent = trace.get_current_span(parent_context)
    if isinstance(parent, ReadableSpan) and parent.attributes:
        index = parent.attributes.get(semconv.TURN_INDEX)
        return index if isinstance(index, int) else None
    return None
