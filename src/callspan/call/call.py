# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What is known of one call while it runs, and what can be said of it when it ends."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from .. import semconv
from ..semconv import Usage
from . import events
from .annotations import CallAnnotations
from .costs import Costs
from .events import CallEvent, FinalTranscript
from .usage import CallUsage


class Speech(NamedTuple):
    """What the recogniser gave for one turn.

    Attributes:
        finals: The turn's final transcripts in order of arrival.
        audio_s: Seconds of audio taken in.
        dollars: What that cost, as far as a price is known.
    """

    finals: list[FinalTranscript]
    audio_s: float
    dollars: float


@dataclass(slots=True)
class Call:
    """One call, from its job's start to its end.

    Attributes:
        id: The job's id; without a job, the session's own.
        agent_name: The dispatch name, the service's, or the first agent's; empty until known.
        kind: One of the ``KIND_*`` values of semconv.
        turn_index: Index of the user's latest turn; 0 before the first. A turn that was begun and
            came to nothing has an index too.
        has_local_turn_detection: Whether turns are told apart on this side; a realtime model with
            turn detection of its own keeps them to itself.
        spoken_to: Whether the user has spoken since the agent's last turn began.
        user_message_count: What the user said that became part of the conversation, in messages.
        started_at: When the AgentSession started, Unix seconds.
        closed_at: When it closed, Unix seconds.
        opened_instant: When the first session started, on a clock that cannot step.
        closed_instant: When the last one closed, on that clock.
        close_reason: LiveKit's reason for the close.
        failed: Whether the session closed with an error or the entrypoint raised.
        failures: What failed in it: models and services for good, and tools.
        slowest_turn_s: Its longest turn latency.
        agent_speech_count: How often the agent began to speak.
        interruptions: Times the user stopped the agent.
        dtmf_count: Keys the caller pressed.
        finals: Final transcripts since the last finished turn.
        stt_audio_s: Seconds of audio recognised since the last finished turn.
        stt_dollars: What that cost, as far as a price is known.
        annotations: What the application said of it.
        usage: What models and services took so far.
        costs: What that cost.
        tags: Reads the tags that LiveKit keeps of it.
    """

    id: str
    agent_name: str = ""
    kind: str = semconv.KIND_PRODUCTION
    turn_index: int = 0
    has_local_turn_detection: bool = False
    spoken_to: bool = False
    user_message_count: int = 0
    started_at: float | None = None
    closed_at: float | None = None
    opened_instant: float | None = None
    closed_instant: float | None = None
    close_reason: str | None = None
    failed: bool = False
    failures: int = 0
    slowest_turn_s: float = 0.0
    agent_speech_count: int = 0
    interruptions: int = 0
    dtmf_count: int = 0
    finals: list[FinalTranscript] = field(default_factory=list)
    stt_audio_s: float = 0.0
    stt_dollars: float = 0.0
    annotations: CallAnnotations = field(default_factory=CallAnnotations)
    usage: CallUsage = field(default_factory=CallUsage)
    costs: Costs = field(default_factory=Costs)
    tags: Callable[[], Collection[str]] = frozenset

    @property
    def duration_s(self) -> float | None:
        """Seconds that the session was open, or None while it is or if it never was."""
        if self.opened_instant is None or self.closed_instant is None:
            return None
        return self.closed_instant - self.opened_instant

    def apply(self, event: CallEvent) -> None:
        """Take in what happened: nothing else writes to a call."""
        match event:
            case events.SessionStarted():
                self.agent_name = self.agent_name or event.agent_name
                self.started_at = self.started_at or event.at
                if self.opened_instant is None:
                    self.opened_instant = event.instant
                self.closed_at = self.closed_instant = None
            case events.SessionClosed():
                self.closed_at, self.closed_instant = event.at, event.instant
                self.close_reason = event.reason
                self.failed = self.failed or event.failed
            case events.EntrypointFailed():
                self.failed = True
            case events.UserTurnStarted():
                self.has_local_turn_detection = True
                self.turn_index += 1
            case events.AgentTurnStarted():
                # the turn that a realtime model keeps to itself is counted by the answer to it
                if self.spoken_to and not self.has_local_turn_detection:
                    self.turn_index += 1
                self.spoken_to = False
            case events.SpeechStarted(semconv.SPEAKER_USER):
                self.spoken_to = True
            case events.SpeechStarted():
                self.agent_speech_count += 1
            case events.FinalTranscript():
                self.finals.append(event)
            case events.UserTurnEnded():
                self.finals = []
                self.stt_audio_s = self.stt_dollars = 0.0
            case events.MessageAdded(semconv.SPEAKER_USER):
                self.user_message_count += 1
            case events.KeyPressed():
                self.dtmf_count += 1
            case events.Interrupted(semconv.INTERRUPTION_BARGE_IN):
                self.interruptions += 1
            case events.TurnAnswered(latency_s) if 0 <= latency_s <= semconv.SUSPECT_LATENCY_S:
                self.slowest_turn_s = max(self.slowest_turn_s, latency_s)
            case events.ToolFinished(status=semconv.TOOL_ERROR):
                self.failures += 1
            case events.ErrorRaised(recoverable=False):
                self.failures += 1
            case events.ModelUsed():
                self.usage.add(event)
                if event.component == semconv.COMPONENT_STT:
                    self.stt_audio_s += event.usage.get(Usage.AUDIO_DURATION, 0.0)
            case events.CostRecorded():
                self.costs.add(event)
                if event.component == semconv.COMPONENT_STT:
                    self.stt_dollars += event.dollars or 0.0
            case _:
                self.annotations.apply(event)

    def speech(self, since: float) -> Speech:
        """Return what the recogniser gave for the turn that ends now.

        Args:
            since: When the turn began, Unix seconds. A transcript that arrived earlier belongs
                to a turn that was committed without it, and is left out, as LiveKit does.
        """
        finals = [final for final in self.finals if final.received_at >= since]
        return Speech(finals, self.stt_audio_s, self.stt_dollars)
