# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the caller waited for: the silence between their last word and the agent's first audio.

The stages of a turn overlap: a reply may be generated while the end of the turn is still awaited.
So the waiting time is not the sum of the bars. Each instant of it is given to one stage, by the
function that divides it for the metric ``agent.turn.stage.duration`` too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .. import semconv
from ..call.turn_latency import Claim
from .answer import named, read_answer, showing
from .span_record import NS_PER_S, SpanRecord, SpanTree


@dataclass(frozen=True)
class Part:
    """One stage's share of a wait.

    Attributes:
        stage: The stage, one of ``semconv.STAGES``.
        seconds: Its share; the parts of a wait add up to the wait.
        span_id: The span that shows most of the share, or None where none shows it.
        slowest: Whether this is the longest part.
    """

    stage: str
    seconds: float
    span_id: str | None
    slowest: bool


class Origin(StrEnum):
    """How it is known when a wait began."""

    MEASURED = "measured"
    """LiveKit's own figure, ``lk.e2e_latency``."""
    SPANS = "spans"
    """No figure: read off the spans, less exact."""
    TURN = "turn"
    """The user did not speak: counted from the start of the agent's turn."""


@dataclass(frozen=True)
class Wait:
    """The time from the end of the user's speech to the first agent audio.

    Attributes:
        start_ns: The user's last word, in nanoseconds since the Unix epoch.
        end_ns: The agent's first audio; the first text of a session without audio.
        origin: How the start is known.
        parts: What the time went to, in the order of the pipeline.
    """

    start_ns: int
    end_ns: int
    origin: Origin
    parts: tuple[Part, ...]

    @property
    def seconds(self) -> float:
        """The length of the wait."""
        return (self.end_ns - self.start_ns) / NS_PER_S


def measure_wait(spans: Sequence[SpanRecord], tree: SpanTree) -> Wait | None:
    """The wait within the spans of one turn, or None where nobody waited for an answer.

    Args:
        spans: The turn's spans, by start.
        tree: All spans of the call.
    """
    window = _window(spans)
    if window is None:
        return None
    start_ns, end_ns, origin = window
    answer = read_answer(spans, tree, start_ns, end_ns)
    stretches: defaultdict[str, list[Claim]] = defaultdict(list)
    for stretch in answer.stretches():
        stretches[stretch.stage].append(stretch)
    seconds = {stage: took for stage, took in answer.stages().items() if took > 0}
    slowest = max(seconds, key=lambda stage: seconds[stage], default="")
    parts = tuple(
        Part(
            stage,
            took,
            _most_of(stretches[stage], showing(stage, spans, tree), start_ns),
            slowest=stage == slowest,
        )
        for stage, took in seconds.items()
    )
    return Wait(start_ns, end_ns, origin, parts)


def _window(spans: Sequence[SpanRecord]) -> tuple[int, int, Origin] | None:
    speaking = [s.start_ns for s in named(spans, semconv.SPAN_AGENT_SPEAKING)]
    turns = named(spans, semconv.SPAN_AGENT_TURN)
    for turn in turns:
        latency = turn.number(semconv.LK_E2E_LATENCY)
        first = next((t for t in speaking if t >= turn.start_ns), None)
        if latency and first is not None:
            return first - int(latency * NS_PER_S), first, Origin.MEASURED
    last_words = [s.stop_ns for s in named(spans, semconv.SPAN_USER_SPEAKING)] or [
        s.start_ns for s in named(spans, semconv.SPAN_EOU_WAIT)
    ]
    origin = Origin.SPANS if last_words else Origin.TURN
    for first in speaking:
        before = [t for t in last_words or [turn.start_ns for turn in turns] if t < first]
        if before:
            return max(before), first, origin
    return None


def _most_of(stretches: Iterable[Claim], spans: Iterable[SpanRecord], start_ns: int) -> str | None:
    """The id of the span that covers most of some stretches, which count from an instant."""
    covered = {
        span.span_id: sum(
            max(
                min(end, (span.stop_ns - start_ns) / NS_PER_S)
                - max(start, (span.start_ns - start_ns) / NS_PER_S),
                0.0,
            )
            for _, start, end in stretches
        )
        for span in spans
    }
    most = max(covered, key=lambda span_id: covered[span_id], default=None)
    return most if most is not None and covered[most] > 0 else None
