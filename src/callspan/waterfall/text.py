# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""One call as lines of text, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from .layout import Call, Line, layout, ticks, wrap_items
from .span_record import NS_PER_S, SpanRecord
from .turn import Kind, Note, Row, Turn, duration_text, part_texts

_NARROWEST: Final = 60
_DURATION_WIDTH: Final = 9
_NOTES: Final = {
    Note.SLOWEST: "◀ slowest",
    Note.FAILED: "✗ failed",
    Note.INTERRUPTED: "✂ interrupted",
    Note.DISCARDED: "discarded",
}
_COLOURS: Final = {
    Kind.WAIT: "2",
    Kind.USER: "36",
    Kind.STT: "34",
    Kind.END_OF_TURN: "33",
    Kind.LLM: "35",
    Kind.TOOL: "93",
    Kind.TTS: "94",
    Kind.AGENT: "32",
}
_BOLD: Final = "1"
_ALARM: Final = "1;31"
_ASCII: Final = str.maketrans(
    {"█": "#", "▌": "#", "▐": "#", "░": ".", "┊": ":", "◂": "<", "▸": ">", "─": "-", "·": "-"}
    | {"×": "x", "◀": "<", "✗": "x", "✂": "!", "…": "."}
)


def render(
    spans: Iterable[SpanRecord], *, width: int = 100, colour: bool = False, ascii_only: bool = False
) -> str:
    """Draw one call.

    Args:
        spans: The spans of one trace, in any order. Missing ones leave gaps, nothing else.
        width: Columns to use, at least 60; made for 80 and more.
        colour: Whether to colour with ANSI escape sequences.
        ascii_only: Whether to do without block characters, for outputs that cannot encode them.

    Returns:
        Lines that each end in a newline; nothing for no spans. No line holds content (what was
        said, prompted, or passed to and returned by tools), only names, durations and counts.
    """
    call = layout(spans)
    if call is None:
        return ""
    text = _Pen(call, max(width, _NARROWEST), colour=colour).draw()
    return text.translate(_ASCII).encode("ascii", "replace").decode() if ascii_only else text


class _Pen:
    """Draws one call, with columns that fit all of it."""

    def __init__(self, call: Call, width: int, *, colour: bool) -> None:
        self._call = call
        self._width = width
        self._colour = colour
        rows = [*call.lanes, *(row for turn in call.turns for row in turn.rows)]
        labels = max((len(row.label) for row in rows), default=0)
        self._label_width = min(labels, width // 4)
        notes = max((len(_note_text(row.notes)) for row in rows), default=0)
        gaps = 2 + 2 + 2  # before the label, the bars and the notes
        self._bar_width = max(10, width - self._label_width - _DURATION_WIDTH - notes - gaps)

    def draw(self) -> str:
        call = self._call
        lines = [
            *(self._paint(line, _BOLD) for line in wrap_items(call.header, self._width)),
            *call.remarks,
        ]
        if call.lanes:
            lines += ["", self._axis(call.start_ns, call.end_ns, call.start_ns)]
            lines += [self._row(row, call.start_ns, call.end_ns, ()) for row in call.lanes]
        if call.opening:
            lines += ["", *self._lines(call.opening)]
        for turn in call.turns:
            lines += ["", *self._turn(turn)]
        if call.closing:
            lines += ["", *self._lines(call.closing)]
        return "\n".join([line.rstrip() for line in lines]) + "\n"

    def _turn(self, turn: Turn) -> list[str]:
        head = f"── turn {turn.index} ── {self._offset(turn.start_ns)} ── {turn.title} "
        lines = [self._paint(head.ljust(self._width, "─"), _BOLD)]
        if turn.wait:
            parts = part_texts(turn.wait, f" {_NOTES[Note.SLOWEST]}")
            lines += self._items(parts)
        lines += self._items(turn.remarks)
        start_ns, end_ns = turn.axis
        if turn.rows:
            lines.append(self._axis(start_ns, end_ns, turn.zero_ns))
        marks = (turn.wait.start_ns, turn.wait.end_ns) if turn.wait else ()
        return lines + [self._row(row, start_ns, end_ns, marks) for row in turn.rows]

    def _lines(self, steps: Sequence[Line]) -> list[str]:
        lines = []
        for line in steps:
            head = f"── {line.label} ── {self._offset(line.start_ns)} ── "
            lines += self._items(line.items, first=head)
        return lines

    def _row(self, row: Row, start_ns: int, end_ns: int, marks: Sequence[int]) -> str:
        label = row.label
        if len(label) > self._label_width:
            label = label[: self._label_width - 1] + "…"
        bars = _bar_text(row, start_ns, end_ns, self._bar_width, marks)
        notes = _note_text(row.notes)
        alarm = Note.SLOWEST in row.notes or Note.FAILED in row.notes
        return (
            f"  {label:<{self._label_width}}  {self._paint(bars, _COLOURS[row.kind])}"
            f"{duration_text(row.seconds):>{_DURATION_WIDTH}}"
            f"  {self._paint(notes, _ALARM) if alarm else notes}"
        )

    def _axis(self, start_ns: int, end_ns: int, zero_ns: int) -> str:
        cells = [" "] * self._bar_width
        free_from = 0
        for at_ns, text in ticks(start_ns, end_ns, zero_ns, self._bar_width):
            column = _column(at_ns, start_ns, end_ns, self._bar_width)
            if free_from <= column <= self._bar_width - len(text):
                cells[column : column + len(text)] = text
                free_from = column + len(text) + 1
        return " " * (self._label_width + 4) + "".join(cells)

    def _offset(self, at_ns: int) -> str:
        return f"at {duration_text(max(0, at_ns - self._call.start_ns) / NS_PER_S)}"

    def _items(self, items: Sequence[str], indent: str = "   ", first: str = "") -> list[str]:
        room = self._width - len(indent)
        if not first:
            return [indent + line for line in wrap_items(items, room)]
        head, *rest = wrap_items(items, room, self._width - len(first))
        return [first + head, *(indent + line for line in rest)]

    def _paint(self, text: str, code: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour and text.strip() else text


def _column(at_ns: int, start_ns: int, end_ns: int, columns: int) -> int:
    return min(columns - 1, max(0, (at_ns - start_ns) * columns // max(1, end_ns - start_ns)))


def _bar_text(row: Row, start_ns: int, end_ns: int, columns: int, marks: Sequence[int]) -> str:
    """The bars of a row, to half a column; an arrow where a bar goes on beyond the axis."""
    halves = [False] * (columns * 2)
    for bar_start, bar_end in row.bars:
        if bar_end < start_ns or bar_start > end_ns:
            continue
        first = _column(bar_start, start_ns, end_ns, columns * 2)
        last = _column(bar_end - 1, start_ns, end_ns, columns * 2)
        halves[first : max(first, last) + 1] = [True] * (max(first, last) + 1 - first)
    full = "░" if row.kind is Kind.WAIT else "█"
    glyphs = {(True, True): full, (True, False): "▌", (False, True): "▐", (False, False): " "}
    if row.kind is Kind.WAIT:
        glyphs |= {(True, False): full, (False, True): full}
    cells = [glyphs[halves[2 * i], halves[2 * i + 1]] for i in range(columns)]
    for at_ns in marks:
        column = _column(at_ns, start_ns, end_ns, columns)
        if cells[column] == " ":
            cells[column] = "┊"
    if any(bar_start < start_ns for bar_start, _ in row.bars):
        cells[0] = "◂"
    if any(bar_end > end_ns for _, bar_end in row.bars):
        cells[-1] = "▸"
    return "".join(cells)


def _note_text(notes: Sequence[Note]) -> str:
    return " ".join(_NOTES[note] for note in notes)
