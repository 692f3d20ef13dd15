# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""From what happens in calls to measurements, as it happens, whatever the sampler does."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, Final, Protocol

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext

from .. import semconv
from ..call import events
from ..call.application_events import Converted, FeedbackGiven, LabelSet, Measured
from ..call.call import Call
from ..call.events import CallEvent
from ..call.outcome import OutcomeRules
from ..semconv import Metric, Usage

PRODUCTION: Final = frozenset({semconv.KIND_PRODUCTION})

_LLM: Final = (semconv.COMPONENT_LLM, semconv.COMPONENT_REALTIME)
_DETECTION_PARTS: Final = (
    (Usage.DETECTION_DURATION, semconv.PART_TOTAL),
    (Usage.INFERENCE_DURATION, semconv.PART_PREDICTION),
    (Usage.DETECTION_DELAY, semconv.PART_DETECTION_DELAY),
)
_SUSPECT: Final = (semconv.SIGNAL_METRICS, semconv.REASON_SUSPECT_LATENCY)


class Measurements(Protocol):
    """Takes measurements in."""

    def record(
        self,
        metric: Metric,
        value: int | float,
        labels: tuple[str, ...],
        span: SpanContext | None = None,
    ) -> None:
        """Add to a counter, or record in a histogram.

        ``labels`` are the values of the metric's labels, in their order; ``span`` is where the
        exemplar leads.
        """


class Recorder:
    """Records calls.

    Args:
        measurements: What takes them in.
        counted_kinds: The kinds of calls that count. Default: production. A call of another kind
            is one point of ``agent.nonproduction_sessions`` and nothing else.
        rules: How a call's outcome is found, and what was declared.
    """

    def __init__(
        self,
        measurements: Measurements,
        *,
        counted_kinds: Set[str] = PRODUCTION,
        rules: OutcomeRules | None = None,
    ) -> None:
        self._record = measurements.record
        self._rules = rules or OutcomeRules()
        self._counted_kinds = counted_kinds
        self._handlers: dict[type, Callable[[Call, Any, SpanContext], None]] = {
            events.CallStarted: self._call_started,
            events.CallEnded: self._call_ended,
            events.JobEnded: self._job_ended,
            events.ToolsDeclared: self._tools_declared,
            events.FirstResponse: self._first_response,
            events.TurnAnswered: self._turn_answered,
            events.SpeechEnded: self._speech_ended,
            events.ToolFinished: self._tool_finished,
            events.Interrupted: self._interrupted,
            events.ModelUsed: self._model_used,
            events.ErrorRaised: self._error_raised,
            events.HandedOff: self._handed_off,
            events.CostRecorded: self._cost_recorded,
            Converted: self._converted,
            LabelSet: self._label_set,
            FeedbackGiven: self._feedback_given,
            Measured: self._measured,
        }

    def record(self, call: Call, event: CallEvent, context: Context | None = None) -> bool:
        """Record one event of a call.

        Args:
            call: The call, with the event applied.
            event: What happened in it.
            context: Where the exemplar leads, if its span is sampled. Default: the current one.

        Returns:
            Whether a metric is made from events of this type.
        """
        handler = self._handlers.get(type(event))
        if handler is None:
            return False
        if call.kind in self._counted_kinds:
            handler(call, event, trace.get_current_span(context).get_span_context())
        elif isinstance(event, events.CallEnded):
            labels = (call.agent_name, call.kind)
            self._record(semconv.M_NONPRODUCTION_SESSIONS, 1, labels)
        return True

    # --- the call as a whole -------------------------------------------------------------------

    def _call_started(self, call: Call, event: events.CallStarted, span: SpanContext) -> None:
        self._record(semconv.M_SESSIONS_ACTIVE, 1, (call.agent_name,))

    def _call_ended(self, call: Call, event: events.CallEnded, span: SpanContext) -> None:
        agent = (call.agent_name,)
        outcome = self._rules.outcome_of(call)
        self._record(semconv.M_SESSIONS_ACTIVE, -1, agent)
        self._record_call(call, semconv.M_SESSIONS, 1, (*agent, outcome))
        if call.duration_s is not None:
            duration_s = call.duration_s
            self._record_call(call, semconv.M_SESSION_DURATION, duration_s, (*agent, outcome))
        if call.costs.known:
            self._record_call(call, semconv.M_SESSION_COST, call.costs.total, agent)
        self._record(semconv.M_SESSION_TURNS, call.user_message_count, agent)
        llm_s = call.usage.total(Usage.REQUEST_DURATION, *_LLM)
        self._record(semconv.M_SESSION_LLM_DURATION, llm_s, agent)

    def _record_call(
        self, call: Call, metric: Metric, value: float, labels: tuple[str, ...]
    ) -> None:
        """Record what the application's labels of the call are added to."""
        of_call = self._rules.labels_of(call)
        names = tuple(sorted(of_call))
        values = tuple(of_call[name] for name in names)
        self._record(metric.with_labels(names), value, (*labels, *values))

    def _job_ended(self, call: Call, event: events.JobEnded, span: SpanContext) -> None:
        failed = call.failed and call.started_at is None
        status = semconv.JOB_FAILED if failed else semconv.JOB_DONE
        self._record(semconv.M_JOBS, 1, (call.agent_name, status), span)

    # --- turns and speech ----------------------------------------------------------------------

    def _first_response(self, call: Call, event: events.FirstResponse, span: SpanContext) -> None:
        self._record(semconv.M_FIRST_RESPONSE_LATENCY, event.latency_s, (call.agent_name,), span)

    def _turn_answered(self, call: Call, event: events.TurnAnswered, span: SpanContext) -> None:
        if not 0 <= event.latency_s <= semconv.SUSPECT_LATENCY_S:
            self._record(semconv.M_TELEMETRY_DROPPED, 1, _SUSPECT, span)
            return
        self._record(semconv.M_TURN_LATENCY, event.latency_s, (call.agent_name,), span)
        for stage, duration_s in event.stages_s.items():
            self._record(semconv.M_TURN_STAGE_DURATION, duration_s, (call.agent_name, stage), span)

    def _speech_ended(self, call: Call, event: events.SpeechEnded, span: SpanContext) -> None:
        labels = (call.agent_name, event.speaker)
        self._record(semconv.M_SPEECH_DURATION, event.duration_s, labels, span)

    def _interrupted(self, call: Call, event: events.Interrupted, span: SpanContext) -> None:
        self._record(semconv.M_INTERRUPTIONS, 1, (call.agent_name, event.kind), span)

    # --- tools and agents ----------------------------------------------------------------------

    def _tools_declared(self, call: Call, event: events.ToolsDeclared, span: SpanContext) -> None:
        # a series that begins at 0: the first call of a tool is an increase
        for name in event.names:
            for status in semconv.TOOL_STATUSES:
                self._record(semconv.M_TOOL_CALLS, 0, (call.agent_name, name, status))

    def _tool_finished(self, call: Call, event: events.ToolFinished, span: SpanContext) -> None:
        tool = (call.agent_name, event.name)
        self._record(semconv.M_TOOL_CALLS, 1, (*tool, event.status), span)
        if event.duration_s is not None:
            self._record(semconv.M_TOOL_CALL_DURATION, event.duration_s, tool, span)

    def _handed_off(self, call: Call, event: events.HandedOff, span: SpanContext) -> None:
        labels = (call.agent_name, event.from_agent, event.to_agent)
        self._record(semconv.M_HANDOFFS, 1, labels, span)

    # --- models and services -------------------------------------------------------------------

    def _model_used(self, call: Call, event: events.ModelUsed, span: SpanContext) -> None:
        agent = (call.agent_name,)
        usage = event.usage
        if event.suspect:
            self._record(semconv.M_TELEMETRY_DROPPED, event.suspect, _SUSPECT, span)
        if event.component in _LLM and event.tokens_per_second:
            model = (event.provider or semconv.UNKNOWN, event.model or semconv.UNKNOWN)
            speed = event.tokens_per_second
            self._record(semconv.M_LLM_TOKENS_PER_SECOND, speed, (*agent, *model), span)
        elif event.component == semconv.COMPONENT_VAD:
            inferences_s = usage.get(Usage.INFERENCE_DURATION, 0.0)
            self._record(semconv.M_VAD_INFERENCES, int(usage.get(Usage.INFERENCES, 0)), agent)
            self._record(semconv.M_VAD_INFERENCE_DURATION, inferences_s, agent)
        elif event.component == semconv.COMPONENT_INTERRUPTION:
            if backchannels := int(usage.get(Usage.BACKCHANNELS, 0)):
                self._record(semconv.M_BACKCHANNELS, backchannels, agent, span)
            for key, part in _DETECTION_PARTS:
                if key in usage:
                    self._record(
                        semconv.M_INTERRUPTION_DETECTION_DURATION, usage[key], (*agent, part), span
                    )

    def _error_raised(self, call: Call, event: events.ErrorRaised, span: SpanContext) -> None:
        provider = event.provider or semconv.UNKNOWN
        recoverable = str(event.recoverable).lower()
        labels = (call.agent_name, event.component, provider, event.error_type, recoverable)
        self._record(semconv.M_ERRORS, 1, labels, span)

    # --- business ------------------------------------------------------------------------------

    def _cost_recorded(self, call: Call, event: events.CostRecorded, span: SpanContext) -> None:
        model = (
            event.component,
            event.provider or semconv.UNKNOWN,
            event.model or semconv.UNKNOWN,
        )
        if event.dollars is None:
            self._record(semconv.M_UNPRICED_USAGE, 1, model, span)
        else:
            self._record(semconv.M_COST, event.dollars, (call.agent_name, *model), span)

    def _converted(self, call: Call, event: Converted, span: SpanContext) -> None:
        if event.first:
            metric = self._rules.declared.conversions[event.name].metric
            self._record_call(call, metric, 1, (call.agent_name,))
        if event.currency:
            labels = (call.agent_name, event.name, event.currency)
            self._record(semconv.M_CONVERSION_VALUE, event.value, labels, span)

    def _label_set(self, call: Call, event: LabelSet, span: SpanContext) -> None:
        # series that begin at 0: what the call comes to with these labels is an increase
        for outcome in self._rules.declared.all_outcomes:
            self._record_call(call, semconv.M_SESSIONS, 0, (call.agent_name, outcome))
        for conversion in self._rules.declared.conversions.values():
            self._record_call(call, conversion.metric, 0, (call.agent_name,))

    def _feedback_given(self, call: Call, event: FeedbackGiven, span: SpanContext) -> None:
        self._record(semconv.M_FEEDBACK_SCORE, event.score, (call.agent_name, event.kind), span)

    def _measured(self, call: Call, event: Measured, span: SpanContext) -> None:
        self._record(event.metric, event.value, (call.agent_name, *event.labels), span)
