# Copyright The opentelemetry-instrumentation-livekit-agents Authors
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

REPORT_OFF: Final = ""
REPORT_SUMMARY: Final = "summary"
REPORT_FULL: Final = "full"

LATENCY_MEASURED: Final = "measured"
LATENCY_SUMMED: Final = "summed"
