# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a caller waited for between the end of their speech and the agent's first audio.

Each instant of that interval belongs to one stage: of the stages in progress the one that the
answer depends on first. So work that was done ahead, while the turn had not ended, is not waited
for, and the stages add up to the latency. Time that no stage claims is ``other``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from .. import semconv

_DEPENDENCE: Final = (
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


class Wait(NamedTuple):
    """A stage in progress, in seconds on any one clock."""

    stage: str
    start: float
    end: float


def partition(latency: float, waits: Iterable[Wait]) -> dict[str, float]:
    """Divide a latency among the stages that were in progress in it.

    Args:
        latency: From the end of the caller's speech, which is 0 on the clock of the waits.
        waits: The stages, in any order; they may overlap, repeat and reach out of the latency.

    Returns:
        Seconds by stage: every stage of ``waits``, 0 for one that cost no time, and ``other``.
        They add up to the latency.
    """
    waits = sorted(waits, key=lambda wait: _DEPENDENCE.index(wait.stage))
    durations = dict.fromkeys((wait.stage for wait in waits), 0.0)
    edges = {min(max(edge, 0.0), latency) for wait in waits for edge in (wait.start, wait.end)}
    for since, until in itertools.pairwise(sorted(edges)):
        for wait in waits:
            if wait.start <= since and until <= wait.end:
                durations[wait.stage] += until - since
                break
    durations[semconv.OTHER] = max(latency - sum(durations.values()), 0.0)
    return durations


@dataclass(frozen=True, slots=True)
class EndOfTurn:
    """How a turn of the user came to its end.

    Attributes:
        decided_at: When it had ended for good: the user's hook had run, the reply was scheduled.
        transcription_delay: From the end of speech to the last final transcript.
        end_of_turn_delay: From the end of speech to the decision that the turn was over.
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

    def waits(self) -> list[Wait]:
        """Return the stages of it that are known."""
        marks = (
            (semconv.STAGE_LLM_FIRST_TOKEN, self.started_at, self.first_token_at),
            (semconv.STAGE_SENTENCE, self.first_token_at, self.sentence_at),
            (semconv.STAGE_TTS_FIRST_BYTE, self.sentence_at, self.first_byte_at),
        )
        return [
            Wait(stage, start, end)
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
        """Return the seconds that the caller waited for each stage; they make up the latency."""
        start = self.heard_at - self.latency
        handed_out_at = self.heard_at - self.playback_latency
        waits = [Wait(semconv.STAGE_PLAYBACK, handed_out_at, self.heard_at)]
        waits += self._waits_for_end_of_turn(start)
        waits += [Wait(semconv.STAGE_TOOLS, *span) for span in self.tools if span[1] > start]
        for generation in self.generations:
            waits += generation.waits()
        if (requested_at := self._requested_at(start)) is not None:
            spoken_by_tts = [g.sentence_at for g in self.generations if g.sentence_at is not None]
            output_at = min([*spoken_by_tts, handed_out_at])
            waits.append(Wait(semconv.STAGE_LLM_FIRST_TOKEN, requested_at, output_at))
        return partition(
            self.latency,
            [Wait(stage, since - start, until - start) for stage, since, until in waits],
        )

    def _requested_at(self, start: float) -> float | None:
        """Return the first request of this turn; earlier ones were for the turns before."""
        if not self.requests:
            return None
        return next((at for at in self.requests if at > start), self.requests[-1])

    def _waits_for_end_of_turn(self, start: float) -> list[Wait]:
        end = self.end_of_turn
        if end is not None and end.decided_at > start:
            return [
                Wait(semconv.STAGE_TRANSCRIPTION, start, start + end.transcription_delay),
                # contains the transcription, which comes first in the order of dependence
                Wait(semconv.STAGE_END_OF_TURN, start, start + end.end_of_turn_delay),
                Wait(semconv.STAGE_TURN_HOOK, end.decided_at - end.hook_duration, end.decided_at),
            ]
        if (requested_at := self._requested_at(start)) is not None:
            # the model's own service decided
            return [Wait(semconv.STAGE_END_OF_TURN, start, requested_at)]
        return []
