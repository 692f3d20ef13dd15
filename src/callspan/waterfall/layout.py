# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a waterfall of a call shows, and where: the part that text and picture have in common.

Pure. Spans in any order, with any of them missing, become a `Call`: titles that are ready to print
and bars in nanoseconds. Only names, durations and counts are taken from a span, never content.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .. import semconv
from .span_record import NS_PER_S, SpanRecord, SpanTree
from .turn import (
    LEAST_SHOWN,
    Kind,
    Note,
    Row,
    Turn,
    arrange_rows,
    arrange_turn,
    by_turn,
    duration_text,
    interruption_texts,
    part_texts,
)
from .wait import Origin, measure_wait


@dataclass(frozen=True)
class Line:
    """A step of the call that takes one line: start, greeting, close, shutdown.

    Attributes:
        start_ns: When it began, in nanoseconds since the Unix epoch.
        label: Its name.
        items: What there is to say about it.
    """

    start_ns: int
    label: str
    items: tuple[str, ...]


@dataclass(frozen=True)
class Call:
    """A call, ready to be drawn.

    Attributes:
        header: Who, which, how long, how it ended.
        remarks: What a reader should know before believing the rest.
        start_ns: In nanoseconds since the Unix epoch.
        end_ns: In nanoseconds since the Unix epoch.
        lanes: Who spoke when and who waited when, over the whole call.
        opening: What came before the first turn.
        turns: By number.
        closing: What came after the last turn.
    """

    header: tuple[str, ...]
    remarks: tuple[str, ...]
    start_ns: int
    end_ns: int
    lanes: tuple[Row, ...]
    opening: tuple[Line, ...]
    turns: tuple[Turn, ...]
    closing: tuple[Line, ...]


_OPENING: Final = (
    semconv.SPAN_ROOM_CONNECT,
    semconv.SPAN_WAIT_FOR_PARTICIPANT,
    semconv.SPAN_SESSION_START,
)
_SHUTDOWN: Final = (
    semconv.SPAN_ON_SESSION_END,
    semconv.SPAN_SHUTDOWN_CALLBACK,
    semconv.SPAN_SESSION_END_UPLOAD,
    semconv.SPAN_ROOM_DISCONNECT,
)


def is_call_root(span: SpanRecord) -> bool:
    """Whether the span ends a call: the job's, or that of a session outside of any job."""
    if span.name == semconv.SPAN_JOB:
        return True
    return span.name == semconv.SPAN_SESSION and span.parent_id is None


def layout(spans: Iterable[SpanRecord]) -> Call | None:
    """Arrange the spans of one call.

    Args:
        spans: In any order; incomplete is fine.

    Returns:
        The call, or None where there is no span at all.
    """
    ordered = sorted(spans, key=lambda s: (s.start_ns, -s.stop_ns, s.name, s.span_id))
    if not ordered:
        return None
    tree = SpanTree(ordered)
    root = next((s for s in ordered if is_call_root(s)), None)
    start_ns = root.start_ns if root else ordered[0].start_ns
    end_ns = root.stop_ns if root else max(s.stop_ns for s in ordered)
    groups = by_turn(ordered, tree)
    turns = tuple(arrange_turn(i, groups[i], tree) for i in sorted(groups) if i > 0)
    greeting = _greeting(groups.get(0, []), tree)
    return Call(
        header=_header(ordered, root, turns, (end_ns - start_ns) / NS_PER_S),
        remarks=_remarks(ordered, root),
        start_ns=start_ns,
        end_ns=end_ns,
        lanes=_lanes(ordered, turns),
        opening=(*_opening(ordered), *greeting),
        turns=turns,
        closing=tuple(_closing(ordered)),
    )


def ticks(start_ns: int, end_ns: int, zero_ns: int, columns: int) -> list[tuple[int, str]]:
    """Round instants for an axis, as many as there is room for, labelled in seconds.

    Args:
        start_ns: Where the axis begins.
        end_ns: Where it ends, after its start.
        zero_ns: The instant labelled 0.
        columns: The length of the axis in characters.
    """
    step_ns = 1_000
    while True:
        first, last = -((zero_ns - start_ns) // step_ns), (end_ns - zero_ns) // step_ns
        if last - first < columns:
            steps = range(first, last + 1)
            labelled = [(zero_ns + n * step_ns, f"{n * step_ns / NS_PER_S:g} s") for n in steps]
            longest = max((len(label) for _, label in labelled), default=0)
            if (longest + 2) * (end_ns - start_ns) <= step_ns * columns or len(labelled) < 2:
                return labelled
        # 1, 2, 5, 10, 20, 50 …
        step_ns = step_ns * 5 // 2 if str(step_ns)[0] == "2" else step_ns * 2


def wrap_items(items: Sequence[str], columns: int, first: int | None = None) -> list[str]:
    """Join items with dots, breaking lines only between two of them.

    Args:
        items: What to join.
        columns: How long a line may be; an item that is longer gets a line of its own.
        first: How much room the first line has, which stays empty where no item fits; default is
            as much as the others.
    """
    lines = [] if first is None else [""]
    for item in items:
        joined = f"{lines[-1]} · {item}" if lines and lines[-1] else item
        room = first if first is not None and len(lines) == 1 else columns
        if lines and len(joined) <= room:
            lines[-1] = joined
        else:
            lines.append(item)
    return lines


def _header(
    spans: Sequence[SpanRecord], root: SpanRecord | None, turns: Sequence[Turn], seconds: float
) -> tuple[str, ...]:
    looked_in = [root, *spans] if root else spans

    def find(*keys: str) -> str | None:
        return next((t for key in keys for s in looked_in if (t := s.text(key))), None)

    agent = find(
        semconv.AGENT_NAME, semconv.LK_AGENT_NAME, semconv.LK_AGENT_LABEL, semconv.GEN_AI_AGENT_NAME
    )
    session = find(semconv.SESSION_ID, semconv.LK_JOB_ID)
    outcome = root.text(semconv.OUTCOME) if root else None
    waits = [
        (t.wait.seconds, t.index) for t in turns if t.wait and t.wait.origin is not Origin.TURN
    ]
    header = [agent or "agent"]
    if session:
        header.append(f"call {session}")
    header.append(duration_text(seconds))
    header.append(f"{len(turns)} turn{'' if len(turns) == 1 else 's'}")
    if waits:
        header.append(f"longest wait {duration_text(max(waits)[0])} (turn {max(waits)[1]})")
    if outcome:
        header.append(f"outcome {outcome}")
    if kind := find(semconv.CALL_KIND):
        header.append(kind)
    return tuple(header)


def _remarks(spans: Sequence[SpanRecord], root: SpanRecord | None) -> tuple[str, ...]:
    remarks = []
    if root is None:
        remarks.append(f"incomplete: the span {semconv.SPAN_JOB} is missing")
    elif root.error:
        remarks.append(f"the span {root.name} ended with an error")
    for session in (s for s in spans if s.name == semconv.SPAN_SESSION):
        count = session.number(semconv.LK_BLOCKING_COUNT)
        total = session.number(semconv.LK_BLOCKING_TOTAL)
        if count and total:
            remarks.append(f"event loop blocked {count:.0f} times, {duration_text(total)} in all")
    return tuple(remarks)


def _lanes(spans: Sequence[SpanRecord], turns: Sequence[Turn]) -> tuple[Row, ...]:
    def bars(name: str) -> tuple[tuple[int, int], ...]:
        return tuple((s.start_ns, s.stop_ns) for s in spans if s.name == name)

    waits = tuple((t.wait.start_ns, t.wait.end_ns) for t in turns if t.wait)
    lanes = (
        Row(Kind.USER, "user speaks", bars(semconv.SPAN_USER_SPEAKING)),
        Row(Kind.WAIT, "caller waits", waits),
        Row(Kind.AGENT, "agent speaks", bars(semconv.SPAN_AGENT_SPEAKING)),
    )
    return tuple(lane for lane in lanes if lane.bars)


def _opening(spans: Sequence[SpanRecord]) -> list[Line]:
    steps = [s for s in spans if s.name in _OPENING]
    items = [_step_text(s) for s in steps]
    for job in (s for s in spans if s.name == semconv.SPAN_JOB):
        if latency := job.number(semconv.LK_DISPATCH_LATENCY):
            items.insert(0, f"dispatch {duration_text(latency)}")
    return [Line(steps[0].start_ns, "start", tuple(items))] if steps else []


def _greeting(spans: Sequence[SpanRecord], tree: SpanTree) -> list[Line]:
    """Turn 0, in one line."""
    if not spans:
        return []
    wait = measure_wait(spans, tree)
    items = []
    if wait:
        parts = ", ".join(part_texts(wait))
        items.append(f"first output after {duration_text(wait.seconds)} ({parts})")
    for row in arrange_rows(spans, tree, None):
        if row.kind is Kind.AGENT:
            items.append(f"spoke {duration_text(row.seconds)}")
        if Note.FAILED in row.notes:
            items.append(f"{row.label} failed")
    items += interruption_texts(spans, tree)
    return [Line(spans[0].start_ns, "greeting", tuple(items))]


def _closing(spans: Sequence[SpanRecord]) -> Iterable[Line]:
    for close in (s for s in spans if s.name == semconv.SPAN_SESSION_CLOSE):
        reason = close.text(semconv.LK_CLOSE_REASON)
        items = (_step_text(close), *([reason] if reason else []))
        yield Line(close.start_ns, "close", items)
    for shutdown in (s for s in spans if s.name == semconv.SPAN_JOB_SHUTDOWN):
        steps = [s for s in spans if s.name in _SHUTDOWN and (s.seconds >= LEAST_SHOWN or s.error)]
        yield Line(shutdown.start_ns, "shutdown", tuple(map(_step_text, (shutdown, *steps))))


def _step_text(span: SpanRecord) -> str:
    return f"{span.name} {duration_text(span.seconds)}{' failed' if span.error else ''}"
