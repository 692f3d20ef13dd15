# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Where what happens in a call becomes what it means: measurements, money, conversions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from weakref import WeakValueDictionary

from ..call.call import Call
from ..call.events import (
    CallEvent,
    CostRecorded,
    ErrorRaised,
    MessageAdded,
    ModelUsed,
    ToolFinished,
    TurnAnswered,
)
from ..config.settings import Settings
from ..diagnostics.guard import guarded
from ..metrics.job.job_metrics import JobMetrics
from ..semconv import SUSPECT_LATENCY_S, TOOL_ERROR, TOOL_SUCCESS
from ..tracing.call_trace import CallTrace
from .call_costs import Pricing
from .call_report import CallReport, log_events
from .recording import Recording


class Calls:
    """Takes in what happens in the calls of this process.

    Args:
        settings: Prices, which tools convert a call, and how it is reported.
        recording: Is told what happens. Default: nobody is.
    """

    def __init__(self, settings: Settings, recording: Recording | None = None) -> None:
        self._settings = settings
        self._recording = recording
        # while the process waits for its job: rows of prices are slow to load
        self._pricing = Pricing(settings.prices)
        self._logs = log_events(settings)
        # by the call's id: what an application's own thread sets off has no context to find it by
        self._traces: WeakValueDictionary[str, CallTrace] = WeakValueDictionary()
        self._reports: dict[str, CallReport] = {}
        self.metrics: JobMetrics | None = None

    def trace_of(self, call: Call) -> CallTrace:
        """Return a new call as its spans and its application see it."""

        def emit(event: CallEvent) -> None:
            with guarded("recording a call"):
                self.handle(call, event)

        call_trace = self._traces[call.id] = CallTrace(
            call,
            emit=emit,
            rules=self._settings.rules,
            development=self._settings.development,
        )
        return call_trace

    def job_started(self, call: Call) -> None:
        """Make the call findable from all that its job will do, and report it."""
        call_trace = self.trace_of(call)
        call_trace.attach()
        self._reports[call.id] = CallReport(call_trace, self._settings, self._logs)

    def session_starting(self, call: Call) -> None:
        """Report that the call starts; one without a job is not reported."""
        if self._recording is not None and (live := self._traces.get(call.id)) is not None:
            self._recording.session_starting(live)
        if (report := self._reports.get(call.id)) is not None:
            report.session_starting()

    def root_ended(self, call: Call) -> list[tuple[str, Callable[[], object]]]:
        """Report what the call came to; return what its end has to wait for."""
        with guarded("reporting a call"):
            if (report := self._reports.pop(call.id, None)) is not None:
                return report.end()
        return []

    def handle(self, call: Call, event: CallEvent) -> None:
        """Take in one event, in the context it happened in."""
        # what was said is no measurement
        if self.metrics is not None and not isinstance(event, MessageAdded):
            self.metrics.record(call, event)
        if self._recording is not None:
            self._recording.handle(call, event)
        if (report := self._reports.get(call.id)) is not None:
            with guarded("reporting what happened in a call"):
                report.handle(event)
        call_trace = self._traces.get(call.id)
        if call_trace is None:
            return
        _note(call, event)
        if isinstance(event, ModelUsed):
            self._handle_cost(call, self._pricing.spend(call_trace, event))
        elif (
            isinstance(event, ToolFinished)
            and event.status == TOOL_SUCCESS
            and event.name in self._settings.tool_conversions
        ):
            call_trace.convert(self._settings.tool_conversions[event.name])

    def session_closed(self, call: Call) -> None:
        """Add what is paid by the minute or by the call."""
        self._handle_cost(call, self._pricing.flat_costs(call))
        if self._recording is not None:
            self._recording.session_closed(call)

    def usage_of(self, call: Call) -> Mapping[str, float]:
        """Return what a call has used so far, as entries of its summary."""
        source = self._recording or self.metrics
        return {} if source is None else source.usage_of(call)

    def close(self) -> None:
        """End what reports calls; blocks until it has sent what it holds."""
        if self._logs is not None:
            self._logs.close()

    def _handle_cost(self, call: Call, spent: CostRecorded | None) -> None:
        if spent is not None:
            self.handle(call, spent)


def _note(call: Call, event: CallEvent) -> None:
    """Note what tells afterwards whether a call is worth looking at."""
    if isinstance(event, TurnAnswered) and 0 <= event.latency_s <= SUSPECT_LATENCY_S:
        call.slowest_turn_s = max(call.slowest_turn_s, event.latency_s)
    elif (isinstance(event, ToolFinished) and event.status == TOOL_ERROR) or (
        isinstance(event, ErrorRaised) and not event.recoverable
    ):
        call.failures += 1
