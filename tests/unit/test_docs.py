# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""Generated tables are what the code says, and queries of docs/metrics.md ask for what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from callspan import semconv
from kit.docs import ROOT, generate, names_in, queries_on, series_names

PAGE = (ROOT / "docs" / "metrics.md").read_text()


@pytest.mark.parametrize("page", generate.PAGES, ids=lambda page: page.name)
def test_tables_are_what_make_docs_writes(page: Path) -> None:
    text = page.read_text()
    assert generate.generated(text) == text, f"{page.relative_to(ROOT)}: run make docs"


def test_each_table_is_on_a_page() -> None:
    """A marker that is misspelt, or not closed, would leave a table as it was for good."""
    marked = [
        name
        for page in generate.PAGES
        for name in re.findall(r"<!-- generated: (.*?) -->\n\|", page.read_text())
    ]
    assert sorted(marked) == sorted(generate.TABLES)
    closed = [page.read_text().count("<!-- end -->") for page in generate.PAGES]
    assert sum(closed) == len(marked)


def test_a_table_that_has_changed_is_written_anew() -> None:
    """A row more, a row less, and what stands around the table is left alone."""
    table = "".join(f"{row}\n" for row in generate.TABLES["metrics"]())
    changed = PAGE.replace(table, "| old |\n")
    assert changed != PAGE
    assert generate.generated(changed) == PAGE


QUERIES = queries_on(PAGE) + queries_on((ROOT / "README.md").read_text())
BOOKINGS = semconv.conversion_metric("bookings", "")
"""A conversion as the page's queries have it declared."""
KNOWN = {name for metric in (*semconv.METRICS, BOOKINGS) for name in series_names(metric)} | {
    "target_info"
}


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_metrics_that_exist(query: str) -> None:
    names = names_in(query)
    assert names
    assert names <= KNOWN


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_labels_that_exist(query: str) -> None:
    """A misspelled label matches nothing, silently."""
    labels = {label for metric in semconv.METRICS for label in metric.labels}
    of_prometheus = {"le", "job", "instance", "service_version"}
    matched = re.findall(r"[{,]\s*(\w+)\s*(?:=|!=|=~|!~)", query)
    grouped = re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", query)
    listed = {label for group in grouped for label in re.findall(r"\w+", group)}
    assert set(matched) | listed <= labels | of_prometheus


def test_the_panels_of_the_tutorial_are_all_there() -> None:
    used = set().union(*(names_in(query) for query in QUERIES))
    assert {
        "agent_sessions_total",
        "agent_session_duration_seconds_bucket",
        "agent_turn_latency_seconds_bucket",
        "agent_tool_calls_total",
    } <= used


def test_every_stage_is_explained() -> None:
    for stage in semconv.STAGES:
        assert f"\n| `{stage}` | for " in PAGE
