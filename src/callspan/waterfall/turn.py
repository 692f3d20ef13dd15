# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""One turn of a call as rows of bars: which spans belong to it, and what is said about it.

Pure. Only names, durations and counts are taken from a span, never content.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .. import semconv
from .answer import inferences, syntheses
from .span_record import NS_PER_S, SpanRecord, SpanTree
from .wait import Origin, Wait, measure_wait

LEAST_SHOWN: Final = 0.005
"""Seconds below which a part of a wait, or a step of a start or a shutdown, is not named."""
_MOST_ROWS = 40
"""Rows drawn per turn; a turn with more is broken, and its first ones tell how."""
_LARGEST_INDEX = 100_000


class Kind(StrEnum):
    """What a row is about; decides its colour."""

    WAIT = "wait"
    USER = "user"
    STT = "stt"
    END_OF_TURN = "end_of_turn"
    LLM = "llm"
    TOOL = "tool"
    TTS = "tts"
    AGENT = "agent"


class Note(StrEnum):
    """What is remarkable about a row."""

    SLOWEST = "slowest"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    DISCARDED = "discarded"


STAGE_TEXTS: Final = {
    semconv.STAGE_TRANSCRIPTION: "transcription",
    semconv.STAGE_END_OF_TURN: "end of turn",
    semconv.STAGE_TURN_HOOK: "turn hook",
    semconv.STAGE_LLM_FIRST_TOKEN: "LLM first token",
    semconv.STAGE_TOOLS: "tools",
    semconv.STAGE_SENTENCE: "sentence",
    semconv.STAGE_TTS_FIRST_BYTE: "TTS first byte",
    semconv.STAGE_PLAYBACK: "playback",
    semconv.OTHER: "other",
}
"""The stages of a wait as a person reads them; by these names they are found in the metric."""
_BARS: Final = {
    semconv.SPAN_USER_SPEAKING: Kind.USER,
    semconv.SPAN_STT_REQUEST: Kind.STT,
    semconv.SPAN_EOU_WAIT: Kind.END_OF_TURN,
    semconv.SPAN_TURN_HOOK: Kind.END_OF_TURN,
    semconv.SPAN_LLM_NODE: Kind.LLM,
    semconv.SPAN_LLM_REQUEST: Kind.LLM,
    semconv.SPAN_REALTIME_INFERENCE: Kind.LLM,
    semconv.SPAN_FUNCTION_TOOL: Kind.TOOL,
    semconv.SPAN_UPDATE_AGENT: Kind.TOOL,
    semconv.SPAN_TTS_NODE: Kind.TTS,
    semconv.SPAN_TTS_REQUEST: Kind.TTS,
    semconv.SPAN_AGENT_SPEAKING: Kind.AGENT,
}
"""The spans that become bars, in the order of the pipeline."""
_MERGED: Final = frozenset(
    {
        semconv.SPAN_USER_SPEAKING,
        semconv.SPAN_EOU_WAIT,
        semconv.SPAN_TTS_REQUEST,
        semconv.SPAN_AGENT_SPEAKING,
    }
)
"""Those that come in pieces (pauses, sentences): one row for all pieces of a turn."""


@dataclass(frozen=True)
class Row:
    """One line of bars.

    Attributes:
        kind: What it is about.
        label: The name to the left of it.
        bars: Start and end of each bar, in nanoseconds since the Unix epoch.
        notes: What is remarkable about it.
    """

    kind: Kind
    label: str
    bars: tuple[tuple[int, int], ...]
    notes: tuple[Note, ...] = ()

    @property
    def seconds(self) -> float:
        """The time that at least one of the bars covers."""
        covered, reached = 0, self.bars[0][0]
        for start, end in sorted(self.bars):
            covered += max(0, end - max(start, reached))
            reached = max(reached, end)
        return covered / NS_PER_S


@dataclass(frozen=True)
class Turn:
    """One exchange: the user's words and the agent's answer to them.

    Attributes:
        index: Its number in the call, from 1.
        title: How long the caller waited, or why there was nothing to wait for.
        remarks: What else is to be said, such as an interruption.
        wait: The wait, or None where there was none.
        rows: Its stages, by start; the wait itself first.
        start_ns: Where the turn begins, in nanoseconds since the Unix epoch.
        axis: The stretch to draw. Long speech before and after the wait lies outside of it, so
            that the stages in between can be told apart.
        zero_ns: The instant that the axis calls 0: the user's last word.
    """

    index: int
    title: str
    remarks: tuple[str, ...]
    wait: Wait | None
    rows: tuple[Row, ...]
    start_ns: int
    axis: tuple[int, int]
    zero_ns: int


def is_of_turn(span: SpanRecord) -> bool:
    """Whether the span is one side of a turn or a stage within one."""
    return span.name in _BARS or span.name in (semconv.SPAN_USER_TURN, semconv.SPAN_AGENT_TURN)


def duration_text(seconds: float) -> str:
    """Seconds as a person would write them: ``352 ms``, ``3.61 s``, ``2 min 05 s``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def part_texts(wait: Wait, slowest: str = "") -> tuple[str, ...]:
    """The parts of a wait that are worth naming, the slowest with a mark behind it."""
    return tuple(
        f"{STAGE_TEXTS[part.stage]} {duration_text(part.seconds)}{slowest if part.slowest else ''}"
        for part in wait.parts
        if part.seconds >= LEAST_SHOWN or part.slowest
    )


def by_turn(spans: Sequence[SpanRecord], tree: SpanTree) -> dict[int, list[SpanRecord]]:
    """The spans that make up turns, by turn; 0 is what came before the user first spoke."""
    starts = _turn_starts(spans)
    index_of = {span_id: index for _, index, span_id in starts}
    groups: defaultdict[int, list[SpanRecord]] = defaultdict(list)
    for span in filter(is_of_turn, spans):
        lineage = list(tree.lineage(span))
        known = (*(index_of.get(s.span_id) for s in lineage), *map(_index, lineage))
        index = next((i for i in known if i is not None), None)
        if index is None:
            # Its turn's spans are missing: what was going on when it began.
            index = next((i for t, i, _ in reversed(starts) if t <= span.start_ns), 1)
        groups[index].append(span)
    return groups


def _turn_starts(spans: Sequence[SpanRecord]) -> list[tuple[int, int, str]]:
    """Start, turn and id of each span that stands for a side of a turn, by start."""
    user_turns = [s for s in spans if s.name == semconv.SPAN_USER_TURN]
    # A realtime model that detects turns itself leaves no user_turn.
    openers = user_turns or [s for s in spans if s.name == semconv.SPAN_USER_SPEAKING]
    opener_ids = {s.span_id for s in openers}
    sides = [s for s in spans if s.name == semconv.SPAN_AGENT_TURN or s.span_id in opener_ids]
    # A session without user speech is numbered 0 throughout.
    numbered = any(_index(s) for s in sides)
    starts: list[tuple[int, int, str]] = []
    current, answered = 0, True
    for side in sides:
        index = _index(side)
        if numbered:
            current = current if index is None else index
        else:
            opens = side.span_id in opener_ids
            # There, each answer is a turn of its own.
            if (opens and (user_turns or answered)) or not openers:
                current += 1
            answered = not opens
        starts.append((side.start_ns, current, side.span_id))
    return starts


def _index(span: SpanRecord) -> int | None:
    value = span.attributes.get(semconv.TURN_INDEX)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_INDEX:
        return value
    return None


def arrange_turn(index: int, spans: Sequence[SpanRecord], tree: SpanTree) -> Turn:
    """One turn, from its spans by start; there is at least one."""
    wait = measure_wait(spans, tree)
    rows = arrange_rows(spans, tree, wait)
    start_ns = min(s.start_ns for s in spans)
    end_ns = max(s.stop_ns for s in spans)
    axis = (start_ns, end_ns)
    if wait:
        length = wait.end_ns - wait.start_ns
        axis = (
            max(start_ns, wait.start_ns - max(NS_PER_S, length)),
            min(end_ns, wait.end_ns + max(NS_PER_S, length // 2)),
        )
    remarks = interruption_texts(spans, tree)
    if len(rows) > _MOST_ROWS:
        remarks.append(f"{len(rows) - _MOST_ROWS} stages more than are drawn")
    return Turn(
        index=index,
        title=_wait_text(spans, wait),
        remarks=tuple(remarks),
        wait=wait,
        rows=tuple(rows[:_MOST_ROWS]),
        start_ns=start_ns,
        axis=(axis[0], max(axis[1], axis[0] + 1)),
        zero_ns=wait.start_ns if wait else start_ns,
    )


def _wait_text(spans: Sequence[SpanRecord], wait: Wait | None) -> str:
    if wait:
        seconds = duration_text(wait.seconds)
        match wait.origin:
            case Origin.MEASURED:
                return f"caller waited {seconds}"
            case Origin.SPANS:
                return f"caller waited about {seconds}"
            case Origin.TURN:
                return f"no user speech, first output after {seconds}"
    if any(s.name == semconv.SPAN_AGENT_SPEAKING for s in spans):
        return "caller did not wait"
    return "no answer was heard"


def interruption_texts(spans: Sequence[SpanRecord], tree: SpanTree) -> list[str]:
    """What cut the agent short in a turn, one text for each of its answers that were cut."""
    texts = []
    for turn in spans:
        if turn.name != semconv.SPAN_AGENT_TURN or not turn.flag(semconv.LK_INTERRUPTED):
            continue
        by = turn.text(semconv.LK_INTERRUPTION_SOURCE)
        played = turn.number(semconv.LK_PLAYOUT_POSITION)
        if _spoke(turn, spans, tree):
            after = "" if played is None else f" after {duration_text(played)} of speech"
            texts.append(f"agent interrupted{after}{f' by {by}' if by else ''}")
        else:
            texts.append(f"answer dropped{f' by {by}' if by else ''}")
    return texts


def _spoke(turn: SpanRecord, spans: Sequence[SpanRecord], tree: SpanTree) -> bool:
    return any(
        s.name == semconv.SPAN_AGENT_SPEAKING
        and tree.enclosing(s, semconv.SPAN_AGENT_TURN) in (turn, None)
        for s in spans
    )


def arrange_rows(spans: Sequence[SpanRecord], tree: SpanTree, wait: Wait | None) -> list[Row]:
    """The stages of a turn as rows, by start; its wait, if given, before them."""
    shown = {s.span_id for s in (*inferences(spans, tree), *syntheses(spans, tree))}
    pieces: dict[str, list[SpanRecord]] = {}
    for span in spans:
        kind = _BARS.get(span.name)
        hidden = kind in (Kind.LLM, Kind.TTS) and span.name != semconv.SPAN_REALTIME_INFERENCE
        hidden = hidden and span.span_id not in shown
        hidden = hidden or (span.name == semconv.SPAN_TURN_HOOK and span.seconds < LEAST_SHOWN)
        if kind is not None and not hidden:
            key = span.name if span.name in _MERGED else f"{span.name} {span.span_id}"
            pieces.setdefault(key, []).append(span)
    slowest = next((p for p in wait.parts if p.slowest), None) if wait else None
    rows = [_row(group, tree, slowest.span_id if slowest else None) for group in pieces.values()]
    # The recogniser starts with the user or a moment before: cause first.
    rows.sort(key=lambda row: {Kind.USER: 0, Kind.STT: 1}.get(row.kind, 2))
    if wait:
        marked = any(Note.SLOWEST in row.notes for row in rows)
        notes = () if marked or not slowest else (Note.SLOWEST,)
        bar = ((wait.start_ns, wait.end_ns),)
        rows.insert(0, Row(Kind.WAIT, "caller waits", bar, notes))
    return rows


def _row(spans: Sequence[SpanRecord], tree: SpanTree, slowest_id: str | None) -> Row:
    turns = [tree.enclosing(s, semconv.SPAN_AGENT_TURN) for s in spans]
    notes = []
    if any(s.error or s.flag(semconv.LK_TOOL_IS_ERROR) for s in spans):
        notes.append(Note.FAILED)
    kind = _BARS[spans[0].name]
    if kind is Kind.AGENT and any(t and t.flag(semconv.LK_INTERRUPTED) for t in turns):
        notes.append(Note.INTERRUPTED)
    if kind is Kind.LLM and turns[0] and _was_discarded(spans[0], turns[0]):
        notes.append(Note.DISCARDED)
    if slowest_id is not None and any(s.span_id == slowest_id for s in spans):
        notes.append(Note.SLOWEST)
    bars = tuple((s.start_ns, s.stop_ns) for s in spans)
    return Row(kind, _label(spans), bars, tuple(notes))


def _was_discarded(inference: SpanRecord, turn: SpanRecord) -> bool:
    return any(
        name == semconv.EVENT_DISCARDED and inference.start_ns < at_ns
        for name, at_ns, _ in turn.events
    )


def _label(spans: Sequence[SpanRecord]) -> str:
    first = spans[0]
    if first.name == semconv.SPAN_FUNCTION_TOOL:
        return f"tool {first.text(semconv.LK_TOOL_NAME) or ''}".strip()
    if first.name == semconv.SPAN_UPDATE_AGENT:
        return f"handoff to {first.text(semconv.LK_AGENT_LABEL) or 'an agent'}"
    return first.name if len(spans) == 1 else f"{first.name} ×{len(spans)}"
