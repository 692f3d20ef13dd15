# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""One call of this process while it lasts: where its facts come in, and who is given them."""

from __future__ import annotations

from collections.abc import Callable

from ..call.call import Call
from ..call.events import (
    CallEvent,
    CallStarted,
    CostRecorded,
    JobEnded,
    JobStarted,
    ModelUsed,
    SessionClosed,
    SessionStarted,
    ToolFinished,
)
from ..config.settings import Settings
from ..diagnostics.guard import guarded
from ..export.flush import Flush
from ..metrics.job.job_metrics import JobMetrics
from ..providers.logger_provider import LogEvents
from ..semconv import TOOL_SUCCESS
from ..tracing import summary_attributes
from ..tracing.call_trace import CallTrace
from .call_costs import Pricing
from .call_report import CallReport
from .recording import Recording


class ActiveCall:
    """Takes in what happens in one call, LiveKit's and the application's alike.

    Args:
        call: What is known of it.
        settings: Which tools convert it, and how it is reported.
        pricing: Prices what it uses.
        metrics: Counts it. Default: nobody does.
        recording: Keeps it in memory. Default: nobody does.

    Attributes:
        call: What is known of it.
        trace: The call as its spans and its application see it.
        flush: Delivers what it leaves, once it has ended.
    """

    def __init__(
        self,
        call: Call,
        settings: Settings,
        pricing: Pricing,
        metrics: JobMetrics | None = None,
        recording: Recording | None = None,
    ) -> None:
        self.call = call
        self.trace = CallTrace(
            call, sink=self.handle, rules=settings.rules, development=settings.development
        )
        self.flush: Flush | None = None
        self._settings = settings
        self._pricing = pricing
        self._metrics = metrics
        self._recording = recording
        self._report: CallReport | None = None

    def job_started(self, logs: LogEvents | None) -> None:
        """Make the call findable from all that its job will do, and report it.

        Args:
            logs: Sends log events; None where none are asked for.
        """
        self.trace.attach()
        self.handle(JobStarted())
        self._report = CallReport(self.trace, self._settings, logs)

    def job_ended(self) -> list[tuple[str, Callable[[], object]]]:
        """Count and report what the call came to; return what its end has to wait for."""
        self.handle(JobEnded())
        with guarded("reporting a call"):
            if self._report is not None:
                return self._report.end()
        return []

    def handle(self, event: CallEvent) -> None:
        """Take in one event, in the context it happened in."""
        with guarded("recording a call"):
            is_first_session = self.call.started_at is None
            self.call.apply(event)
            self._pass_on(event)
            self._follow_up(event, is_first_session=is_first_session)

    def _pass_on(self, event: CallEvent) -> None:
        if self._metrics is not None:
            self._metrics.record(self.call, event)
        if self._recording is not None:
            self._recording.handle(self.trace, event)
        if self._report is not None:
            with guarded("reporting what happened in a call"):
                self._report.handle(event)

    def _follow_up(self, event: CallEvent, *, is_first_session: bool) -> None:
        """Do what follows from an event: more of them, and what is written on live spans."""
        match event:
            case SessionStarted() if is_first_session:
                if self._settings.has("attributes"):
                    # the root was there before the agent that may give the call its name
                    self.trace.write(self.trace.attributes())
                self.handle(CallStarted())
            case SessionClosed():
                self._spend(self._pricing.flat_costs(self.call))
                if self._settings.has("attributes"):
                    summary_attributes.write_session(self.trace)
            case ModelUsed():
                self._spend(self._pricing.spend(self.trace, event))
            case ToolFinished(name, status=status) if status == TOOL_SUCCESS:
                if name in self._settings.tool_conversions:
                    self.trace.convert(self._settings.tool_conversions[name])

    def _spend(self, cost: CostRecorded | None) -> None:
        if cost is not None:
            self.handle(cost)
