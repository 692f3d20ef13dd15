# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Log records of a call say which span they were logged in, in its job and in its worker.

LiveKit sends the records of a job process to the worker, which handles them again outside of
every span. So the ids are put on a record when it is made, and are made current again while the
worker handles it: OpenTelemetry's handler, where the application has one there, would otherwise
send it without a trace. Not by a record factory: ``extra=`` with a name that a factory has set
raises, and this comes after ``extra=``.
"""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    format_span_id,
    format_trace_id,
)

from .. import semconv
from ..diagnostics.guard import guarded
from . import log_content
from .patches import MissingError, Patches

_NONE = ("", "0")


def patch(patches: Patches) -> list[str]:
    """Put ids on records, and restore the context of those that come from job processes.

    Returns:
        What this version of livekit-agents has no place for, in plain words.
    """

    def make(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        record = wrapped(*args, **kwargs)
        with guarded("putting ids on a log record"):
            _identify(record)
        return record

    def handle(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        token = None
        with guarded("reading the ids of a log record"):
            if (context := _context_of(args[0])) is not None:
                token = otel_context.attach(context)
        try:
            with log_content.of_job(args[0]):
                return wrapped(*args, **kwargs)
        finally:
            if token is not None:
                otel_context.detach(token)

    patches.wrap("logging", "Logger.makeRecord", make)
    try:
        patches.wrap("livekit.agents.ipc.log_queue", "LogQueueListener.handle", handle)
    except MissingError as error:
        return [f"{error}: log records that the worker handles again carry no span"]
    return []


def _identify(record: logging.LogRecord) -> None:
    """Write the current span on a record, unless it says already where it belongs."""
    span = trace.get_current_span().get_span_context()
    if span.is_valid and getattr(record, semconv.RECORD_TRACE_ID, "") in _NONE:
        setattr(record, semconv.RECORD_TRACE_ID, format_trace_id(span.trace_id))
        setattr(record, semconv.RECORD_SPAN_ID, format_span_id(span.span_id))
        setattr(record, semconv.RECORD_SAMPLED, span.trace_flags.sampled)


def _context_of(record: logging.LogRecord) -> Context | None:
    trace_id = getattr(record, semconv.RECORD_TRACE_ID, "0")
    span_id = getattr(record, semconv.RECORD_SPAN_ID, "0")
    sampled = getattr(record, semconv.RECORD_SAMPLED, False)
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    span = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(NonRecordingSpan(span)) if span.is_valid else None
