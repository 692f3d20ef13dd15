# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""What docs/kpis.md and the recipes' page name exists: metrics, labels, values, recorded series."""

from __future__ import annotations

import re

import pytest

from callspan import business, semconv
from callspan.business import declare
from callspan.call.declarations import Declarations
from kit.docs import ROOT, names_in, queries_on, scraped_name, series_names

PAGE = (ROOT / "docs" / "kpis.md").read_text()
RECIPES = (ROOT / "examples" / "recipes" / "README.md").read_text()
RULES = (ROOT / "collector-config" / "prometheus" / "rules" / "agent-kpis.yaml").read_text()
QUERIES = queries_on(PAGE)
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))

STANDARD = (
    "Conversion rate",
    "Containment",
    "Transfer rate",
    "Abandonment",
    "Average handle time",
    "First response",
    "Tool reliability",
    "Interruptions per call",
    "Cost per call",
    "Cost per conversion",
    "Revenue per call",
)


def declared_on_page() -> Declarations:
    """What the page's own code declares."""
    lines = re.findall(r"^business\.declare_\w+\(.*\)$", PAGE, re.MULTILINE)
    assert len(lines) == 2
    declared = Declarations()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(declare, "declared", declared)
        exec("\n".join(lines), {"business": business})
    return declared


DECLARED = declared_on_page()
METRICS = (*semconv.METRICS, *(each.metric for each in DECLARED.conversions.values()))
SERIES = {
    name: {*metric.labels, *(DECLARED.labels if metric.of_call else ()), "le"}
    for metric in METRICS
    for name in series_names(metric)
}
"""The labels that each series can have."""
VALUES = {
    semconv.L_OUTCOME: set(DECLARED.all_outcomes),
    semconv.L_STATUS: {*semconv.TOOL_STATUSES, *semconv.JOB_STATUSES},
    **DECLARED.labels,
}


def test_every_standard_figure_has_a_row_a_section_and_a_query() -> None:
    for name in STANDARD:
        assert f"| [{name.lower()}](#{name.lower().replace(' ', '-')}) |" in PAGE
        assert "```promql" in SECTIONS[name], name


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_series_and_labels_that_exist(query: str) -> None:
    """Each label is one that all of the query's series have, or the match finds nothing."""
    names = names_in(query)
    assert names
    assert names <= SERIES.keys()
    grouped = re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", query)
    for label in {label for group in grouped for label in re.findall(r"\w+", group)}:
        assert any(label in SERIES[name] for name in names), label
    for name, matchers in re.findall(r"\b(agent_\w+)\{([^}]*)\}", query):
        for label, values in re.findall(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"', matchers):
            assert label in SERIES[name]
            assert set(values.split("|")) <= VALUES[label]


@pytest.mark.parametrize("query", QUERIES)
def test_both_sides_of_a_division_have_the_same_labels(query: str) -> None:
    """Or they are matched by what they have in common."""
    if " / " not in query or " on (" in query or "/ 3600" in query:
        return
    left, right = query.split(" / ")
    by = [re.search(r"\bby \(([^)]*)\)", side) for side in (left, right)]
    assert len({match and match[1] for match in by}) == 1


def test_every_recorded_name_is_recorded() -> None:
    recorded = set(re.findall(r"record: (\S+)", RULES))
    named = set(re.findall(r"`(agent\w*:\w+:\w+)`", PAGE))
    assert len(named) == len(STANDARD)
    assert named <= recorded


def test_containment_leaves_out_what_its_rule_leaves_out() -> None:
    """Two definitions of one word would be worse than none."""
    for matcher in re.findall(r"outcome!~?\"[^\"]*\"", SECTIONS["Containment"]):
        assert matcher in RULES


@pytest.mark.parametrize("page", [PAGE, RECIPES], ids=["kpis", "recipes"])
def test_every_name_in_the_text_exists(page: str) -> None:
    """Metrics; variables and functions are looked for on all pages."""
    known = {*SERIES, *(scraped_name(metric) for metric in METRICS)}
    for name in re.findall(r"`(agent_\w+)`", page):
        assert name in known, name


def test_the_readmes_formulas_are_the_pages() -> None:
    """One definition of each figure, wherever it is read."""
    formulas = queries_on((ROOT / "README.md").read_text())
    assert formulas
    on_page = {" ".join(query.split()) for query in QUERIES}
    assert {" ".join(formula.split()) for formula in formulas} <= on_page
