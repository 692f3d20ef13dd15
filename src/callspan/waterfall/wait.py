# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the caller waited for: the silence between their last word and the agent's first audio.

The stages of a turn overlap: a reply may be generated while the end of the turn is still awaited.
So the waiting time is not the sum of the bars. Here each instant of it is given to one stage, the
one that the caller was then waiting for; work done ahead costs the caller nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .. import semconv
from .span_record import NS_PER_S, SpanRecord, SpanTree, first_audio_ns


class Stage(StrEnum):
    """What a caller can be waiting for, in the order of the pipeline."""

    TRANSCRIPTION = "transcription"
    END_OF_TURN = "end of turn"
    TURN_HOOK = "turn hook"
    LLM = "LLM"
    TOOLS = "tools"
    SENTENCE = "sentence"
    TTS = "TTS"
    PLAYBACK = "playback"
    OTHER = "other"


@dataclass(frozen=True)
class Part:
    """One stage's share of a wait.

    Attributes:
        stage: The stage.
        seconds: Its share; the parts of a wait add up to the wait.
        span_id: The span that took most of the share, or None where no span shows it.
        slowest: Whether this is the longest part.
    """

    stage: Stage
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
    claims = [*_deciding(spans, start_ns, end_ns), *_answering(spans, tree, end_ns)]
    return Wait(start_ns, end_ns, origin, _partition(claims, start_ns, end_ns))


def inferences(spans: Sequence[SpanRecord], tree: SpanTree) -> list[SpanRecord]:
    """The spans that show an inference each: requests, or the node where it made no request."""
    return _requests(spans, tree, semconv.SPAN_LLM_REQUEST, semconv.SPAN_LLM_NODE)


def syntheses(spans: Sequence[SpanRecord], tree: SpanTree) -> list[SpanRecord]:
    """The spans that show a speech synthesis each: requests, or the node where it made none."""
    return _requests(spans, tree, semconv.SPAN_TTS_REQUEST, semconv.SPAN_TTS_NODE)


@dataclass(frozen=True)
class _Claim:
    """A stretch of time that a stage would account for, and the span that shows it."""

    stage: Stage
    start_ns: int
    end_ns: int
    span: SpanRecord | None = None


def _window(spans: Sequence[SpanRecord]) -> tuple[int, int, Origin] | None:
    speaking = [s.start_ns for s in _named(spans, semconv.SPAN_AGENT_SPEAKING)]
    turns = _named(spans, semconv.SPAN_AGENT_TURN)
    for turn in turns:
        latency = turn.number(semconv.LK_E2E_LATENCY)
        first = next((t for t in speaking if t >= turn.start_ns), None)
        if latency and first is not None:
            return first - int(latency * NS_PER_S), first, Origin.MEASURED
    last_words = [s.stop_ns for s in _named(spans, semconv.SPAN_USER_SPEAKING)] or [
        s.start_ns for s in _named(spans, semconv.SPAN_EOU_WAIT)
    ]
    origin = Origin.SPANS if last_words else Origin.TURN
    for first in speaking:
        before = [t for t in last_words or [turn.start_ns for turn in turns] if t < first]
        if before:
            return max(before), first, origin
    return None


def _deciding(spans: Sequence[SpanRecord], start_ns: int, end_ns: int) -> Iterator[_Claim]:
    """What is waited for until the turn is decided. It outranks whatever is done ahead."""
    stt = next(reversed(_named(spans, semconv.SPAN_STT_REQUEST)), None)
    hook = next(reversed(_named(spans, semconv.SPAN_TURN_HOOK)), None)
    # A wait that the user ended by speaking on lies before this window.
    eou = next(
        (
            s
            for s in reversed(_named(spans, semconv.SPAN_EOU_WAIT))
            if s.text(semconv.LK_EOU_OUTCOME) in (None, semconv.EOU_COMMITTED)
        ),
        None,
    )
    realtime = next(
        (s for s in _named(spans, semconv.SPAN_REALTIME_INFERENCE) if s.stop_ns > start_ns), None
    )

    heard_ns = _after(spans, semconv.LK_TRANSCRIPTION_DELAY, start_ns) or (
        stt.stop_ns if stt else 0
    )
    decided_ns = _after(spans, semconv.LK_END_OF_TURN_DELAY, start_ns)
    if decided_ns is None and eou:
        decided_ns = eou.stop_ns
    if decided_ns is None and realtime:
        # The model's own turn detection leaves no span: it has decided once it begins to answer.
        decided_ns = realtime.start_ns
    if decided_ns is not None:
        decided_ns = min(decided_ns, end_ns)
        yield _Claim(Stage.TRANSCRIPTION, start_ns, min(heard_ns, decided_ns), stt)
        yield _Claim(Stage.END_OF_TURN, start_ns, decided_ns, eou)
    else:
        yield _Claim(Stage.TRANSCRIPTION, start_ns, heard_ns, stt)
    if hook:
        yield _Claim(Stage.TURN_HOOK, hook.start_ns, hook.stop_ns, hook)


def _answering(spans: Sequence[SpanRecord], tree: SpanTree, end_ns: int) -> Iterator[_Claim]:
    """What is waited for once the turn is decided, the nearest to the caller's ear first."""
    speech = [_first_audio(s, tree, end_ns) for s in syntheses(spans, tree) if s.start_ns < end_ns]
    yield from speech
    if speech:
        yield _Claim(Stage.PLAYBACK, max(c.end_ns for c in speech), end_ns)
    for tool in _named(spans, semconv.SPAN_FUNCTION_TOOL):
        yield _Claim(Stage.TOOLS, tool.start_ns, tool.stop_ns, tool)
    for inference in _named(spans, semconv.SPAN_REALTIME_INFERENCE):
        yield _Claim(Stage.LLM, inference.start_ns, inference.stop_ns, inference)
    heard = [s for s in inferences(spans, tree) if s.start_ns < end_ns]
    for inference in heard[:-1]:
        # It called a tool or was thrown away: what it said was not waited for, but its end was.
        yield _Claim(Stage.LLM, inference.start_ns, inference.stop_ns, inference)
    for answer in heard[-1:]:
        first_token_ns = _first_token_ns(answer, tree)
        yield _Claim(Stage.LLM, answer.start_ns, first_token_ns, answer)
        yield _Claim(Stage.SENTENCE, first_token_ns, answer.stop_ns, answer)


def _first_audio(synthesis: SpanRecord, tree: SpanTree, end_ns: int) -> _Claim:
    start_ns, stop_ns = synthesis.start_ns, min(synthesis.stop_ns, end_ns)
    if (asked := first_audio_ns(synthesis)) and asked[1] <= end_ns:
        start_ns, stop_ns = asked
    else:
        # A request for several segments reports its last one; the node reports the first.
        node = tree.enclosing(synthesis, semconv.SPAN_TTS_NODE)
        ttfb = node.number(semconv.LK_TTFB) if node else None
        if ttfb is not None:
            start_ns, stop_ns = end_ns - int(ttfb * NS_PER_S), end_ns
    return _Claim(Stage.TTS, start_ns, stop_ns, synthesis)


def _first_token_ns(inference: SpanRecord, tree: SpanTree) -> int:
    node = tree.enclosing(inference, semconv.SPAN_LLM_NODE)
    ttft = inference.number(semconv.GEN_AI_TIME_TO_FIRST_CHUNK)
    if ttft is None and node:
        ttft = node.number(semconv.LK_TTFT)
    if ttft is None:
        return inference.stop_ns
    return min(inference.start_ns + int(ttft * NS_PER_S), inference.stop_ns)


def _partition(claims: Sequence[_Claim], start_ns: int, end_ns: int) -> tuple[Part, ...]:
    """Give each instant to the first claim that covers it, the rest to `Stage.OTHER`."""
    free = [(start_ns, end_ns)]
    shares: defaultdict[Stage, int] = defaultdict(int)
    largest: dict[Stage, tuple[int, str | None]] = {}
    for claim in [*claims, _Claim(Stage.OTHER, start_ns, end_ns)]:
        taken, left = 0, []
        for gap_start, gap_end in free:
            cut_start = min(max(claim.start_ns, gap_start), gap_end)
            cut_end = max(min(claim.end_ns, gap_end), cut_start)
            taken += cut_end - cut_start
            left += [(a, b) for a, b in ((gap_start, cut_start), (cut_end, gap_end)) if a < b]
        free = left
        shares[claim.stage] += taken
        span_id = claim.span.span_id if claim.span else None
        if taken > largest.get(claim.stage, (0, None))[0]:
            largest[claim.stage] = (taken, span_id)
    slowest = max(Stage, key=lambda stage: shares[stage])
    return tuple(
        Part(stage, shares[stage] / NS_PER_S, largest[stage][1], slowest=stage is slowest)
        for stage in Stage
        if shares[stage] > 0
    )


def _after(spans: Sequence[SpanRecord], key: str, start_ns: int) -> int | None:
    """The instant a latency after the user's last word; LiveKit writes 0 for unknown."""
    turns = (
        _named(spans, semconv.SPAN_AGENT_TURN)[::-1] + _named(spans, semconv.SPAN_USER_TURN)[::-1]
    )
    delay = next((d for turn in turns if (d := turn.number(key))), None)
    return start_ns + int(delay * NS_PER_S) if delay else None


def _named(spans: Sequence[SpanRecord], name: str) -> list[SpanRecord]:
    return [s for s in spans if s.name == name]


def _requests(
    spans: Sequence[SpanRecord], tree: SpanTree, request: str, node: str
) -> list[SpanRecord]:
    requests = _named(spans, request)
    covered = {found.span_id for r in requests if (found := tree.enclosing(r, node))}
    own = [s for s in spans if s.name == node and s.span_id not in covered]
    return sorted(requests + own, key=lambda s: s.start_ns)
