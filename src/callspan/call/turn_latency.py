# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a caller waited for between the end of their speech and the agent's first audio.

Each instant of that interval belongs to one stage: of the stages in progress the one that the
answer depends on first. So work that was done ahead, while the turn had not ended, is not waited
for, and the stages add up to the latency. Time that no stage claims is ``other``.

The metric of stages and the picture of a call both come from here. They differ only in where the
instants are read: at LiveKit's records while the call goes on, or at its spans afterwards.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from .. import semconv

_PRECEDENCE: Final = (
    semconv.STAGE_TRANSCRIPTION,
    semconv.STAGE_END_OF_TURN,
    semconv.STAGE_TURN_HOOK,
    # a realtime model's reply is one wait from its request on: tools within it are cut out of it
    semconv.STAGE_TOOLS,
    semconv.STAGE_LLM_FIRST_TOKEN,
    semconv.STAGE_SENTENCE,
    semconv.STAGE_TTS_FIRST_BYTE,
    semconv.STAGE_PLAYBACK,
)
"""Who waits for whom: of several stages in progress, the caller waits for the first."""


class Claim(NamedTuple):
    """A stage, and from when to when; seconds on any one clock."""

    stage: str
    start: float
    end: float


def divide(latency: float, claims: Iterable[Claim]) -> list[Claim]:
    """Give each instant of a latency to one of the stages that were in progress.

    Args:
        latency: From the end of the caller's speech, which is 0 on the clock of the claims.
        claims: The stages in progress, in any order; they may overlap, repeat and reach out of
            the latency.

    Returns:
        Stretches that follow one another from 0 to the latency, each of one stage: ``other``
        where none was in progress.
    """
    by_precedence = sorted(claims, key=lambda claim: _PRECEDENCE.index(claim.stage))
    latency = max(latency, 0.0)
    edges = {0.0, latency}
    edges |= {min(max(edge, 0.0), latency) for _, *ends in by_precedence for edge in ends}
    return [
        Claim(_stage_of(since, until, by_precedence), since, until)
        for since, until in itertools.pairwise(sorted(edges))
    ]


def _stage_of(since: float, until: float, by_precedence: Iterable[Claim]) -> str:
    return next(
        (stage for stage, start, end in by_precedence if start <= since and until <= end),
        semconv.OTHER,
    )


@dataclass(frozen=True, slots=True)
class EndOfTurn:
    """How a turn of the user came to its end.

    Attributes:
        decided_at: When it had ended for good: the user's hook had run, the reply was scheduled.
        transcription_delay: From the end of speech to the last final transcript.
        end_of_turn_delay: From the end of speech to the decision that the turn was over; 0 where
            LiveKit could not compute it, as without a recogniser.
        hook_duration: How long ``Agent.on_user_turn_completed`` ran after that decision.
    """

    decided_at: float
    transcription_delay: float
    end_of_turn_delay: float
    hook_duration: float


@dataclass(slots=True)
class Generation:
    """One run of the language model for an answer, and of the voice on its first words.

    Attributes:
        started_at: When the model was asked; None for words that no model made.
        first_token_at: When it gave its first token; None while it has not.
        sentence_at: When the first sentence was with the text-to-speech service.
        first_byte_at: When that gave its first audio.
    """

    started_at: float | None = None
    first_token_at: float | None = None
    sentence_at: float | None = None
    first_byte_at: float | None = None

    def claims(self) -> list[Claim]:
        """Return the stages of it that are known."""
        marks = (
            (semconv.STAGE_LLM_FIRST_TOKEN, self.started_at, self.first_token_at),
            (semconv.STAGE_SENTENCE, self.first_token_at, self.sentence_at),
            (semconv.STAGE_TTS_FIRST_BYTE, self.sentence_at, self.first_byte_at),
        )
        return [
            Claim(stage, start, end)
            for stage, start, end in marks
            if start is not None and end is not None
        ]


@dataclass(slots=True)
class Answer:
    """All that is known of how one answer came about; instants on any one clock.

    Attributes:
        heard_at: When the agent's first audio sounded.
        latency: From the end of the user's speech to then.
        playback_latency: From the first audio frame handed out to its sound.
        end_of_turn: How the user's turn ended, where it was decided on this side.
        generations: Runs of the language model, in order, discarded ones included.
        tools: When each tool was called, and when the turn went on without waiting for it.
        requests: When a realtime model was asked for, or of its own accord began, a reply.
    """

    heard_at: float
    latency: float
    playback_latency: float = 0.0
    end_of_turn: EndOfTurn | None = None
    generations: list[Generation] = field(default_factory=list)
    tools: list[tuple[float, float]] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)

    def stages(self) -> dict[str, float]:
        """Return what the caller waited for.

        Returns:
            Seconds by stage: every stage that was in progress, 0 for one that cost no time, and
            ``other``. They add up to the latency.
        """
        claimed = {claim.stage for claim in self._claims()} | {semconv.OTHER}
        durations: dict[str, float] = {s: 0.0 for s in semconv.STAGES if s in claimed}
        for stage, since, until in self.stretches():
            durations[stage] += until - since
        return durations

    def stretches(self) -> list[Claim]:
        """Return what the caller waited for when, from the end of their speech, which is 0."""
        return divide(self.latency, self._claims())

    def _claims(self) -> list[Claim]:
        start = self.heard_at - self.latency
        handed_out_at = self.heard_at - self.playback_latency
        with_tts_at = [g.sentence_at for g in self.generations if g.sentence_at is not None]
        claims = [Claim(semconv.STAGE_PLAYBACK, handed_out_at, self.heard_at)]
        claims += self._claims_of_end_of_turn(start)
        # the words that are heard need no tool any more, though one may still run
        said_at = max(with_tts_at, default=handed_out_at)
        claims += [
            Claim(semconv.STAGE_TOOLS, called_at, min(answered_at, said_at))
            for called_at, answered_at in self.tools
            if answered_at > start
        ]
        for generation in self.generations:
            claims += generation.claims()
        if (requested_at := self._requested_at(start)) is not None:
            output_at = min([*with_tts_at, handed_out_at])
            claims.append(Claim(semconv.STAGE_LLM_FIRST_TOKEN, requested_at, output_at))
        return [Claim(stage, since - start, until - start) for stage, since, until in claims]

    def _requested_at(self, start: float) -> float | None:
        """Return the first request of this turn; earlier ones were for the turns before."""
        if not self.requests:
            return None
        return next((at for at in self.requests if at > start), self.requests[-1])

    def _claims_of_end_of_turn(self, start: float) -> list[Claim]:
        end = self.end_of_turn
        if end is not None and end.decided_at > start:
            hook_called_at = end.decided_at - end.hook_duration
            over_at = start + end.end_of_turn_delay if end.end_of_turn_delay else hook_called_at
            return [
                Claim(semconv.STAGE_TRANSCRIPTION, start, start + end.transcription_delay),
                # contains the transcription, which comes first in the order of dependence
                Claim(semconv.STAGE_END_OF_TURN, start, over_at),
                Claim(semconv.STAGE_TURN_HOOK, hook_called_at, end.decided_at),
            ]
        if (requested_at := self._requested_at(start)) is not None:
            # the model's own service decided
            return [Claim(semconv.STAGE_END_OF_TURN, start, requested_at)]
        return []
