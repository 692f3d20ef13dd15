# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A call's waterfall as an SVG picture, for documents that no terminal will ever show.

The module is a program, ``python -m`` with its full name: it takes a file of spans as the SDK's
ConsoleSpanExporter writes them (``spans.jsonl > call.svg``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from .layout import Call, layout, ticks, wrap_items
from .span_record import NS_PER_S, SpanRecord, read_json
from .turn import Kind, Note, Row, Turn, duration_text, is_of_turn, part_texts

__all__ = ["main", "render_svg"]

_NARROWEST: Final = 600
_MARGIN: Final = 20
_LABELS: Final = 180
_FIGURES: Final = 64
_NOTES: Final = 96
_ROW: Final = 20
_LETTER: Final = 6.6
"""Pixels that a letter takes on average at 12 px; on the safe side, fonts differ."""
_INK: Final = "#1f2328"
_GREY: Final = "#656d76"
_RULE: Final = "#d1d9e0"
_ALARM: Final = "#cf222e"
_WAITING: Final = "#fff1c2"
_COLOURS: Final = {
    Kind.WAIT: "#e0b83c",
    Kind.USER: "#4a90d9",
    Kind.STT: "#2aa5b8",
    Kind.END_OF_TURN: "#a3acb8",
    Kind.LLM: "#8d6bd6",
    Kind.TOOL: "#d9822b",
    Kind.TTS: "#2e9e8f",
    Kind.AGENT: "#4cae5c",
}
_FONT: Final = "system-ui,-apple-system,'Segoe UI',Helvetica,Arial,'DejaVu Sans',sans-serif"


def render_svg(
    spans: Iterable[SpanRecord], *, width: int = 900, turns: Collection[int] | None = None
) -> str:
    """Draw one call as an SVG document.

    Args:
        spans: The spans of one trace, in any order. Missing ones leave gaps, nothing else.
        width: Pixels, at least 600; the height follows from the call.
        turns: Which turns to draw in detail; default is all.

    Returns:
        The document. It needs no fonts or scripts and holds no content (what was said, prompted,
        or passed to and returned by tools), only names, durations and counts.
    """
    call = layout(spans)
    canvas = _Canvas(max(width, _NARROWEST))
    if call is not None:
        canvas.call(call, turns)
    return canvas.document(call.header[0] if call else "no spans")


class _Canvas:
    """Draws from top to bottom; `_y` is where the next line goes."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._bars = (_MARGIN + _LABELS, width - _MARGIN - _FIGURES - _NOTES)
        self._letters = int((width - 2 * _MARGIN) / _LETTER)
        self._y = _MARGIN
        self._shapes: list[str] = []

    def document(self, title: str) -> str:
        height = self._y + _MARGIN
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{self._width}" height="{height}"'
                f' viewBox="0 0 {self._width} {height}" role="img" font-family="{_FONT}"'
                f' font-size="12" fill="{_INK}">',
                f"<title>{escape(f'Waterfall of a call: {title}')}</title>",
                f'<rect width="{self._width}" height="{height}" rx="6" fill="#ffffff"'
                f' stroke="{_RULE}"/>',
                *self._shapes,
                "</svg>\n",
            ]
        )

    def call(self, call: Call, turns: Collection[int] | None) -> None:
        self._text(_MARGIN, call.header[0], size=16, weight=600)
        self._y += 6
        for line in wrap_items([*call.header[1:], *call.remarks], self._letters):
            self._text(_MARGIN, line, fill=_GREY)
        if call.lanes:
            self._y += 6
            self._chart(call.lanes, call.start_ns, call.end_ns, call.start_ns, None)
        for step in call.opening:
            self._step(call, step.start_ns, step.label, step.items)
        for turn in call.turns:
            if turns is None or turn.index in turns:
                self._turn(call, turn)
        for step in call.closing:
            self._step(call, step.start_ns, step.label, step.items)

    def _turn(self, call: Call, turn: Turn) -> None:
        self._step(call, turn.start_ns, f"turn {turn.index}", [turn.title, *turn.remarks])
        if turn.wait:
            parts = part_texts(turn.wait, " (slowest)")
            for line in wrap_items(parts, self._letters):
                self._text(_MARGIN, line, fill=_GREY)
        window = (turn.wait.start_ns, turn.wait.end_ns) if turn.wait else None
        # The wait itself is the shaded band.
        rows = [row for row in turn.rows if row.kind is not Kind.WAIT]
        self._chart(rows, *turn.axis, turn.zero_ns, window)

    def _step(self, call: Call, at_ns: int, label: str, items: Sequence[str]) -> None:
        self._y += 8
        self._shapes.append(
            f'<line x1="{_MARGIN}" x2="{self._width - _MARGIN}" y1="{self._y}" y2="{self._y}"'
            f' stroke="{_RULE}"/>'
        )
        self._y += 4
        at = duration_text(max(0, at_ns - call.start_ns) / NS_PER_S)
        self._text(self._width - _MARGIN, f"at {at}", fill=_GREY, anchor="end", advance=False)
        self._text(_MARGIN, label, weight=600, advance=False)
        for line in wrap_items(items, self._letters - 26):
            self._text(_MARGIN + 84, line)

    def _chart(
        self,
        rows: Sequence[Row],
        start_ns: int,
        end_ns: int,
        zero_ns: int,
        window: tuple[int, int] | None,
    ) -> None:
        top, bottom = self._y + _ROW, self._y + _ROW * (len(rows) + 1)
        left, right = self._bars
        if window:
            a, b = (self._x(t, start_ns, end_ns) for t in window)
            self._shapes.append(
                f'<rect x="{a:.1f}" y="{top}" width="{b - a:.1f}" height="{bottom - top}"'
                f' fill="{_WAITING}"/>'
            )
        for at_ns, label in ticks(start_ns, end_ns, zero_ns, (right - left) // 7):
            x = self._x(at_ns, start_ns, end_ns)
            self._shapes.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" stroke="{_RULE}"/>'
            )
            self._text(x, label, size=10, fill=_GREY, anchor="middle", advance=False)
        self._y = top
        for row in rows:
            self._row(row, start_ns, end_ns, window)

    def _row(self, row: Row, start_ns: int, end_ns: int, window: tuple[int, int] | None) -> None:
        right = self._bars[1]
        letters = int(_LABELS / _LETTER)
        label = row.label if len(row.label) <= letters else row.label[: letters - 1] + "…"
        self._text(_MARGIN, label, advance=False)
        slowest, failed = Note.SLOWEST in row.notes, Note.FAILED in row.notes
        for bar_start, bar_end in row.bars:
            if bar_start < start_ns:
                self._pointer(self._bars[0] - 2, -5, row.kind)
            if bar_end > end_ns:
                self._pointer(right + 2, 5, row.kind)
            if bar_end < start_ns or bar_start > end_ns:
                continue
            a, b = (self._x(t, start_ns, end_ns) for t in (bar_start, bar_end))
            waited_for = window is None or (bar_end > window[0] and bar_start < window[1])
            outlined = failed or (slowest and waited_for)
            outline = f' stroke="{_ALARM}" stroke-width="1.5"' if outlined else ""
            self._shapes.append(
                f'<rect x="{a:.1f}" y="{self._y + 4}" width="{max(b - a, 1.5):.1f}"'
                f' height="{_ROW - 8}" rx="2" fill="{_COLOURS[row.kind]}"{outline}/>'
            )
        self._text(right + _FIGURES, duration_text(row.seconds), anchor="end", advance=False)
        self._text(
            right + _FIGURES + 10,
            ", ".join(row.notes),
            fill=_ALARM if slowest or failed else _GREY,
        )

    def _pointer(self, x: float, towards: int, kind: Kind) -> None:
        """Says that a bar goes on beyond the axis."""
        self._shapes.append(
            f'<path d="M{x:.1f} {self._y + 6} l{towards} 4 l{-towards} 4 z"'
            f' fill="{_COLOURS[kind]}"/>'
        )

    def _x(self, at_ns: int, start_ns: int, end_ns: int) -> float:
        left, right = self._bars
        share = (at_ns - start_ns) / max(1, end_ns - start_ns)
        return left + min(1.0, max(0.0, share)) * (right - left)

    def _text(
        self,
        x: float,
        text: str,
        *,
        size: int = 12,
        weight: int = 400,
        fill: str = _INK,
        anchor: str = "start",
        advance: bool = True,
    ) -> None:
        self._shapes.append(
            f'<text x="{x:.1f}" y="{self._y + 14}" font-size="{size}" font-weight="{weight}"'
            f' fill="{fill}" text-anchor={quoteattr(anchor)}>{escape(text)}</text>'
        )
        if advance:
            self._y += _ROW


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the picture of a recorded call to standard output.

    Args:
        arguments: Command line arguments; default is the program's own.

    Returns:
        The exit status: 0, or 2 where the file does not hold exactly one call to draw.
    """
    parser = argparse.ArgumentParser(
        prog="waterfall_svg", description="Draw a recorded call as an SVG picture."
    )
    parser.add_argument("file", type=Path, help="spans as ConsoleSpanExporter writes them")
    parser.add_argument("--trace", default="", help="which call: how its trace id begins")
    parser.add_argument("--turn", type=int, action="append", help="draw this turn only; repeatable")
    parser.add_argument("--width", type=int, default=900, help="pixels (default: 900)")
    options = parser.parse_args(arguments)
    try:
        records = list(read_json(options.file.read_text(encoding="utf-8", errors="replace")))
    except OSError as error:
        sys.stderr.write(f"cannot read {options.file}: {error.strerror}; give a file of spans\n")
        return 2
    calls = sorted({r.trace_id for r in records if is_of_turn(r)})
    chosen = [trace_id for trace_id in calls if trace_id.startswith(options.trace)]
    if len(chosen) != 1:
        sys.stderr.write(
            f"{options.file} holds {len(calls)} calls, of which {len(chosen)} begin with"
            f" {options.trace!r}; choose one with --trace: {', '.join(calls) or 'there is none'}\n"
        )
        return 2
    spans = [r for r in records if r.trace_id == chosen[0]]
    sys.stdout.write(render_svg(spans, width=options.width, turns=options.turn))
    return 0


if __name__ == "__main__":
    sys.exit(main())
