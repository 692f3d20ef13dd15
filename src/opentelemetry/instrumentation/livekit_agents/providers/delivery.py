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

from ..guard import contained
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

    def leave_out(self, trace_id: int) -> bool:
        """Take a span off that will not be sent; return whether it was still waited for."""
        with self._lock:
            waited_for = self._made[trace_id] > 0
            if waited_for:
                self._made[trace_id] -= 1
            return waited_for

    def close(self, trace_id: int) -> tuple[int, int]:
        """Return (missing, made) of a trace and forget it."""
        with self._lock:
            made = self._made.pop(trace_id, 0)
            return made - self._arrived.pop(trace_id, 0), made


class _AccountingExporter(SpanExporter):
    """Sends copies on and notes what arrived.

    A span that cannot be copied is left out: its copy is what content is taken off.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        account: _Account,
        copy: Callable[[ReadableSpan], ReadableSpan],
        note: Callable[[bool], None],
        failed: Callable[[], None],
    ) -> None:
        self._exporter = exporter
        self._account = account
        self._make_copy = copy
        self._note = note
        self._failed = failed

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        copies = [copy for span in spans if (copy := self._copy(span)) is not None]
        if not copies:
            return SpanExportResult.SUCCESS
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(copies)
        finally:
            self._note(result is SpanExportResult.SUCCESS)
        if result is SpanExportResult.SUCCESS:
            self._account.arrived(copies)
        return result

    def _leave_out(self, span: ReadableSpan) -> None:
        # one that is not waited for any more was counted as not delivered
        if span.context is not None and self._account.leave_out(span.context.trace_id):
            self._failed()

    @contained("copying a span for its destination", otherwise=_leave_out)
    def _copy(self, span: ReadableSpan) -> ReadableSpan | None:
        return self._make_copy(span)

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
        failed: Called for each span that is dropped because of an error of ours. Default: nobody.

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
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.held = HeldSpans(self._send) if hold else None
        self.active = True
        self._diet = diet
        self._failed = failed
        self._account = _Account()
        self._batches = BatchSpanProcessor(
            _AccountingExporter(exporter, self._account, copy, self._note, failed)
        )

    @contained("noting the start of a span")
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Note where the span stands, for a diet; spans go out when they are finished."""
        if self._diet is not None and self.active:
            self._diet.started(span, parent_context)

    def _drop(self, span: ReadableSpan) -> None:
        if self.active and span.context is not None and span.context.trace_flags.sampled:
            self._failed()

    @contained("queueing a finished span", otherwise=_drop)
    def on_end(self, span: ReadableSpan) -> None:
        """Queue a finished span; one that cannot be is dropped."""
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

    @contained("flushing spans", otherwise=lambda *_: False)
    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Export what is queued; blocks for as long as the exporter takes."""
        return self._batches.force_flush(timeout_millis)

    @contained("queueing a finished span", otherwise=_drop)
    def _send(self, span: ReadableSpan) -> None:
        assert span.context is not None
        self._batches.on_end(span)
        # not before: one that could not be queued is not waited for
        self._account.made(span.context.trace_id)

    @contained("noting a delivery")
    def _note(self, success: bool) -> None:
        if self.told is not None:
            self.told(self.name, success)

    @contained("ending a delivery of spans")
    def shutdown(self) -> None:
        """Export what is queued and stop; blocks for as long as the exporter takes."""
        shutdown: Callable[[], None] = self._batches.shutdown
        shutdown()
