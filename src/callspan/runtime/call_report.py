# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a call comes to, told as it happens: to hooks, and as log events."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider

from .. import semconv
from ..call.events import CallEvent, CallStarted
from ..call.summary import CallSummary, Tool, Turn
from ..call.summary_builder import SummaryBuilder
from ..config.settings import Settings
from ..diagnostics.log import logger
from ..livekit import session_report
from ..livekit import tracer as livekit_tracer
from ..providers.logger_provider import LogEvents
from ..tracing.call_trace import CallTrace
from .hook_runner import CallHooks

_MESSAGE_EVENTS = {
    semconv.SPEAKER_USER: semconv.EVENT_USER_MESSAGE,
    semconv.SPEAKER_AGENT: semconv.EVENT_ASSISTANT_MESSAGE,
}


def log_events(settings: Settings) -> LogEvents | None:
    """Return what sends this process's log events, if there are to be any."""
    return LogEvents(settings, is_user_provider) if settings.sends_log_events else None


def is_user_provider(provider: LoggerProvider) -> bool:
    """Tell a user's LoggerProvider from the wrapper command's and from LiveKit Cloud's."""
    return (
        semconv.TELEMETRY_AUTO_VERSION not in provider.resource.attributes
        and not livekit_tracer.is_livekit_cloud_provider(provider)
    )


class CallReport:
    """Reports one call; made on the loop of its job.

    Args:
        call_trace: The call.
        settings: What is reported, and how long hooks may take.
        logs: Sends log events; None where none are asked for.
    """

    def __init__(self, call_trace: CallTrace, settings: Settings, logs: LogEvents | None) -> None:
        self._call_trace = call_trace
        self._settings = settings
        self._logs = logs
        self._summary_builder = SummaryBuilder(
            call_trace.call, content=settings.content or settings.event_content
        )
        self._hooks = CallHooks(settings.hook_timeout_s)

    def handle(self, event: CallEvent) -> None:
        """Take in one event, in the context it happened in; report what is complete with it."""
        if isinstance(event, CallStarted):
            self._hooks.emit(self._summary_builder.start(self._trace_id, time.time()))
        for record in self._summary_builder.handle(event, time.time()):
            self._emit(record)

    def end(self) -> list[tuple[str, Callable[[], object]]]:
        """Report what the call came to; a job without a session was no call.

        Returns:
            What its end has to wait for: names, and functions that block until it is done.
        """
        if self._call_trace.call.started_at is None:
            return []
        # the root has ended: what hooks log and trace belongs to it all the same
        token = otel_context.attach(self._in_root())
        try:
            return self._end()
        finally:
            otel_context.detach(token)

    def _end(self) -> list[tuple[str, Callable[[], object]]]:
        for turn in self._summary_builder.end(time.time()):
            self._emit(turn)
        call, rules = self._call_trace.call, self._call_trace.rules
        summary = self._summary_builder.summary(
            trace_id=self._trace_id, outcome=rules.outcome_of(call), labels=rules.labels_of(call)
        )
        waits: list[tuple[str, Callable[[], object]]] = []
        # less than the flush waits: whoever is late is named before it gives up
        timeout_s = min(self._settings.hook_timeout_s, 0.9 * self._settings.flush_timeout_s)
        if (hooks := self._hooks.end(summary, timeout_s)) is not None:
            waits.append(("hooks", hooks.result))
        if self._logs is not None:
            if self._settings.session_report != semconv.REPORT_OFF:
                self._send_report(summary, self._logs)
            waits.append(("log events", self._logs.flush))
        return waits

    def _in_root(self) -> Context:
        root = self._call_trace.root
        return otel_context.get_current() if root is None else trace.set_span_in_context(root)

    @property
    def _trace_id(self) -> str:
        call_trace = self._call_trace.trace_id
        return "" if call_trace is None else trace.format_trace_id(call_trace)

    # --- log events ----------------------------------------------------------------------------

    def _emit(self, record: Turn | Tool) -> None:
        self._hooks.emit(record)
        if self._logs is None or not self._settings.event_content:
            return
        if isinstance(record, Tool):
            self._send_tool(record, self._logs)
        elif record.text:
            name, body = _MESSAGE_EVENTS[record.speaker], {"content": record.text}
            self._send(self._logs, name, body, {semconv.TURN_INDEX: record.index})

    def _send_tool(self, tool: Tool, logs: LogEvents) -> None:
        if not tool.tool_call_id:
            return
        called = {
            "id": tool.tool_call_id,
            "type": "function",
            "function": {"name": tool.name, "arguments": tool.arguments},
        }
        index = {semconv.TURN_INDEX: tool.turn}
        self._send(logs, semconv.EVENT_ASSISTANT_MESSAGE, {"tool_calls": [called]}, index)
        answer = {"id": tool.tool_call_id, "content": tool.output}
        self._send(logs, semconv.EVENT_TOOL_MESSAGE, answer, index)

    def _send(
        self, logs: LogEvents, name: str, body: dict[str, Any], attributes: dict[str, Any]
    ) -> None:
        in_span = trace.get_current_span().get_span_context().is_valid
        context = otel_context.get_current() if in_span else self._in_root()
        logs.send(name, lambda: body, {**self._call_trace.attributes(), **attributes}, context)

    def _send_report(self, summary: CallSummary, logs: LogEvents) -> None:
        content = self._settings.event_content
        here = contextvars.copy_context()
        known_tags = self._call_trace.rules.known_tags

        def body() -> dict[str, Any]:
            report = (summary if content else summary.without_content()).to_dict()
            if self._settings.session_report == semconv.REPORT_FULL:
                try:
                    livekits = here.run(session_report.read, content=content, known_tags=known_tags)
                except RuntimeError as error:
                    logger.warning("no LiveKit session report of %s: %s", summary.call_id, error)
                else:
                    report[semconv.REPORT_LIVEKIT] = livekits
            return report

        attributes = {**self._call_trace.attributes(), semconv.OUTCOME: summary.outcome}
        if summary.duration_s is not None:
            attributes[semconv.DURATION] = summary.duration_s
        logs.send(semconv.EVENT_SESSION_REPORT, body, attributes, self._in_root())
