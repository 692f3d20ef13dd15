# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""Where what happens in a call becomes what it means: measurements, money, conversions."""

from __future__ import annotations

from .call.events import CallEvent, ModelUsed, Spent, ToolFinished
from .call.record import Call
from .guard import guarded
from .job_metrics import JobMetrics
from .pricing import Pricing
from .semconv import TOOL_SUCCESS
from .settings import Settings
from .tracing import call_trace
from .tracing.call_trace import CallTrace


class Calls:
    """Takes in what happens in the calls of this process.

    Args:
        settings: Prices, and which tools convert a call.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # while the process waits for its job: rows of prices are slow to load
        self._pricing = Pricing(settings.prices)
        self.metrics: JobMetrics | None = None

    def trace_of(self, call: Call) -> CallTrace:
        """Return a new call as its spans and its application see it."""

        def tell(event: CallEvent) -> None:
            with guarded("recording a call"):
                self.take(call, event)

        return CallTrace(
            call,
            tell=tell,
            rules=self._settings.rules,
            development=self._settings.development,
        )

    def take(self, call: Call, event: CallEvent) -> None:
        """Take in one event, in the context it happened in."""
        if self.metrics is not None:
            self.metrics.record(call, event)
        found = call_trace.find()
        if found is None or found.call is not call:
            return
        if isinstance(event, ModelUsed):
            self._take_spent(call, self._pricing.spend(found, event))
        elif (
            isinstance(event, ToolFinished)
            and event.status == TOOL_SUCCESS
            and event.name in self._settings.tool_conversions
        ):
            found.convert(self._settings.tool_conversions[event.name])

    def session_closed(self, call: Call) -> None:
        """Add what is paid by the minute or by the call."""
        self._take_spent(call, self._pricing.settle(call))

    def _take_spent(self, call: Call, spent: Spent | None) -> None:
        if spent is not None:
            self.take(call, spent)
