# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A process as one that runs jobs: what each of its calls is given, and what its end waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakValueDictionary

from opentelemetry.trace import Span

from ..call.application_events import Transferred
from ..call.call import Call
from ..call.events import CallEvent, Interrupted
from ..config.settings import Settings
from ..diagnostics.guard import guarded
from ..export.flush import Flush
from ..metrics.job.job_metrics import JobMetrics
from ..providers import tracer_provider
from ..providers.logger_provider import LogEvents
from ..providers.tracer_provider import Tracing
from ..semconv import KIND_TEST
from ..tracing import interruptions
from ..tracing.call_trace import CallTrace
from . import shutdown
from .active_call import ActiveCall
from .call_costs import Pricing
from .recording import Recording


class JobRole:
    """The calls of this process, one after another or several at once.

    Args:
        settings: How calls are counted, priced and reported.
        tracing: Where their spans come from.
        logs: Sends log events. Default: none are sent.
        metrics: Counts them. Default: nobody does.
        recording: Keeps them in memory. Default: nobody does.

    Attributes:
        metrics: Counts the calls; None where nobody does.
    """

    def __init__(
        self,
        settings: Settings,
        tracing: Tracing,
        logs: LogEvents | None = None,
        metrics: JobMetrics | None = None,
        recording: Recording | None = None,
    ) -> None:
        self.metrics = metrics
        self._settings = settings
        self._tracing = tracing
        self._logs = logs
        self._recording = recording
        # while the process waits for its job: rows of prices are slow to load
        self._pricing = Pricing(settings.prices)
        # by the call's id; each lives as long as it can be found from where its code runs
        self._calls: WeakValueDictionary[str, ActiveCall] = WeakValueDictionary()
        if metrics is not None:
            tracing.count_failed = metrics.spans_failed
            metrics.watch(tracing.deliveries)
            metrics.attach_native()

    def job_started(self, call: Call) -> None:
        """Make the call findable from all that its job will do."""
        self._open(call).job_started(self._logs)

    def session_starting(self, new_call: Callable[[], Call]) -> Call:
        """Return the job's call, or open one: without a job, or where we came late to it."""
        call_trace = CallTrace.find()
        if call_trace is None or call_trace.call.kind == KIND_TEST:
            call_trace = self._open(new_call()).trace
            call_trace.attach()
        return call_trace.call

    def _open(self, call: Call) -> ActiveCall:
        call.agent_name = (
            call.agent_name
            or self._settings.dispatch_name
            or tracer_provider.service_name(self._tracing.provider)
        )
        active = ActiveCall(call, self._settings, self._pricing, self.metrics, self._recording)
        self._calls[call.id] = active
        return active

    def _current(self) -> ActiveCall | None:
        call_trace = CallTrace.find()
        return None if call_trace is None else self._calls.get(call_trace.call.id)

    def call_event(self, call: Call, event: CallEvent) -> None:
        """Take in what happened in a call."""
        if (active := self._calls.get(call.id)) is not None:
            active.handle(event)

    def interrupted(self, span: Span | None, kind: str, at_ns: int | None) -> None:
        """Count an interruption, and record it on the speech's span."""
        if (active := self._current()) is not None:
            active.handle(Interrupted(kind))
        if span is not None and span.is_recording() and self._settings.has("interruptions"):
            interruptions.record(span, kind, at_ns)

    def transferred(self) -> None:
        """Note that the caller was passed on to a human."""
        if (active := self._current()) is not None:
            active.handle(Transferred())

    def root_ended(self) -> None:
        """Start to deliver what the call has left, on threads of its own."""
        if (active := self._current()) is None:
            return
        # first: what fails after it does not make a good call a crashed one
        waits = active.job_ended()
        with guarded("deciding which spans are sent"):
            shutdown.decide(active.trace, self._tracing, self._settings.keep)
        timeout_s = self._settings.flush_timeout_s
        if self._settings.has("flush"):
            waits += shutdown.flush_targets(self._tracing, self.metrics, timeout_s)
        if waits:
            active.flush = Flush(waits, timeout_s)

    async def job_ended(self) -> frozenset[str]:
        """Wait for the rest of the delivery, bounded; say what did not get out.

        Returns:
            What did not finish, by name: the end of the process need not wait for it again.
        """
        active = self._current()
        flush = None if active is None else active.flush
        if active is None or flush is None:
            return frozenset()
        if not flush.done.done() and flush.remaining_s > 0:
            await asyncio.wait({asyncio.wrap_future(flush.done)}, timeout=flush.remaining_s)
        if self._settings.has("flush"):  # without it, hooks alone were waited for
            timeout_s = self._settings.flush_timeout_s
            shutdown.report_losses(active.trace, flush, self._tracing, timeout_s)
        return flush.unfinished
