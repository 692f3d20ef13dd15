# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A dashboard's queries as Grafana sends them: variables filled in, range and step worked out.

Grafana itself is not installable from Debian or PyPI. What it does to a query before Prometheus
sees it is little, is documented, and is all that is repeated here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from backends.routes import RoutePrometheus

COMMITTED: Final = Path(__file__).parents[2] / "collector-config" / "grafana" / "json"

_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_LABEL: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_AUTO: Final = "$__auto_interval_window"
_ALL: Final = "$__all"
_SCRAPE_S: Final = 15
"""The scrape interval of a data source that is not told another."""
_NOON_S: Final = 12 * 3600
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class View:
    """What somebody looks at.

    Attributes:
        start: Of the dashboard's range, Unix seconds.
        end: Of the range.
        chosen: What is chosen in variables; the others have their defaults.
        width: Of a panel, in pixels: there are as many points in a graph at most.
    """

    start: float
    end: float
    chosen: Mapping[str, str] = field(default_factory=dict)
    width: int = 600


@dataclass(frozen=True)
class Target:
    """One query of a panel, as the dashboard has it."""

    dashboard: str
    panel: str
    ref: str
    expression: str
    legend: str
    instant: bool
    exemplar: bool
    today: bool

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel} ({self.ref})"


@dataclass(frozen=True)
class Line:
    """A series of a query's result.

    Attributes:
        name: By the legend of the query.
        labels: Its labels.
        points: Unix seconds and value, those that are no number left out.
    """

    name: str
    labels: Mapping[str, str]
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class Exemplar:
    """A single value that leads to its trace.

    Attributes:
        at: Unix seconds.
        value: What was recorded.
        trace_id: Of the trace.
        span_id: Of the span in it.
    """

    at: float
    value: float
    trace_id: str
    span_id: str


class Dashboard:
    """A dashboard as its JSON has it.

    Args:
        name: Of the committed file, without its suffix.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.json: dict[str, Any] = json.loads((COMMITTED / f"{name}.json").read_text())

    @property
    def panels(self) -> list[dict[str, Any]]:
        """Its panels that show something, as the JSON has them."""
        return [panel for panel in self.json["panels"] if panel["type"] != "row"]

    def targets(self, panel: Mapping[str, Any]) -> list[Target]:
        """Return the queries of one of its panels."""
        return [
            Target(
                dashboard=self.name,
                panel=panel["title"],
                ref=target["refId"],
                expression=target["expr"],
                legend=target.get("legendFormat", ""),
                instant=target["instant"],
                exemplar=target.get("exemplar", False),
                today=panel.get("timeFrom") == "now/d",
            )
            for target in panel["targets"]
        ]

    def evaluate(self, prometheus: RoutePrometheus, target: Target, view: View) -> list[Line]:
        """Return what Prometheus gives for a query, and the names of the series."""
        start, step = self._range(target, view)
        query = self.filled(target.expression, target, view)
        if target.instant:
            answer = prometheus.get("query", query=query, time=view.end)["result"]
        else:
            # Grafana asks for whole steps
            aligned = {
                "start": math.floor(start / step) * step,
                "end": math.floor(view.end / step) * step,
            }
            answer = prometheus.get("query_range", query=query, step=step, **aligned)["result"]
        legend = self.filled(target.legend, target, view)
        return [_line(each, legend) for each in answer]

    def exemplars(self, prometheus: RoutePrometheus, target: Target, view: View) -> list[Exemplar]:
        """Return what Prometheus gives as the exemplars of a query."""
        query = self.filled(target.expression, target, view)
        answer = prometheus.get("query_exemplars", query=query, start=view.start, end=view.end)
        return [
            Exemplar(
                float(each["timestamp"]),
                float(each["value"]),
                each["labels"]["trace_id"],
                each["labels"]["span_id"],
            )
            for series in answer
            for each in series["exemplars"]
        ]

    def filled(self, text: str, target: Target, view: View) -> str:
        """Return a query or a legend with the values of its variables.

        Raises:
            KeyError: If it has a variable that the dashboard does not have.
        """
        values = self._values(target, view)
        return _VARIABLE.sub(lambda match: values[match[1] or match[2]], text)

    def _values(self, target: Target, view: View) -> dict[str, str]:
        start, step = self._range(target, view)
        whole = view.end - start
        values = {
            "__range": f"{math.ceil(whole)}s",
            "__interval": f"{step}s",
            "__rate_interval": f"{max(step + _SCRAPE_S, 4 * _SCRAPE_S)}s",
        }
        for variable in self.json["templating"]["list"]:
            name = variable["name"]
            value = view.chosen.get(name, variable.get("current", {}).get("value", ""))
            if value == _ALL:
                value = variable["allValue"]
            elif value == _AUTO:
                least = _seconds(variable["auto_min"])
                value = f"{max(least, math.ceil(whole / variable['auto_count']))}s"
            values[name] = value
        return values

    @staticmethod
    def _range(target: Target, view: View) -> tuple[float, int]:
        """Return the start of a panel's range, and its step in whole seconds."""
        # the day begins at the midnight of the browser: let it be where it is noon now
        start = view.end - _NOON_S if target.today else view.start
        return start, max(1, math.ceil((view.end - start) / view.width))


def dashboards() -> list[Dashboard]:
    """Return those that are committed."""
    return [Dashboard(path.stem) for path in sorted(COMMITTED.glob("*.json"))]


def _line(series: Mapping[str, Any], legend: str) -> Line:
    labels: dict[str, str] = series["metric"]
    samples = series.get("values") or [series["value"]]
    points = [(float(at), float(value)) for at, value in samples]
    name = _LABEL.sub(lambda match: labels.get(match[1], ""), legend)
    return Line(name, labels, [(at, value) for at, value in points if not math.isnan(value)])


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * _UNITS_S[duration[-1]]
