# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Log events and log records: their names, and the fields that tie a record to a trace."""

from __future__ import annotations

from typing import Final

EVENT_SESSION_REPORT: Final = "agent.session.report"
"""One per call, on request: the summary of the call is its body."""
REPORT_LIVEKIT: Final = "livekit_session_report"
"""In that body: LiveKit's own session report."""

EVENT_USER_MESSAGE: Final = "gen_ai.user.message"
EVENT_ASSISTANT_MESSAGE: Final = "gen_ai.assistant.message"
EVENT_TOOL_MESSAGE: Final = "gen_ai.tool.message"

RECORD_TRACE_ID: Final = "otelTraceID"
RECORD_SPAN_ID: Final = "otelSpanID"
RECORD_SAMPLED: Final = "otelTraceSampled"
"""Attributes of ``logging.LogRecord``, as OpenTelemetry's logging instrumentation names them."""

RECORD_BODY: Final = "_otelBody"
"""Attribute of a record between a job and its worker: the text that may be exported."""

LK_LOGGER: Final = "livekit"
"""LiveKit's loggers have this name, or one below it."""
LK_RECORD_FIELDS: Final = frozenset(
    {
        *("agent_name", "agent_id", "call_id", "category", "dispatch_id", "error_type"),
        *("exception_type", "function", "function_tool", "import", "item_id", "job_id", "kind"),
        *("label", "language", "llm", "model", "output_type", "plugin", "protocol", "provider"),
        *("provider_session_id", "region", "request_id", "role", "room_id", "rtc-version"),
        *("runner", "session_id", "speech_id", "stack", "stt", "tool_name", "tool_type"),
        *("track_id", "trigger", "tts", "version"),
        *(RECORD_TRACE_ID, RECORD_SPAN_ID, "otelServiceName"),
    }
)
"""Texts that LiveKit logs as ``extra=`` and that are ids, names from the program, or closed sets.
Its numbers are no content either; any other field may be."""

REPORT_OFF: Final = ""
REPORT_SUMMARY: Final = "summary"
REPORT_FULL: Final = "full"

LATENCY_MEASURED: Final = "measured"
LATENCY_SUMMED: Final = "summed"
