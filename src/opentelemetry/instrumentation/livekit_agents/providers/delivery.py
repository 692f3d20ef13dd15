# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""Delivery of spans to one destination, with an account of what arrived.

The SDK's batch processor does the work; its ``force_flush`` answers True whether or not anything
was delivered, so the account is kept here: per trace, so that calls that share a process are
told apart.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from ..tracing.span_diet import SpanDiet
from .held import HeldSpans


class _Account:
    """How many spans of each trace were handed over, and how many of those have arrived."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Counter[int] = Counter()
        self._arrived: Counter[int] = Counter()

    def made(self, trace_id: int) -> None:
        with self._lock:
            self._made[trace_id] += 1

    def arrived(self, spans: Sequence[ReadableSpan]) -> None:
        with self._lock:
            for span in spans:
                if span.context is not None:
                    self._arrived[span.context.trace_id] += 1

    def close(self, trace_id: int) -> tuple[int, int]:
        """Return (missing, made) of a trace and forget it."""
        with self._lock:
            made = self._made.pop(trace_id, 0)
            return made - self._arrived.pop(trace_id, 0), made


class _AccountingExporter(SpanExporter):
    """Sends copies on and notes what arrived."""

    def __init__(
        self,
        exporter: SpanExporter,
        account: _Account,
        copy: Callable[[ReadableSpan], ReadableSpan],
        note: Callable[[bool], None],
    ) -> None:
        self._exporter = exporter
        self._account = account
        self._copy = copy
        self._note = note

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export([self._copy(span) for span in spans])
        finally:
            self._note(result is SpanExportResult.SUCCESS)
        if result is SpanExportResult.SUCCESS:
            self._account.arrived(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class DeliveringSpanProcessor(SpanProcessor):
    """Batches spans to one exporter and knows what has not arrived.

    Args:
        exporter: Where spans go; only ever called on the batch processor's threads.
        name: The destination as people read it, e.g. ``otlp http://localhost:4318/v1/traces``.
        copy: Applied to each span on its way out; returns the span itself or a changed copy.
        diet: Leaves out spans that are not wanted there. Default: all are sent.
        hold: Whether spans wait for a decision on their call. Default: they go out as they end.

    Attributes:
        told: Called after each export, with the destination and whether it succeeded.
        held: Spans that wait for a decision on their call, if they do.
    """

    told: Callable[[str, bool], None] | None = None

    def __init__(
        self,
        exporter: SpanExporter,
        name: str,
        copy: Callable[[ReadableSpan], ReadableSpan],
        diet: SpanDiet | None = None,
        *,
        hold: bool = False,
    ) -> None:
        self.name = name
        self.held = HeldSpans(self._send) if hold else None
        self.active = True
        self._diet = diet
        self._account = _Account()
        self._batches = BatchSpanProcessor(
            _AccountingExporter(exporter, self._account, copy, self._note)
        )

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Note where the span stands, for a diet; spans go out when they are finished."""
        if self._diet is not None and self.active:
            self._diet.started(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a finished span."""
        if not self.active or span.context is None or not span.context.trace_flags.sampled:
            return
        sent = span if self._diet is None else self._diet.ended(span)
        if sent is None:
            return
        if self.held is None:
            self._send(sent)
        else:
            self.held.add(span.context.trace_id, sent)

    def missing(self, trace_id: int) -> tuple[int, int]:
        """Return (spans not arrived, spans made) of a trace, and close its account."""
        return self._account.close(trace_id)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Export what is queued; blocks for as long as the exporter takes."""
        return self._batches.force_flush(timeout_millis)

    def _send(self, span: ReadableSpan) -> None:
        assert span.context is not None
        self._account.made(span.context.trace_id)
        self._batches.on_end(span)

    def _note(self, success: bool) -> None:
        if self.told is not None:
            self.told(self.name, success)

    def shutdown(self) -> None:
        """Export what is queued and stop; blocks for as long as the exporter takes."""
        shutdown: Callable[[], None] = self._batches.shutdown
        shutdown()
