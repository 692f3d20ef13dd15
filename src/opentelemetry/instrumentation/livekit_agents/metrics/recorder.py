# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""From what happens in calls to measurements, as it happens, whatever the sampler does."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, Final

from opentelemetry.context import Context

from .. import semconv
from ..call import events
from ..call.events import CallEvent
from ..call.outcome import outcome_of
from ..call.record import Call
from ..call.usage import CallUsage
from ..semconv import Usage
from .instruments import Instruments

PRODUCTION: Final = frozenset({semconv.KIND_PRODUCTION})

_LLM: Final = (semconv.COMPONENT_LLM, semconv.COMPONENT_REALTIME)
_DETECTION_PARTS: Final = (
    (Usage.DETECTION_DURATION, semconv.PART_TOTAL),
    (Usage.INFERENCE_DURATION, semconv.PART_PREDICTION),
    (Usage.DETECTION_DELAY, semconv.PART_DETECTION_DELAY),
)


class Recorder:
    """Records calls on our instruments.

    Args:
        instruments: What they are recorded on.
        counted_kinds: The kinds of calls that count. Default: production. A call of another kind
            is one point of ``agent.nonproduction_sessions`` and nothing else.
    """

    def __init__(self, instruments: Instruments, *, counted_kinds: Set[str] = PRODUCTION) -> None:
        self._instruments = instruments
        self._counted_kinds = counted_kinds
        # from SessionStarted to SessionEnded, by the call's id
        self._open: dict[str, CallUsage] = {}
        self._handlers: dict[type, Callable[[Call, Any, Context | None], None]] = {
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
        }

    def record(self, call: Call, event: CallEvent, context: Context | None = None) -> None:
        """Record one event of a call.

        Args:
            call: The call.
            event: What happened in it.
            context: Where the exemplar leads, if its span is sampled. Default: the current one.
        """
        if isinstance(event, events.SessionStarted):
            self._session_started(call)
        elif isinstance(event, events.SessionEnded):
            self._session_ended(call)
        else:
            if isinstance(event, events.ModelUsed) and call.id in self._open:
                self._open[call.id].add(event)
            if call.kind in self._counted_kinds:
                self._handlers[type(event)](call, event, context)

    def usage(self, call: Call) -> CallUsage | None:
        """Return what a call in progress has used so far; None before and after it."""
        return self._open.get(call.id)

    # --- the call as a whole -------------------------------------------------------------------

    def _session_started(self, call: Call) -> None:
        if call.id in self._open:
            return
        self._open[call.id] = CallUsage()
        if call.kind in self._counted_kinds:
            self._instruments.sessions_active.add(1, {semconv.L_AGENT: call.agent_name})

    def _session_ended(self, call: Call) -> None:
        usage = self._open.pop(call.id, None)
        if usage is None:
            return
        agent = {semconv.L_AGENT: call.agent_name}
        if call.kind not in self._counted_kinds:
            self._instruments.nonproduction_sessions.add(1, {**agent, semconv.L_KIND: call.kind})
            return
        with_outcome = {**agent, semconv.L_OUTCOME: outcome_of(call)}
        self._instruments.sessions_active.add(-1, agent)
        self._instruments.sessions.add(1, with_outcome)
        if call.duration_s is not None:
            self._instruments.session_duration.record(call.duration_s, with_outcome)
        self._instruments.session_turns.record(call.turns, agent)
        self._instruments.session_llm_duration.record(
            usage.total(Usage.REQUEST_DURATION, *_LLM), agent
        )

    def _job_ended(self, call: Call, event: events.JobEnded, context: Context | None) -> None:
        failed = call.failed and call.started_at is None
        status = semconv.JOB_FAILED if failed else semconv.JOB_DONE
        self._instruments.jobs.add(
            1, {semconv.L_AGENT: call.agent_name, semconv.L_STATUS: status}, context
        )

    # --- turns and speech ----------------------------------------------------------------------

    def _first_response(
        self, call: Call, event: events.FirstResponse, context: Context | None
    ) -> None:
        self._instruments.first_response_latency.record(
            event.latency_s, {semconv.L_AGENT: call.agent_name}, context
        )

    def _turn_answered(
        self, call: Call, event: events.TurnAnswered, context: Context | None
    ) -> None:
        if not 0 <= event.latency_s <= semconv.SUSPECT_LATENCY_S:
            self._instruments.telemetry_dropped.add(
                1,
                {
                    semconv.L_SIGNAL: semconv.SIGNAL_METRICS,
                    semconv.L_REASON: semconv.REASON_SUSPECT_LATENCY,
                },
                context,
            )
            return
        agent = {semconv.L_AGENT: call.agent_name}
        self._instruments.turn_latency.record(event.latency_s, agent, context)
        for stage, duration_s in event.stages_s.items():
            self._instruments.turn_stage_duration.record(
                duration_s, {**agent, semconv.L_STAGE: stage}, context
            )

    def _speech_ended(self, call: Call, event: events.SpeechEnded, context: Context | None) -> None:
        self._instruments.speech_duration.add(
            event.duration_s,
            {semconv.L_AGENT: call.agent_name, semconv.L_SPEAKER: event.speaker},
            context,
        )

    def _interrupted(self, call: Call, event: events.Interrupted, context: Context | None) -> None:
        self._instruments.interruptions.add(
            1, {semconv.L_AGENT: call.agent_name, semconv.L_KIND: event.kind}, context
        )

    # --- tools and agents ----------------------------------------------------------------------

    def _tools_declared(
        self, call: Call, event: events.ToolsDeclared, context: Context | None
    ) -> None:
        # a series that begins at 0: the first call of a tool is an increase
        for name in event.names:
            for status in semconv.TOOL_STATUSES:
                self._instruments.tool_calls.add(0, _tool_labels(call, name, status), context)

    def _tool_finished(
        self, call: Call, event: events.ToolFinished, context: Context | None
    ) -> None:
        self._instruments.tool_calls.add(1, _tool_labels(call, event.name, event.status), context)
        if event.duration_s is not None:
            self._instruments.tool_call_duration.record(
                event.duration_s,
                {semconv.L_AGENT: call.agent_name, semconv.L_TOOL: event.name},
                context,
            )

    def _handed_off(self, call: Call, event: events.HandedOff, context: Context | None) -> None:
        self._instruments.handoffs.add(
            1,
            {
                semconv.L_AGENT: call.agent_name,
                semconv.L_FROM_AGENT: event.from_agent,
                semconv.L_TO_AGENT: event.to_agent,
            },
            context,
        )

    # --- models and services -------------------------------------------------------------------

    def _model_used(self, call: Call, event: events.ModelUsed, context: Context | None) -> None:
        agent = {semconv.L_AGENT: call.agent_name}
        if event.component in _LLM and event.tokens_per_second:
            self._instruments.llm_tokens_per_second.record(
                event.tokens_per_second,
                {
                    **agent,
                    semconv.L_PROVIDER: event.provider or semconv.UNKNOWN,
                    semconv.L_MODEL: event.model or semconv.UNKNOWN,
                },
                context,
            )
        elif event.component == semconv.COMPONENT_VAD:
            usage = event.usage
            self._instruments.vad_inferences.add(int(usage.get(Usage.INFERENCES, 0)), agent)
            self._instruments.vad_inference_duration.add(
                usage.get(Usage.INFERENCE_DURATION, 0.0), agent
            )
        elif event.component == semconv.COMPONENT_INTERRUPTION:
            if backchannels := int(event.usage.get(Usage.BACKCHANNELS, 0)):
                self._instruments.backchannels.add(backchannels, agent, context)
            for key, part in _DETECTION_PARTS:
                if key in event.usage:
                    self._instruments.interruption_detection_duration.record(
                        event.usage[key], {**agent, semconv.L_PART: part}, context
                    )

    def _error_raised(self, call: Call, event: events.ErrorRaised, context: Context | None) -> None:
        self._instruments.errors.add(
            1,
            {
                semconv.L_AGENT: call.agent_name,
                semconv.L_COMPONENT: event.component,
                semconv.L_PROVIDER: event.provider or semconv.UNKNOWN,
                semconv.L_ERROR_TYPE: event.error_type,
                semconv.L_RECOVERABLE: str(event.recoverable).lower(),
            },
            context,
        )


def _tool_labels(call: Call, name: str, status: str) -> dict[str, str]:
    return {
        semconv.L_AGENT: call.agent_name,
        semconv.L_TOOL: name,
        semconv.L_STATUS: status,
    }
