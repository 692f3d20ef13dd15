# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Histograms whose percentiles are read: bounds are near where it matters, none is taken away."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from callspan import semconv
from callspan.metrics.worker.naming import family_name
from callspan.semconv import Metric

ROOT: Final = Path(__file__).parents[2]
NAMED: Final = re.compile(r"""(agent_\w+)_bucket\{[^}]*\ble=~?\\*"([\d.]+)""")
"""A series in a query, also one within a string of JSON, and the bound that it is asked for."""


class Bounded(NamedTuple):
    """What a histogram's bounds have to be.

    Attributes:
        metric: The histogram.
        released: Bounds that queries of users may name.
        at_least: Where the range begins in which percentiles are to be near the truth.
        at_most: Where it ends.
        ratio: Of neighbouring bounds in that range, at most.
    """

    metric: Metric
    released: set[float]
    at_least: float
    at_most: float
    ratio: float


HISTOGRAMS: Final = (
    Bounded(
        semconv.M_TURN_LATENCY,
        {0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0},
        *(0.2, 6, 1.25),
    ),
    Bounded(
        semconv.M_TURN_STAGE_DURATION,
        {0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0},
        *(0.2, 6, 1.25),
    ),
    Bounded(
        semconv.M_FIRST_RESPONSE_LATENCY,
        {0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0},
        *(0.2, 6, 1.25),
    ),
    Bounded(
        semconv.M_TOOL_CALL_DURATION,
        {0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30},
        *(0.1, 10, 1.5),
    ),
)
each_histogram = pytest.mark.parametrize(
    "bounded", HISTOGRAMS, ids=lambda bounded: bounded.metric.name
)


@each_histogram
def test_no_bound_is_taken_away(bounded: Bounded) -> None:
    """A query that names one with ``le`` would read nothing, silently."""
    assert bounded.released <= set(bounded.metric.bounds)


@each_histogram
def test_neighbours_are_near_where_callers_wait(bounded: Bounded) -> None:
    """A percentile is off by their ratio at most."""
    bounds = bounded.metric.bounds
    assert list(bounds) == sorted(set(bounds))
    within = [bound for bound in bounds if bounded.at_least <= bound <= bounded.at_most]
    assert (within[0], within[-1]) == (bounded.at_least, bounded.at_most)
    far = [(low, high) for low, high in pairwise(within) if high > low * bounded.ratio * (1 + 1e-9)]
    assert far == []


def named_bounds() -> set[tuple[str, str, float]]:
    """Return the bounds that shipped queries name, with file and metric."""
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    files += [path for path in (ROOT / "collector-config").rglob("*") if path.is_file()]
    return {
        (str(path.relative_to(ROOT)), name, float(bound))
        for path in files
        if path.suffix in (".md", ".yaml", ".json")
        for name, bound in NAMED.findall(path.read_text())
    }


def test_a_bound_that_a_query_names_is_one() -> None:
    """Of a share below a bound that is none, nothing is shown."""
    bounds = {
        family_name(metric.name, metric.unit, "histogram"): metric.bounds
        for metric in semconv.METRICS
        if metric.kind == "histogram"
    }
    named = named_bounds()
    places = {path.split("/")[0] + Path(path).suffix for path, _, _ in named}
    assert places == {"docs.md", "collector-config.yaml", "collector-config.json"}
    assert [each for each in named if each[2] not in bounds[each[1]]] == []
