# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Takes in what happens in calls: their spans, their measurements, and what they come to."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanContext

from .. import semconv
from ..call.events import CallEnded, CallEvent, SessionClosed, SessionStarted
from ..call.summary import CallSummary
from ..call.summary_builder import SummaryBuilder
from ..config.settings import Settings
from ..export.content_filter import without_content
from ..metrics.recorder import Recorder
from ..semconv import Metric
from ..tracing.call_trace import CallTrace

_KINDS: Final = frozenset(semconv.KINDS)


class Measurement(NamedTuple):
    """One value that was recorded."""

    metric: Metric
    value: int | float
    labels: Mapping[str, str]


class CallInMemory:
    """What is kept of one call.

    Args:
        call_trace: The call, as its spans see it.
        content: Whether what was said, and passed through tools, is kept.

    Attributes:
        call_trace: The call.
        is_open: Whether a session of it is open.
        measurements: In order.
        summary: What it came to, once it was summed up.
    """

    def __init__(self, call_trace: CallTrace, *, content: bool) -> None:
        self.call_trace = call_trace
        self.is_open = True
        self.measurements: list[Measurement] = []
        self.summary: CallSummary | None = None
        self._builder = SummaryBuilder(call_trace.call, content=content)
        self._recorder = Recorder(self, counted_kinds=_KINDS, rules=call_trace.rules)

    def handle(self, event: CallEvent) -> None:
        """Take in one event."""
        if isinstance(event, SessionStarted | SessionClosed):
            self.is_open = isinstance(event, SessionStarted)
        self._builder.handle(event, time.time())
        self._recorder.record(self.call_trace.call, event)

    def record(
        self,
        metric: Metric,
        value: int | float,
        labels: tuple[str, ...],
        span: SpanContext | None = None,
    ) -> None:
        """Keep one value."""
        named = dict(zip(metric.labels, labels, strict=True))
        self.measurements.append(Measurement(metric, value, named))

    def sum_up(self) -> CallSummary:
        """Return what the call came to; from then on it is final."""
        if self.summary is None:
            call, rules, trace_id = (
                self.call_trace.call,
                self.call_trace.rules,
                self.call_trace.trace_id,
            )
            self._builder.end(time.time())
            self._recorder.record(call, CallEnded())
            self.summary = self._builder.summary(
                trace_id="" if trace_id is None else trace.format_trace_id(trace_id),
                outcome=rules.outcome_of(call),
                labels=rules.labels_of(call),
            )
        return self.summary


class InMemoryRecording:
    """Keeps the calls of this process.

    Args:
        capture_content: Whether what was said, and passed through tools, is kept.

    Attributes:
        provider: Where the spans of calls come from.
        calls: By id, in the order in which they started.
    """

    def __init__(self, *, capture_content: bool) -> None:
        self.calls: dict[str, CallInMemory] = {}
        self._content = capture_content
        self._is_over = False
        self._spans = InMemorySpanExporter()
        # the same on every machine: neither a sampler nor a resource of its variables
        self.provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource.get_empty(), shutdown_on_exit=False
        )
        self.provider.add_span_processor(SimpleSpanProcessor(self._spans))

    def settings_for(self, settings: Settings) -> Settings:
        """Send nothing anywhere, and refuse wrong values of the application loudly."""
        return replace(
            settings,
            trace_exporters=(),
            metric_exporters=(),
            log_exporters=(),
            event_content=False,
            session_report=semconv.REPORT_OFF,
            keep=None,
            development=True,
        )

    def handle(self, call_trace: CallTrace, event: CallEvent) -> None:
        """Take in one event; a call is kept from its first session on."""
        if self._is_over:
            return
        recorded = self.calls.get(call_trace.call.id)
        if recorded is None:
            if not isinstance(event, SessionStarted):
                return
            recorded = CallInMemory(call_trace, content=self._content)
            self.calls[call_trace.call.id] = recorded
        if recorded.summary is None:
            recorded.handle(event)

    def close(self) -> None:
        """Make what is there final; record nothing any more."""
        for recorded in self.calls.values():
            if not recorded.is_open:
                recorded.sum_up()
        self._is_over = True
        self.provider.shutdown()

    def spans_of(self, call_trace: CallTrace) -> tuple[ReadableSpan, ...]:
        """Return the finished spans of a call, in the order in which they ended."""
        call_id = call_trace.call.id
        spans = [
            span
            for span in self._spans.get_finished_spans()
            if span.context is not None
            and span.context.trace_id == call_trace.trace_id
            # two calls share a trace where the test has a span around both
            and (span.attributes or {}).get(semconv.SESSION_ID, call_id) == call_id
        ]
        return tuple(spans if self._content else map(without_content, spans))
