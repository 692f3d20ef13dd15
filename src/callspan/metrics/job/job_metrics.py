# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The metrics of the jobs in one process, recorded as calls go and on their way to the worker."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from ... import semconv
from ...call.call import Call
from ...call.events import (
    FLUSH_IMMEDIATELY,
    CallEnded,
    CallEvent,
    CallStarted,
    JobEnded,
    JobStarted,
    ToolsDeclared,
)
from ...call.outcome import OutcomeRules
from ..recorder import Recorder
from ..wire.rows import Row, own_row
from . import native
from .accumulator import DeltaAccumulator
from .relay import Relay


class PendingSpans(Protocol):
    """Spans on their way to a destination."""

    @property
    def waiting(self) -> int:
        """Those that were not sent."""

    @property
    def unanswered(self) -> int:
        """Those that were sent, and neither taken nor refused."""


class SpanDelivery(Protocol):
    """Sends spans to a destination, and says what became of them."""

    on_export: Callable[[str, bool, int], None] | None
    on_change: Callable[[], None] | None

    @property
    def pending(self) -> PendingSpans:
        """What would be lost if the process were gone now."""


class JobMetrics:
    """Records the calls of this process and relays what is recorded.

    Args:
        channel: The end of a channel to the worker.
        counted_kinds: The kinds of calls that count.
        rules: How a call's outcome is found, and what was declared.
        set_global: Whether a provider of ours may become the global one.
    """

    def __init__(
        self,
        channel: socket.socket,
        counted_kinds: frozenset[str],
        rules: OutcomeRules,
        *,
        set_global: bool,
    ) -> None:
        # of our own: neither the user's exporters nor LiveKit Cloud see our numbers a second time
        self._accumulator = DeltaAccumulator()
        self._counted_kinds = counted_kinds
        self._recorder = Recorder(self._accumulator, counted_kinds=counted_kinds, rules=rules)
        self._relay = Relay(channel, [self._accumulator])
        self._set_global = set_global
        self._deliveries: Sequence[SpanDelivery] = ()

    def record(self, call: Call, event: CallEvent) -> None:
        """Record what happened in a call, in the context it happened in."""
        if isinstance(event, JobEnded):
            # in one frame with the call's close: a kill counts it once
            self._relay.call_closed(call.id, partial(self._record_end, call, event))
            return
        if isinstance(event, JobStarted | CallStarted):
            self._open(call, has_session=isinstance(event, CallStarted))
        elif isinstance(event, ToolsDeclared):
            # an agent has begun: LiveKit Cloud sets its provider when a session starts
            self.attach_native()
        if not self._recorder.record(call, event):
            return
        if isinstance(event, FLUSH_IMMEDIATELY):
            self._relay.send_now()
        else:
            self._relay.send_soon()

    def _record_end(self, call: Call, event: JobEnded) -> None:
        if call.started_at is not None:
            self._recorder.record(call, CallEnded())
        self._recorder.record(call, event)

    def watch(self, deliveries: Sequence[SpanDelivery]) -> None:
        """Count what becomes of the spans that this process sends itself.

        Those that a destination refuses are lost at once; the rest is known when the process
        ends, or is killed: the worker adds up what it held.
        """
        self._deliveries = deliveries
        for delivery in deliveries:
            delivery.on_export = self._exported
            delivery.on_change = self._relay.send_soon
        self._relay.at_risk = self._spans_at_risk

    def spans_failed(self, count: int) -> None:
        """Count spans that were dropped because of an error of ours."""
        self._spans_dropped(count, semconv.REASON_FAILED)
        self._relay.send_now()

    def _exported(self, destination: str, success: bool, lost: int) -> None:
        """Note how a delivery of spans went; it leaves with the next frame."""
        self._accumulator.record(semconv.M_TELEMETRY_UP, int(success), (destination,))
        if success:
            self._accumulator.record(semconv.M_TELEMETRY_EXPORT_AGE, 0, (destination,))
        else:
            self._spans_dropped(lost, semconv.REASON_NOT_DELIVERED)
        self._relay.send_soon()

    def _spans_at_risk(self) -> list[Row]:
        labels = {
            semconv.L_SIGNAL: semconv.SIGNAL_TRACES,
            semconv.L_REASON: semconv.REASON_KILLED,
        }
        waiting, unanswered = self._pending()
        return [own_row(semconv.M_TELEMETRY_DROPPED, labels, waiting + unanswered)]

    def _pending(self) -> tuple[int, int]:
        pending = [delivery.pending for delivery in self._deliveries]
        return sum(each.waiting for each in pending), sum(each.unanswered for each in pending)

    def _count_the_rest(self) -> None:
        """Count the spans that this process ends with."""
        waiting, unanswered = self._pending()
        self._spans_dropped(waiting, semconv.REASON_NOT_DELIVERED)
        self._spans_dropped(unanswered, semconv.REASON_UNCONFIRMED)

    def flush(self, timeout_s: float) -> bool:
        """Send everything recorded; blocks until it is with the operating system."""
        return self._relay.flush(timeout_s)

    def close(self, timeout_s: float, *, others: bool) -> None:
        """Send everything recorded, by others if they are asked for, and end; blocks."""
        self._relay.end(self._count_the_rest)
        self._relay.close(timeout_s, others=others)

    def attach_native(self) -> None:
        """Relay what LiveKit and others record on the global provider, once there is one."""
        native.attach(self._relay, set_global=self._set_global)

    def _spans_dropped(self, count: int, reason: str) -> None:
        if count:
            labels = (semconv.SIGNAL_TRACES, reason)
            self._accumulator.record(semconv.M_TELEMETRY_DROPPED, count, labels)

    def _open(self, call: Call, *, has_session: bool) -> None:
        """Have the call counted as crashed if this process ends before it does."""
        rows = []
        if call.kind in self._counted_kinds:
            labels = self._labels(call, status=semconv.JOB_CRASHED)
            rows.append(own_row(semconv.M_JOBS, labels))
            if has_session:
                labels = self._labels(call, outcome=semconv.OUTCOME_CRASHED)
                rows.append(own_row(semconv.M_SESSIONS, labels))
        self._relay.call_opened(call.id, rows)

    def _labels(self, call: Call, **labels: str) -> dict[str, str]:
        return {semconv.L_AGENT: call.agent_name, **labels}
