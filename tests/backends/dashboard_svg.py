# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Draws a dashboard's panels from the results of their queries, for the README.

Not Grafana, which cannot be installed here, and not like it in every line: the places, titles,
units and series are the dashboard's, the values are Prometheus's, the strokes are ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from typing import Any, Final

from backends.grafana import Line, View

COLUMN, ROW, GAP, PAD = 50, 30, 8, 12
"""Pixels: of a 24th of the width, of a unit of height, between panels, within them."""
CAPTION_HEIGHT: Final = 34
_LEGEND_ROW: Final = 18
_NAME_HEIGHT: Final = 12
"""Pixels that the name of a row needs, so as not to stand in its neighbour's."""
COLOURS: Final = (
    "#3d71d9",
    "#e0752d",
    "#37872d",
    "#c4162a",
    "#8f3bb8",
    "#b58900",
    "#1f9e9e",
    "#7a7a7a",
    "#d04a8b",
)
_STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:#24292e}.title{font-weight:600;font-size:13px}"
    ".figure{font-size:26px;font-weight:600}.dim{fill:#6a737d;font-size:11px}"
    ".card{fill:#fff;stroke:#d8dbe0}.grid{stroke:#e4e7eb}"
)

Exemplar = tuple[float, float]
"""Unix seconds and value."""


@dataclass(frozen=True)
class Drawn:
    """A panel and what its queries gave.

    Attributes:
        panel: As the dashboard's JSON has it.
        title: Its title, variables filled in.
        lines: The series, by query.
        exemplars: Single values that lead to traces.
    """

    panel: Mapping[str, Any]
    title: str
    lines: Sequence[Line]
    exemplars: Sequence[Exemplar] = ()

    @property
    def unit(self) -> str:
        """The unit of its values, as Grafana calls it."""
        return str(self.panel["fieldConfig"]["defaults"]["unit"])

    @property
    def of_buckets(self) -> bool:
        """Whether its series are the cumulative buckets of a histogram."""
        return any(target.get("format") == "heatmap" for target in self.panel["targets"])


@dataclass(frozen=True)
class Box:
    """A place to draw in, in pixels."""

    x: float
    y: float
    width: float
    height: float


def draw(panels: Sequence[Drawn], rows: Iterable[Mapping[str, Any]], view: View, why: str) -> str:
    """Return an SVG of a dashboard.

    Args:
        panels: Those that are drawn.
        rows: The lines between sections, as the JSON has them.
        view: The range that the queries were evaluated for.
        why: The caption: what was measured, and who drew it.
    """
    places = [each.panel["gridPos"] for each in panels]
    height = max(place["y"] + place["h"] for place in places) * ROW + CAPTION_HEIGHT
    width = 24 * COLUMN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        f"<title>{escape(why)}</title><style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#f4f5f7"/>',
    ]
    for row in rows:
        y = row["gridPos"]["y"] * ROW + 20
        parts.append(_text(GAP, y, row["title"], "title"))
    for each in panels:
        parts += _panel(each, view)
    parts.append(_text(GAP, height - 13, why, "dim"))
    return "\n".join([*parts, "</svg>", ""])


def value_text(value: float, unit: str) -> str:
    """Return a value as a reader wants it: three digits, and the unit."""
    if unit == "percentunit":
        return f"{_digits(100 * value)} %"
    if unit == "currencyUSD":
        return f"${_digits(value)}"
    if unit == "s":
        return f"{_digits(value)} s"
    return _digits(value) + unit.removeprefix("suffix:") if unit != "short" else _digits(value)


def by_bucket(lines: Sequence[Line]) -> list[tuple[str, dict[float, float]]]:
    """Return how many values each bucket holds at each time, from what is up to its bound."""
    sorted_lines = sorted(lines, key=lambda line: float(line.labels["le"]))
    below: dict[float, float] = {}
    buckets = []
    for line in sorted_lines:
        points = dict(line.points)
        held = {at: max(0.0, value - below.get(at, 0.0)) for at, value in points.items()}
        buckets.append((line.labels["le"], held))
        below = points
    return buckets


def _panel(drawn: Drawn, view: View) -> list[str]:
    place = drawn.panel["gridPos"]
    x, y = place["x"] * COLUMN + GAP / 2, place["y"] * ROW + GAP / 2
    width, height = place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
    box = Box(x + PAD, y + 30, width - 2 * PAD, height - 38)
    kind = drawn.panel["type"]
    if kind == "stat":
        inside = _stat(drawn, box)
    elif kind == "bargauge":
        inside = _columns(drawn, box) if drawn.of_buckets else _bars(drawn, box)
    elif kind == "heatmap":
        inside = _heatmap(drawn, box, view)
    else:
        inside = _graph(drawn, box, view)
    return [
        f'<rect class="card" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="3"/>',
        _text(x + PAD, y + 19, drawn.title, "title"),
        *inside,
    ]


def _stat(drawn: Drawn, box: Box) -> list[str]:
    shown = [line for line in drawn.lines if line.points]
    width = box.width / max(1, len(shown))
    parts = []
    for number, line in enumerate(shown):
        x = box.x + number * width
        figure = value_text(_rounded(line.points[-1][1], drawn.panel), drawn.unit)
        parts.append(_text(x, box.y + 36, figure, "figure"))
        parts.append(_text(x, box.y + 60, line.name, "dim"))
    return parts


def _bars(drawn: Drawn, box: Box) -> list[str]:
    values = [(line.name or "(none)", line.points[-1][1]) for line in drawn.lines if line.points]
    most = max(value for _, value in values) or 1
    height = min(34.0, box.height / len(values))
    parts = []
    for number, (name, value) in enumerate(values):
        y, long = box.y + number * height, (box.width - 170) * value / most
        parts.append(_text(box.x, y + height / 2 + 4, name))
        parts.append(_rectangle(Box(box.x + 90, y + 4, long, height - 8), COLOURS[0]))
        parts.append(_text(box.x + 98 + long, y + height / 2 + 4, value_text(value, drawn.unit)))
    return parts


def _columns(drawn: Drawn, box: Box) -> list[str]:
    held = [(le, list(values.values())[-1]) for le, values in by_bucket(drawn.lines)]
    most = max(value for _, value in held) or 1
    width, room = box.width / len(held), box.height - 40
    parts = []
    for number, (le, value) in enumerate(held):
        x, high = box.x + number * width, room * value / most
        parts.append(_rectangle(Box(x + 3, box.y + 18 + room - high, width - 6, high), COLOURS[0]))
        parts.append(
            _text(x + width / 2, box.y + 13 + room - high, f"{value:.0f}", anchor="middle")
        )
        name = "more" if le == "+Inf" else f"{float(le):g}"
        parts.append(_text(x + width / 2, box.y + box.height - 6, name, "dim", anchor="middle"))
    return parts


def _graph(drawn: Drawn, box: Box, view: View) -> list[str]:
    custom = drawn.panel["fieldConfig"]["defaults"].get("custom", {})
    stacked = custom.get("stacking", {}).get("mode") == "normal"
    lines = [line for line in drawn.lines if line.points]
    if stacked:
        lines = _stacked([line for line in lines if any(value for _, value in line.points)])
    legend = _legend([line.name for line in lines], box)
    room = box.height - 24 - _LEGEND_ROW * len(legend)
    plot = Box(box.x + 62, box.y, box.width - 62, room)
    reached = max((value for line in lines for _, value in line.points), default=0)
    most = drawn.panel["fieldConfig"]["defaults"].get("max") or _ceiling(reached)
    parts = _axes(plot, most, view, drawn.unit)
    for number, line in reversed(list(enumerate(lines))):
        colour = COLOURS[number % len(COLOURS)]
        points = [_at(plot, view, most, point) for point in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        if stacked:
            floor = f"{plot.y + plot.height:.1f}"
            closed = f"{points[0][0]:.1f},{floor} {path} {points[-1][0]:.1f},{floor}"
            parts.append(f'<polygon points="{closed}" fill="{colour}"/>')
        else:
            parts.append(
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            )
    parts += _diamonds(drawn.exemplars, plot, view, most)
    return [*parts, *legend]


def _stacked(lines: Sequence[Line]) -> list[Line]:
    """Return each line on top of those before it."""
    times = sorted({at for line in lines for at, _ in line.points})
    height = dict.fromkeys(times, 0.0)
    stack = []
    for line in lines:
        for at, value in line.points:
            height[at] += value
        stack.append(Line(line.name, line.labels, sorted(height.items())))
    return stack


def _heatmap(drawn: Drawn, box: Box, view: View) -> list[str]:
    rows = by_bucket(drawn.lines)
    plot = Box(box.x + 62, box.y, box.width - 62, box.height - 42)
    times = sorted({at for _, values in rows for at in values})
    step = min((b - a for a, b in pairwise(times)), default=1)
    most = max(value for _, values in rows for value in values.values()) or 1
    height, width = plot.height / len(rows), plot.width * step / (view.end - view.start)
    parts = _times(plot, view)
    # where rows are thin, as many are named as there is room for
    named = math.ceil(_NAME_HEIGHT / height)
    for number, (le, values) in enumerate(rows):
        y = plot.y + plot.height - (number + 1) * height
        if number % named == 0:
            name = "more" if le == "+Inf" else f"{float(le):g} s"
            parts.append(_text(plot.x - 6, y + height - 2, name, "dim", anchor="end"))
        for at, value in values.items():
            if value:
                x, _ = _at(plot, view, 1, (at, 0))
                cell = Box(x - width, y, width, height - 1)
                parts.append(_rectangle(cell, COLOURS[0], 0.15 + 0.85 * value / most))
    for at, value in drawn.exemplars:
        number = next(n for n, (le, _) in enumerate(rows) if value <= float(le))
        x, _ = _at(plot, view, 1, (at, 0))
        parts.append(_diamond(x, plot.y + plot.height - (number + 0.5) * height))
    y = box.y + box.height - 6
    return [*parts, _diamond(box.x + 5, y - 4), _text(box.x + 14, y, "a turn; leads to its trace")]


def _diamonds(exemplars: Iterable[Exemplar], plot: Box, view: View, most: float) -> list[str]:
    return [
        _diamond(*_at(plot, view, most, (at, value))) for at, value in exemplars if value <= most
    ]


def _diamond(x: float, y: float) -> str:
    return f'<path d="M{x:.1f} {y - 4:.1f}l4 4l-4 4l-4 -4z" fill="#fff" stroke="#24292e"/>'


def _axes(plot: Box, most: float, view: View, unit: str) -> list[str]:
    parts = _times(plot, view)
    for part in (0, 0.5, 1):
        y = plot.y + plot.height * (1 - part)
        parts.append(
            f'<line class="grid" x1="{plot.x:g}" x2="{plot.x + plot.width:g}" '
            f'y1="{y:g}" y2="{y:g}"/>'
        )
        label = value_text(most * part, unit)
        parts.append(_text(plot.x - 6, y + 4, label, "dim", anchor="end"))
    return parts


def _times(plot: Box, view: View) -> list[str]:
    parts = []
    for part, anchor in ((0, "start"), (0.5, "middle"), (1, "end")):
        at = datetime.fromtimestamp(view.start + part * (view.end - view.start), UTC)
        x, y = plot.x + part * plot.width, plot.y + plot.height + 14
        parts.append(_text(x, y, f"{at:%H:%M:%S}", "dim", anchor=anchor))
    return parts


def _legend(names: Sequence[str], box: Box) -> list[str]:
    """Return the rows of a legend, the last one at the bottom of a box."""
    rows: list[str] = [""]
    x = box.x
    for number, name in enumerate(names):
        width = 30 + 6.6 * len(name)
        if x + width > box.x + box.width and x > box.x:
            x = box.x
            rows.append("")
        colour = COLOURS[number % len(COLOURS)]
        rows[-1] += _rectangle(Box(x, -9, 10, 10), colour) + _text(x + 14, 0, name)
        x += width
    bottom = box.y + box.height - 6
    return [
        f'<g transform="translate(0 {bottom - _LEGEND_ROW * above:g})">{row}</g>'
        for above, row in enumerate(reversed(rows))
    ]


def _at(plot: Box, view: View, most: float, point: tuple[float, float]) -> tuple[float, float]:
    x = plot.x + plot.width * (point[0] - view.start) / (view.end - view.start)
    return max(plot.x, x), plot.y + plot.height * (1 - min(1, point[1] / most))


def _ceiling(value: float) -> float:
    """Return the next round number: 1, 2 or 5 by a power of ten."""
    if value <= 0:
        return 1.0
    power = math.pow(10, math.floor(math.log10(value)))
    return next(digit * power for digit in (1, 2, 5, 10) if value <= digit * power * 1.000001)


def _rounded(value: float, panel: Mapping[str, Any]) -> float:
    """Return a value with as many places as the panel shows."""
    defaults = panel["fieldConfig"]["defaults"]
    decimals: float | None = defaults.get("decimals")
    if decimals is None:
        return value
    return round(value, int(decimals) + (2 if defaults["unit"] == "percentunit" else 0))


def _digits(value: float) -> str:
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    places = 2 - math.floor(math.log10(abs(value)))
    text = f"{value:.{min(places, 5)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _rectangle(box: Box, colour: str, opacity: float = 1.0) -> str:
    return (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" fill="{colour}" fill-opacity="{opacity:.2f}"/>'
    )


def _text(x: float, y: float, text: str, kind: str = "", *, anchor: str = "start") -> str:
    shown = f' class="{kind}"' if kind else ""
    placed = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{shown}{placed}>{escape(text)}</text>'
