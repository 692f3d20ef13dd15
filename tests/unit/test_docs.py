# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""What docs/metrics.md says is what the code does: its tables and the names in its queries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from callspan import semconv
from callspan.livekit import metric_fields
from callspan.livekit.metric_fields import FIELD_MAPPINGS, Home
from callspan.metrics.worker.naming import family_name
from callspan.semconv import Metric

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text()
README = (ROOT / "README.md").read_text()


def scraped_name(metric: Metric) -> str:
    """The name of a metric on a scrape."""
    name = family_name(metric.name, metric.unit, metric.kind)
    return f"{name}_total" if metric.kind == "counter" else name


def series_names(metric: Metric) -> Iterator[str]:
    """The names that a query can use."""
    name = scraped_name(metric)
    if metric.kind == "histogram":
        yield from (f"{name}_{part}" for part in ("bucket", "sum", "count"))
    else:
        yield name


def metrics_table() -> str:
    """The table of our own metrics."""
    rows = [
        "| on a scrape | instrument | kind, unit | labels | what it says |",
        "|---|---|---|---|---|",
    ]
    for metric in semconv.METRICS:
        kind = f"{metric.kind}, `{metric.unit}`" if metric.unit else metric.kind
        if metric.bounds:
            kind += ": " + " ".join(f"{bound:g}" for bound in metric.bounds)
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(
            f"| `{scraped_name(metric)}` | `{metric.name}` | {kind} | {labels} "
            f"| {metric.description} |"
        )
    return "\n".join(rows)


def glance_table() -> str:
    """The README's table of our own metrics."""
    rows = ["| on a scrape | labels | what it says |", "|---|---|---|"]
    for metric in semconv.METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) + " +" * metric.of_call
        rows.append(f"| `{scraped_name(metric)}` | {labels} | {metric.description} |")
    return "\n".join(rows)


def fields_table() -> str:
    """The table of the homes of LiveKit's metrics fields."""
    rows = ["| field | where it goes |", "|---|---|"]
    for name, fields in FIELD_MAPPINGS.items():
        component = metric_fields._COMPONENTS[name]
        for path, home in fields.items():
            rows.append(f"| `{name}.{path}` | {'; '.join(places(home, component))} |")
    return "\n".join(rows)


def places(home: Home, component: str) -> Iterator[str]:
    """Where a field of a component's metrics goes, in words."""
    if home.usage is not None:
        less = "less, in " if home.sign < 0 else ""
        yield f"{less}`{semconv.USAGE_PREFIX}{component}.{home.usage}`"
    if home.metric is not None:
        # a metric of many stages or parts: the field is one of them
        part = next(
            (key for key in (semconv.L_STAGE, semconv.L_PART) if key in home.metric.labels), None
        )
        chosen = "" if part is None else f'{{{part}="{home.label}"}}'
        yield f"`{scraped_name(home.metric)}{chosen}`"
    elif home.label is not None:
        yield f"label `{home.label}`"
    if home.span is not None:
        span, attribute = home.span
        yield f"`{attribute}` on span `{span}`"
    if home.time_of is not None:
        spelled = home.time_of if " " in home.time_of else f"`{home.time_of}`"
        yield f"the time of {spelled}"


def table_on_page(title: str) -> str:
    """What stands between a comment and the next, on the page or in the README."""
    both = PAGE + README
    found = re.search(rf"<!-- {re.escape(title)} -->\n(.*?)\n?<!-- end -->", both, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("title", "table"),
    [
        ("table of metrics: from semconv.METRICS", metrics_table()),
        ("table of fields: from livekit.metric_fields.FIELD_MAPPINGS", fields_table()),
        ("metrics at a glance: from semconv.METRICS", glance_table()),
    ],
    ids=["metrics", "fields", "glance"],
)
def test_a_table_is_what_the_code_says(title: str, table: str) -> None:
    assert table_on_page(title) == table, f"put this under <!-- {title} -->:\n{table}"


def names_in(query: str) -> set[str]:
    """The metric names of a PromQL query: what is left without labels, strings and ranges."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(?:by|on|group_left) \([^)]*\)", " ", query)
    return set(re.findall(r"\b(?:agent|target|gen_ai|lk)_\w+", bare))


QUERIES = re.findall(r"```promql\n(.*?)```", PAGE, re.DOTALL)
QUERIES += [
    line
    for block in re.findall(r"```promql\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if not line.startswith("#")
]
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
