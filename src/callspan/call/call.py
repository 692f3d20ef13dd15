# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What is known of one call while it runs, and what can be said of it when it ends."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from .. import semconv
from .annotations import CallAnnotations
from .costs import Costs


@dataclass(slots=True)
class FinalTranscript:
    """One final transcript of the recogniser.

    Attributes:
        received_at: When it arrived, Unix seconds.
        text: What was recognised.
    """

    received_at: float
    text: str


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
        costs: What it cost so far.
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
    costs: Costs = field(default_factory=Costs)
    tags: Callable[[], Collection[str]] = frozenset

    @property
    def duration_s(self) -> float | None:
        """Seconds that the session was open, or None while it is or if it never was."""
        if self.opened_instant is None or self.closed_instant is None:
            return None
        return self.closed_instant - self.opened_instant

    def user_turn_begins(self) -> None:
        """Count a turn that is told apart on this side."""
        self.has_local_turn_detection = True
        self.turn_index += 1

    def agent_turn_begins(self) -> None:
        """Count the turn that a realtime model kept to itself, by the answer to it."""
        if self.spoken_to and not self.has_local_turn_detection:
            self.turn_index += 1
        self.spoken_to = False

    def take_speech(self, since: float) -> Speech:
        """Hand over what the recogniser gave for the turn that ends now.

        Args:
            since: When the turn began, Unix seconds. A transcript that arrived earlier belongs
                to a turn that was committed without it, and is dropped, as LiveKit does.
        """
        finals = [final for final in self.finals if final.received_at >= since]
        speech = Speech(finals, self.stt_audio_s, self.stt_dollars)
        self.finals = []
        self.stt_audio_s = self.stt_dollars = 0.0
        return speech
