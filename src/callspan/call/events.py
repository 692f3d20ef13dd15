# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What happens in a call, as plain records: what metrics, costs and hooks are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..semconv import Usage
from .application_events import ApplicationEvent, Converted


@dataclass(frozen=True, slots=True)
class JobStarted:
    """The job of a call has started; a session may come of it or not."""


@dataclass(frozen=True, slots=True)
class CallStarted:
    """The call's first session starts: from now on it counts."""


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """A session of the call starts: the first, or one after another has closed.

    Attributes:
        at: When, Unix seconds.
        instant: When, on a clock that cannot step.
        agent_name: The agent that it starts with.
    """

    at: float
    instant: float
    agent_name: str = ""


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """A session of the call has closed.

    Attributes:
        at: When, Unix seconds.
        instant: When, on a clock that cannot step.
        reason: LiveKit's.
        failed: Whether it closed with an error.
    """

    at: float
    instant: float
    reason: str
    failed: bool


@dataclass(frozen=True, slots=True)
class EntrypointFailed:
    """The application's entrypoint raised."""


@dataclass(frozen=True, slots=True)
class CallEnded:
    """Nothing will change the call's outcome any more."""


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The job of a call has ended, whether a session came of it or not."""


@dataclass(frozen=True, slots=True)
class ToolsDeclared:
    """The agent that is active from now on can call these tools.

    Attributes:
        names: As the model is given them.
    """

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FirstResponse:
    """The agent is heard for the first time in the call.

    Attributes:
        latency_s: Since the session's start.
    """

    latency_s: float


@dataclass(frozen=True, slots=True)
class TurnAnswered:
    """The first audio of the answer to a user's turn sounds.

    Attributes:
        latency_s: Since the end of the user's speech: LiveKit's ``e2e_latency``.
        stages_s: What of that the caller waited for, by stage.
    """

    latency_s: float
    stages_s: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody begins to speak.

    Attributes:
        speaker: One of the ``SPEAKER_*`` values of semconv.
    """

    speaker: str


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """Somebody stops speaking.

    Attributes:
        speaker: One of the ``SPEAKER_*`` values of semconv.
        duration_s: How long they spoke.
    """

    speaker: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """The caller pressed a key of the telephone."""


@dataclass(frozen=True, slots=True)
class UserTurnStarted:
    """A user's turn begins that is told apart on this side."""


@dataclass(frozen=True, slots=True)
class FinalTranscript:
    """The recogniser gave a final transcript.

    Attributes:
        received_at: When it arrived, Unix seconds.
        text: What was recognised. Content.
    """

    received_at: float
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class UserTurnEnded:
    """A user's turn is over; what the recogniser gave for it has been read."""


@dataclass(frozen=True, slots=True)
class AgentTurnStarted:
    """An agent's turn begins."""


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool that the model called has ended, or was refused.

    Attributes:
        name: Its name; ``other`` where the agent has no such tool.
        status: One of the ``TOOL_*`` values of semconv.
        duration_s: How long it ran; None where it did not.
        call_id: The model's id of the call; empty for a function that is no LiveKit tool.
        arguments: As the model gave them. Content.
        output: What the model is given back. Content.
    """

    name: str
    status: str
    duration_s: float | None = None
    call_id: str = field(default="", compare=False)
    arguments: str | None = field(default=None, compare=False, repr=False)
    output: str | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class MessageAdded:
    """What somebody said has become part of the conversation.

    Attributes:
        speaker: One of the ``SPEAKER_*`` values of semconv.
        text: What was said; of the agent what was heard. Content.
        interrupted: Whether the agent was stopped in it.
        timings: LiveKit's numbers of the message, by its names: delays, and when it was spoken.
    """

    speaker: str
    text: str = field(repr=False)
    interrupted: bool
    timings: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The agent's speech was stopped, or seemed to be.

    Attributes:
        kind: One of the ``INTERRUPTION_*`` values of semconv.
    """

    kind: str


@dataclass(frozen=True, slots=True)
class ModelUsed:
    """A model or service reports what one piece of work took.

    Attributes:
        component: One of the ``COMPONENT_*`` values of semconv.
        provider: Who runs it; empty where it does not say.
        model: Its name; empty where it does not say.
        usage: What it took; what is not there is none.
        tokens_per_second: Of its output, where it says so.
        request_id: What LiveKit calls the piece of work; also on its span.
        suspect: How many of its durations cannot be; they are not in ``usage``.
    """

    component: str
    provider: str
    model: str
    usage: Mapping[Usage, float]
    tokens_per_second: float | None = None
    request_id: str = ""
    suspect: int = 0


@dataclass(frozen=True, slots=True)
class ErrorRaised:
    """A model or service of the session failed, for good or until a retry.

    Attributes:
        component: One of the ``COMPONENT_*`` values of semconv.
        provider: Who runs it; empty where it does not say.
        error_type: The exception's class.
        recoverable: Whether the session goes on with it.
    """

    component: str
    provider: str
    error_type: str
    recoverable: bool


@dataclass(frozen=True, slots=True)
class HandedOff:
    """The call passes from one agent to another.

    Attributes:
        from_agent: The id of the one that had it.
        to_agent: The id of the one that has it now.
    """

    from_agent: str
    to_agent: str


@dataclass(frozen=True, slots=True)
class CostRecorded:
    """A use was priced.

    Attributes:
        component: One of the ``COMPONENT_*`` values of semconv, or ``other``.
        provider: Who is paid; empty where it does not say.
        model: For what; empty where it does not say.
        dollars: How much; None where no price is known.
    """

    component: str
    provider: str
    model: str
    dollars: float | None


CallEvent = (
    JobStarted
    | CallStarted
    | SessionStarted
    | SessionClosed
    | EntrypointFailed
    | CallEnded
    | JobEnded
    | ToolsDeclared
    | FirstResponse
    | TurnAnswered
    | SpeechStarted
    | SpeechEnded
    | KeyPressed
    | UserTurnStarted
    | FinalTranscript
    | UserTurnEnded
    | AgentTurnStarted
    | ToolFinished
    | MessageAdded
    | Interrupted
    | ModelUsed
    | ErrorRaised
    | HandedOff
    | CostRecorded
    | ApplicationEvent
)

FLUSH_IMMEDIATELY: Final = (
    CallStarted,
    JobEnded,
    TurnAnswered,
    ToolFinished,
    Converted,
)
"""Events whose numbers leave the process at once: what a dashboard is watched for."""
