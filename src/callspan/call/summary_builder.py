# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A call's events, collected into turns, tools, errors and the summary of the call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from .. import semconv
from .call import Call
from .events import (
    CallEvent,
    ErrorRaised,
    FirstResponse,
    HandedOff,
    Interrupted,
    MessageAdded,
    SpeechEnded,
    ToolFinished,
    TurnAnswered,
)
from .summary import (
    CallStart,
    CallSummary,
    Conversion,
    Error,
    Handoff,
    Interruption,
    ModelCost,
    ModelUsage,
    Tool,
    Turn,
    Unpriced,
)

_END_OF_TURN: Final = "end_of_turn_delay"
_ANSWER_PARTS: Final = ("llm_node_ttft", "tts_node_ttfb")
_INSTANTS: Final = ("started_speaking_at", "stopped_speaking_at")


class SummaryBuilder:
    """Collects one call.

    Args:
        call: The call.
        content: Whether what was said, and passed through tools, is kept.
    """

    def __init__(self, call: Call, *, content: bool) -> None:
        self._call = call
        self._content = content
        self._turns: list[Turn] = []
        self._tools: list[Tool] = []
        self._interruptions: list[Interruption] = []
        self._handoffs: list[Handoff] = []
        self._errors: list[Error] = []
        self._speech_s: defaultdict[str, float] = defaultdict(float)
        self._first_response_s: float | None = None
        self._index = 0
        # of the user's turn that no agent's turn has answered yet
        self._answered: TurnAnswered | None = None
        self._end_of_turn_s: float | None = None

    def start(self, trace_id: str, at: float) -> CallStart:
        """Return the record of the call's start."""
        call = self._call
        return CallStart(call.id, trace_id, call.agent_name, call.kind, call.started_at or at)

    def handle(self, event: CallEvent, at: float) -> list[Turn | Tool]:
        """Take in one event.

        Args:
            event: What happened.
            at: When, Unix seconds.

        Returns:
            The turns and tools that are complete with it.
        """
        match event:
            case MessageAdded():
                turns = [*self._cut_off_turn(event.speaker, at), self._turn(event, at)]
                self._turns += turns
                return [*turns]
            case ToolFinished():
                self._tools.append(tool := self._tool(event, at))
                return [tool]
            case TurnAnswered():
                # what the metric keeps out as suspect is no latency here either
                suspect = not 0 <= event.latency_s <= semconv.SUSPECT_LATENCY_S
                self._answered = None if suspect else event
                self._end_of_turn_s = None
            case FirstResponse():
                self._first_response_s = event.latency_s
            case SpeechEnded():
                self._speech_s[event.speaker] += event.duration_s
            case Interrupted():
                self._interruptions.append(Interruption(event.kind, self._index, at))
            case HandedOff():
                self._handoffs.append(Handoff(event.from_agent, event.to_agent, at))
            case ErrorRaised():
                self._errors.append(
                    Error(event.component, event.provider, event.error_type, event.recoverable, at)
                )
            case _:
                pass
        return []

    def end(self, at: float) -> list[Turn]:
        """Return the turn that nothing will complete any more, if there is one."""
        unsaid = self._cut_off_turn(semconv.SPEAKER_USER, at)
        self._turns += unsaid
        return unsaid

    def _cut_off_turn(self, next_speaker: str, at: float) -> list[Turn]:
        """Return an answer that was begun and cut off before anything of it counted as said.

        Its latency is in the metric; so it is a turn.
        """
        if self._answered is None or next_speaker == semconv.SPEAKER_AGENT:
            return []
        return [self._turn(MessageAdded(semconv.SPEAKER_AGENT, "", True, {}), at)]

    def _turn(self, event: MessageAdded, at: float) -> Turn:
        latency_s = source = None
        stages_s: Mapping[str, float] = {}
        if event.speaker == semconv.SPEAKER_USER:
            self._index += 1
            self._end_of_turn_s = event.timings.get(_END_OF_TURN)
        elif self._answered is not None:
            latency_s, source = self._answered.latency_s, semconv.LATENCY_MEASURED
            stages_s, self._answered = self._answered.stages_s, None
        elif self._end_of_turn_s is not None:
            latency_s, self._end_of_turn_s = self._summed_latency(event), None
            source = None if latency_s is None else semconv.LATENCY_SUMMED
        started_at, ended_at = (event.timings.get(name) for name in _INSTANTS)
        return Turn(
            call_id=self._call.id,
            index=self._index,
            speaker=event.speaker,
            at=at,
            text=event.text if self._content else None,
            interrupted=event.interrupted,
            latency_s=latency_s,
            latency_source=source,
            stages_s=dict(stages_s),
            timings_s={k: v for k, v in event.timings.items() if k not in _INSTANTS},
            started_at=started_at,
            ended_at=ended_at,
        )

    def _summed_latency(self, event: MessageAdded) -> float | None:
        """Return the sum that stands for a latency which LiveKit did not measure."""
        parts = [self._end_of_turn_s, *(event.timings.get(name) for name in _ANSWER_PARTS)]
        known = [part for part in parts if part is not None]
        latency_s = sum(known)
        suspect = not 0 <= latency_s <= semconv.SUSPECT_LATENCY_S
        return None if len(known) < len(parts) or suspect else latency_s

    def _tool(self, event: ToolFinished, at: float) -> Tool:
        return Tool(
            call_id=self._call.id,
            turn=self._index,
            name=event.name,
            status=event.status,
            at=at,
            duration_s=event.duration_s,
            tool_call_id=event.call_id,
            arguments=event.arguments if self._content else None,
            output=event.output if self._content else None,
        )

    def summary(self, *, trace_id: str, outcome: str, labels: Mapping[str, str]) -> CallSummary:
        """Return what the call came to.

        Args:
            trace_id: Of its trace; empty for none.
            outcome: As it is counted.
            labels: As they are counted.
        """
        call, annotations, costs = self._call, self._call.annotations, self._call.costs
        return CallSummary(
            call_id=call.id,
            trace_id=trace_id,
            agent_name=call.agent_name,
            kind=call.kind,
            outcome=outcome,
            reason=annotations.reason or None,
            labels=dict(labels),
            user_id=annotations.user_id,
            tenant_id=annotations.tenant_id,
            started_at=call.started_at,
            ended_at=call.closed_at,
            duration_s=call.duration_s,
            close_reason=call.close_reason,
            failed=call.failed,
            first_response_s=self._first_response_s,
            user_turns=call.user_message_count,
            turns=tuple(self._turns),
            tools=tuple(self._tools),
            interruptions=tuple(self._interruptions),
            handoffs=tuple(self._handoffs),
            errors=tuple(self._errors),
            speech_s=dict(self._speech_s),
            usage=tuple(
                ModelUsage(*model, {str(name): amount for name, amount in totals.items()})
                for model, totals in call.usage.totals.items()
            ),
            cost_dollars=costs.total if costs.known else None,
            cost_by_component=costs.by_component(),
            costs=tuple(ModelCost(*model, dollars) for model, dollars in costs.by_model.items()),
            unpriced=tuple(Unpriced(*model, uses) for model, uses in costs.unpriced.items()),
            conversions=tuple(
                Conversion(
                    name,
                    {
                        currency: value
                        for (of, currency), value in annotations.values.items()
                        if of == name
                    },
                )
                for name in annotations.conversions
            ),
            feedback=dict(annotations.feedback),
            dtmf_count=call.dtmf_count,
        )
