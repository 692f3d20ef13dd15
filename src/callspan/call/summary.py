# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The records that hooks are given, and what a finished call comes to.

Instants are Unix seconds, durations are seconds, money is US dollars, unless a field says
otherwise. What was said, what went into tools and what came out is there only where content is
captured; it is None otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any


class _Record:
    """A record that can be written out."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain dicts, lists, strings and numbers, by field name."""
        return {name: _plain(value) for name, value in asdict(self).items()}  # type: ignore[call-overload]

    def to_json(self) -> str:
        """Return the record as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


def _plain(value: Any) -> Any:
    return [dict(each) for each in value] if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class CallStart(_Record):
    """A call's first session starts.

    Attributes:
        call_id: The job's id, ``session.id`` on the call's spans.
        trace_id: Of the call's trace, 32 hexadecimal digits; empty where it is not traced.
        agent_name: The dispatch name, the service's, or the first agent's.
        kind: ``production``, ``simulation``, ``console`` or ``test``.
        started_at: When.
    """

    call_id: str
    trace_id: str
    agent_name: str
    kind: str
    started_at: float


@dataclass(frozen=True, slots=True)
class Turn(_Record):
    """One side has said something that became part of the conversation.

    An answer with tools in between can be several turns of the agent.

    Attributes:
        call_id: Of the call.
        index: How many turns the user has had so far, this one included; 0 before the first.
        speaker: ``user`` or ``agent``.
        at: When it became part of the conversation: the user's when the turn had ended, the
            agent's when it had been spoken.
        text: What was said; of the agent what was heard. Content.
        interrupted: Whether the agent was stopped in it.
        latency_s: From the end of the user's speech to the answer's first audio; on the agent's
            turn that answers, else None.
        latency_source: ``measured`` by LiveKit: these are the metric's values. ``summed`` from
            end-of-turn delay, first token and first audio, where LiveKit has no measurement: in
            no metric. None without a latency.
        stages_s: What the caller waited for in a measured latency, by stage; adds up to it.
        timings_s: LiveKit's own delays of this message, by its names for them, for example
            ``end_of_turn_delay``, ``transcription_delay``, ``llm_node_ttft``, ``tts_node_ttfb``.
        started_at: When the speaker began; None where that is not known.
        ended_at: When the speaker ended; None where that is not known.
    """

    call_id: str
    index: int
    speaker: str
    at: float
    text: str | None = field(default=None, repr=False)
    interrupted: bool = False
    latency_s: float | None = None
    latency_source: str | None = None
    stages_s: Mapping[str, float] = field(default_factory=dict)
    timings_s: Mapping[str, float] = field(default_factory=dict)
    started_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Tool(_Record):
    """A tool has ended, or was refused.

    Attributes:
        call_id: Of the call.
        turn: Index of the turn it was called in.
        name: The tool's; ``other`` where the agent has none of the name.
        status: ``success``, ``error`` or ``cancelled``.
        at: When.
        duration_s: How long it ran; None where it did not.
        tool_call_id: The model's id of the call; empty for a function that is no LiveKit tool.
        arguments: As the model gave them, JSON. Content.
        output: What the model was given back, the error's text on failure. Content.
    """

    call_id: str
    turn: int
    name: str
    status: str
    at: float
    duration_s: float | None = None
    tool_call_id: str = ""
    arguments: str | None = field(default=None, repr=False)
    output: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What one model or service took in a call.

    Attributes:
        component: ``llm``, ``stt``, ``tts``, ``realtime``, ``vad`` and so on.
        provider: Who runs it; empty where it does not say.
        model: Its name; empty where it does not say.
        usage: Sums by the names of ``agent.usage.*``: tokens, characters, requests, seconds.
    """

    component: str
    provider: str
    model: str
    usage: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What one model or service cost in a call.

    Attributes:
        component: ``stt``, ``llm``, ``tts``, ``realtime`` or ``other``.
        provider: Who is paid; empty where it does not say.
        model: For what; empty where it does not say.
        dollars: How much.
    """

    component: str
    provider: str
    model: str
    dollars: float


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A use that no price is known for; it is in no cost.

    Attributes:
        component: ``stt``, ``llm``, ``tts`` or ``realtime``.
        provider: Who runs it; empty where it does not say.
        model: Its name; empty where it does not say.
        uses: How often.
    """

    component: str
    provider: str
    model: str
    uses: int


@dataclass(frozen=True, slots=True)
class Conversion:
    """A goal that the call came to.

    Attributes:
        name: The conversion's.
        values: What it was worth, by currency (ISO 4217).
    """

    name: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Interruption:
    """The agent's speech was stopped, or seemed to be.

    Attributes:
        kind: ``barge_in``, ``false`` or ``programmatic``.
        turn: Index of the turn.
        at: When.
    """

    kind: str
    turn: int
    at: float


@dataclass(frozen=True, slots=True)
class Handoff:
    """The call passed from one agent to another.

    Attributes:
        from_agent: The id of the one that had it.
        to_agent: The id of the one that got it.
        at: When.
    """

    from_agent: str
    to_agent: str
    at: float


@dataclass(frozen=True, slots=True)
class Error:
    """A model or service failed, for good or until a retry.

    Attributes:
        component: ``llm``, ``stt``, ``tts`` and so on.
        provider: Who runs it; empty where it does not say.
        error_type: The exception's class; its message is content and not here.
        recoverable: Whether the session went on with it.
        at: When.
    """

    component: str
    provider: str
    error_type: str
    recoverable: bool
    at: float


@dataclass(frozen=True, slots=True)
class CallSummary(_Record):
    """A finished call; its numbers are those that the metrics get.

    Attributes:
        call_id: The job's id, ``session.id`` on the call's spans.
        trace_id: Of the call's trace, 32 hexadecimal digits; empty where it is not traced.
        agent_name: The dispatch name, the service's, or the first agent's.
        kind: ``production``, ``simulation``, ``console`` or ``test``.
        outcome: As in ``agent_sessions_total``.
        reason: What the application gave with it; None for none.
        labels: The dimensions that the application, or a tag, gave the call.
        user_id: Whose call it was, if the application said so.
        tenant_id: On whose behalf it was taken, if the application said so.
        started_at: When the first session started.
        ended_at: When the last session closed; None if it never did.
        duration_s: Between the two, by a clock that cannot step, as in
            ``agent_session_duration_seconds``.
        close_reason: LiveKit's.
        failed: Whether the session closed with an error or the entrypoint raised.
        first_response_s: From the start to the first sound of the agent.
        user_turns: As in ``agent_session_turns``.
        turns: What both sides said, in order.
        tools: In the order in which they ended.
        interruptions: In order.
        handoffs: In order.
        errors: In order.
        speech_s: How long each side spoke, by ``user`` and ``agent``.
        usage: By model.
        cost_dollars: As in ``agent_session_cost_dollars``; None where nothing has a known price.
        cost_by_component: The same, in parts.
        costs: The same, by model.
        unpriced: What is in none of these costs.
        conversions: In the order in which they were reached.
        feedback: Scores, by kind.
        dtmf_count: Keys that the caller pressed.
    """

    call_id: str
    trace_id: str
    agent_name: str
    kind: str
    outcome: str
    reason: str | None
    labels: Mapping[str, str]
    user_id: str
    tenant_id: str
    started_at: float | None
    ended_at: float | None
    duration_s: float | None
    close_reason: str | None
    failed: bool
    first_response_s: float | None
    user_turns: int
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...]
    interruptions: tuple[Interruption, ...]
    handoffs: tuple[Handoff, ...]
    errors: tuple[Error, ...]
    speech_s: Mapping[str, float]
    usage: tuple[ModelUsage, ...]
    cost_dollars: float | None
    cost_by_component: Mapping[str, float]
    costs: tuple[ModelCost, ...]
    unpriced: tuple[Unpriced, ...]
    conversions: tuple[Conversion, ...]
    feedback: Mapping[str, float]
    dtmf_count: int

    def without_content(self) -> CallSummary:
        """Return the summary without what was said, tools were given, and the reason."""
        return replace(
            self,
            reason=None,
            turns=tuple(replace(turn, text=None) for turn in self.turns),
            tools=tuple(replace(tool, arguments=None, output=None) for tool in self.tools),
        )
