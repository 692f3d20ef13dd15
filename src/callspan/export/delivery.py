# Copyright The Callspan Authors
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
from typing import NamedTuple

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from ..diagnostics.guard import contained
from .span_buffer import SpanBuffer
from .span_filter import SpanFilter


class Pending(NamedTuple):
    """Spans on their way.

    Attributes:
        waiting: Not sent yet: queued, or held until their call is decided on.
        unanswered: Sent, and neither taken nor refused so far.
    """

    waiting: int
    unanswered: int


class _Account:
    """Where the spans are that were handed over: of each call, until its end, and altogether."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Counter[int] = Counter()
        self._arrived: Counter[int] = Counter()
        self._queued = self._unanswered = 0

    def queued(self, trace_id: int) -> None:
        with self._lock:
            self._made[trace_id] += 1
            self._queued += 1

    def sending(self, count: int) -> None:
        with self._lock:
            self._queued -= count
            self._unanswered += count

    def answered(self, spans: Sequence[ReadableSpan], *, taken: bool) -> None:
        with self._lock:
            self._unanswered -= len(spans)
            for span in spans if taken else ():
                # of a call that has ended, nobody will ask
                if span.context is not None and span.context.trace_id in self._made:
                    self._arrived[span.context.trace_id] += 1

    def leave_out(self, trace_id: int) -> None:
        """Take off a span that was to be sent and will not be."""
        with self._lock:
            self._unanswered -= 1
            if trace_id in self._made:
                self._made[trace_id] -= 1

    @property
    def pending(self) -> Pending:
        with self._lock:
            # the exporter's thread can be faster than who queues
            return Pending(max(self._queued, 0), self._unanswered)

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
        note: Callable[[bool, int], None],
        failed: Callable[[], None],
    ) -> None:
        self._exporter = exporter
        self._account = account
        self._make_copy = copy
        self._note = note
        self._failed = failed

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._account.sending(len(spans))
        copies = [copy for span in spans if (copy := self._copy(span)) is not None]
        if not copies:
            return SpanExportResult.SUCCESS
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(copies)
        finally:
            taken = result is SpanExportResult.SUCCESS
            self._account.answered(copies, taken=taken)
            self._note(taken, 0 if taken else len(copies))
        return result

    def _leave_out(self, span: ReadableSpan) -> None:
        if span.context is not None:
            self._account.leave_out(span.context.trace_id)
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
        span_filter: Leaves out spans that are not wanted there. Default: all are sent.
        hold: Whether spans wait for a decision on their call. Default: they go out as they end.
        failed: Called for each span that is dropped because of an error of ours. Default: nobody.

    Attributes:
        on_export: Called after each export, with the destination, whether it succeeded, and how
            many spans are lost with it: the SDK does not send them again.
        on_change: Called when there is more, or less, that a kill of the process would lose.
        held: Spans that wait for a decision on their call, if they do.
    """

    on_export: Callable[[str, bool, int], None] | None = None
    on_change: Callable[[], None] | None = None

    def __init__(
        self,
        exporter: SpanExporter,
        name: str,
        copy: Callable[[ReadableSpan], ReadableSpan],
        span_filter: SpanFilter | None = None,
        *,
        hold: bool = False,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.held = SpanBuffer(self._send) if hold else None
        self.active = True
        self._span_filter = span_filter
        self._failed = failed
        self._account = _Account()
        self._batches = BatchSpanProcessor(
            _AccountingExporter(exporter, self._account, copy, self._note, failed)
        )

    @contained("noting the start of a span")
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Note where the span stands, for a filter; spans go out when they are finished."""
        if self._span_filter is not None and self.active:
            self._span_filter.started(span, parent_context)

    def _drop(self, span: ReadableSpan) -> None:
        if self.active and span.context is not None and span.context.trace_flags.sampled:
            self._failed()

    @contained("queueing a finished span", otherwise=_drop)
    def on_end(self, span: ReadableSpan) -> None:
        """Queue a finished span; one that cannot be is dropped."""
        if not self.active or span.context is None or not span.context.trace_flags.sampled:
            return
        sent = span if self._span_filter is None else self._span_filter.ended(span)
        if sent is None:
            return
        if self.held is None:
            self._send(sent)
        else:
            self.held.add(span.context.trace_id, sent)
        if self.on_change is not None:
            self.on_change()

    @property
    def pending(self) -> Pending:
        """What would be lost if the process were gone now."""
        held = 0 if self.held is None else self.held.count()
        waiting, unanswered = self._account.pending
        return Pending(waiting + held, unanswered)

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
        self._account.queued(span.context.trace_id)

    @contained("noting a delivery")
    def _note(self, success: bool, lost: int) -> None:
        if self.on_export is not None:
            self.on_export(self.name, success, lost)

    @contained("ending a delivery of spans")
    def shutdown(self) -> None:
        """Export what is queued and stop; blocks for as long as the exporter takes."""
        shutdown: Callable[[], None] = self._batches.shutdown
        shutdown()
