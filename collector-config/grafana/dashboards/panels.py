# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The few kinds of panels that the dashboards are made of, each looking the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any, Final

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    StackingMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    VariableOption,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Query = tuple[str, str]
"""PromQL, and the name of each series that it gives; labels in double braces."""
Panel = Any
"""A builder of one of the panel types, which have no common base with the methods used here."""

SHARE: Final = "percentunit"
SECONDS: Final = "s"
DOLLARS: Final = "currencyUSD"
COUNT: Final = "short"

_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
_TAG: Final = "livekit-agents"


def stats(
    title: str,
    *queries: Query,
    unit: str,
    about: str,
    span: int = 4,
    decimals: int | None = None,
    today: bool = False,
) -> Panel:
    """Return a panel of large figures, one for each series.

    Args:
        title: What stands above.
        *queries: Each is evaluated once, at the end of the range.
        unit: Of the figures, as Grafana calls it.
        about: What the figure means.
        span: Width, in 24ths of the dashboard.
        decimals: Places after the point. Default: as many as there is room for.
        today: Whether the panel shows the day so far, whatever the dashboard shows.
    """
    panel = (
        stat.Panel()
        .color_mode(BigValueColorMode.NONE)
        .graph_mode(BigValueGraphMode.NONE)
        .text_mode(BigValueTextMode.VALUE_AND_NAME if len(queries) > 1 else BigValueTextMode.AUTO)
        .reduce_options(_last())
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    if today:
        panel = panel.time_from("now/d")
    return _finished(panel, title, about, unit, span, 4, [_instant(*each) for each in queries])


def graph(
    title: str,
    *queries: Query,
    unit: str,
    about: str,
    span: int = 12,
    stacked: bool = False,
    exemplars: bool = False,
) -> Panel:
    """Return a panel of lines over time.

    Args:
        title: What stands above.
        *queries: Each is evaluated over the range.
        unit: Of the values, as Grafana calls it.
        about: What the lines mean.
        span: Width, in 24ths of the dashboard.
        stacked: Whether the series are parts of a whole.
        exemplars: Whether to mark single values that lead to their traces.
    """
    panel = timeseries.Panel().fill_opacity(30 if stacked else 0).axis_soft_min(0)
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    if unit == SHARE:
        # a conversion is counted when it happens, its call when it ends: for moments there are more
        panel = panel.max(1)
    targets = [_over_time(*each).exemplar(exemplars) for each in queries]
    return _finished(panel, title, about, unit, span, 8, targets)


def bars(
    title: str, expression: str, legend: str, *, unit: str, about: str, span: int = 8
) -> Panel:
    """Return a panel with a bar for each series, over the whole range."""
    panel = bargauge.Panel().orientation(VizOrientation.HORIZONTAL).reduce_options(_last()).min(0)
    return _finished(panel, title, about, unit, span, 6, [_instant(expression, legend)])


def distribution(title: str, expression: str, *, about: str, span: int = 8) -> Panel:
    """Return a panel with a bar for each bucket of a histogram, over the whole range.

    Args:
        title: What stands above.
        expression: How many values there were up to each bound; labelled ``le`` alone.
        about: What the buckets are of.
        span: Width, in 24ths of the dashboard.
    """
    panel = bargauge.Panel().orientation(VizOrientation.VERTICAL).reduce_options(_last()).min(0)
    # in this format Grafana takes from each bucket what the one before it holds
    target = _instant(expression, "{{le}}").format(PromQueryFormat.HEATMAP)
    return _finished(panel.decimals(0), title, about, COUNT, span, 8, [target])


def buckets(title: str, expression: str, *, unit: str, about: str, span: int = 12) -> Panel:
    """Return a panel that shows a histogram over time, with exemplars that lead to traces.

    Args:
        title: What stands above.
        expression: How many values there were up to each bound; labelled ``le`` alone.
        unit: Of the bounds, as Grafana calls it.
        about: What the buckets are of.
        span: Width, in 24ths of the dashboard.
    """
    panel = heatmap.Panel().calculate(False).y_axis(heatmap.YAxisConfig().unit(unit))
    target = _over_time(expression, "{{le}}").format(PromQueryFormat.HEATMAP).exemplar(True)
    return _finished(panel, title, about, COUNT, span, 8, [target])


def rows(
    title: str, columns: Mapping[str, tuple[str, str]], *, about: str, span: int = 24
) -> Panel:
    """Return a table with a row for each set of labels, over the whole range.

    Args:
        title: What stands above.
        columns: PromQL and unit by the name of the column; all give the same labels.
        about: What the rows are.
        span: Width, in 24ths of the dashboard.
    """
    named = list(zip(ascii_uppercase, columns, strict=False))
    renamed = {
        "Value" if len(named) == 1 else f"Value #{letter}": column for letter, column in named
    }
    panel = (
        table.Panel()
        .with_transformation(DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            DataTransformerConfig(
                id_val="organize",
                options={"excludeByName": {"Time": True}, "renameByName": renamed},
            )
        )
    )
    for column, (_, unit) in columns.items():
        panel = panel.override_by_name(column, [DynamicConfigValue(id_val="unit", value=unit)])
    targets = [_instant(query).format(PromQueryFormat.TABLE) for query, _ in columns.values()]
    return _finished(panel, title, about, COUNT, span, 8, targets)


def heading(title: str) -> dashboard.Row:
    """Return a line that begins a section."""
    return dashboard.Row(title)


def page(
    uid: str, title: str, about: str, panels: list[Panel], *variables: Panel
) -> dashboard.Dashboard:
    """Return a dashboard.

    Args:
        uid: What its address ends in, after the project's name.
        title: What stands above.
        about: What it is for.
        panels: From left to right and downwards.
        *variables: What can be chosen above it, beside data source, agents and window.
    """
    made = (
        dashboard.Dashboard(title)
        .uid(f"{_TAG}-{uid}")
        .description(about)
        .tags([_TAG])
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("1m")
        .link(
            dashboard.DashboardLink("Voice agents")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([_TAG])
            .include_vars(True)
            .keep_time(True)
        )
    )
    for variable in (*_common_variables(), *variables):
        made = made.with_variable(variable)
    for number, panel in enumerate(panels, start=1):
        numbered = panel.id(number)
        is_row = isinstance(numbered, dashboard.Row)
        made = made.with_row(numbered) if is_row else made.with_panel(numbered)
    return made


def text(name: str, label: str, default: str, about: str) -> Panel:
    """Return a variable that is typed in above a dashboard."""
    return (
        dashboard.TextBoxVariable(name)
        .label(label)
        .description(about)
        .default_value(default)
        .current(VariableOption(text=default, value=default))
    )


def conversion() -> Panel:
    """Return the variable that names a conversion."""
    about = "The name given to business.declare_conversion"
    return text("conversion", "conversion", "bookings", about)


def human_cost() -> Panel:
    """Return the variable with which calls are compared."""
    return text(
        "human_cost_per_hour",
        "a person's cost per hour",
        "15",
        "What an hour of a person who takes these calls costs, in dollars",
    )


def call_label() -> Panel:
    """Return the variable that names a label of calls."""
    return text("label", "label", "intent", "A name given to business.declare_label")


def _common_variables() -> list[Panel]:
    return [
        dashboard.DatasourceVariable("datasource").label("data source").type("prometheus"),
        dashboard.QueryVariable("agent_name")
        .label("agent")
        .datasource(_SOURCE)
        .query("label_values(agent_sessions_total, agent_name)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(text="All", value="$__all")),
        dashboard.IntervalVariable("window")
        .label("window")
        .description("What each point of a graph looks back")
        .values("1m,5m,15m,1h,6h,1d")
        .auto(True)
        # at most a few calls come in a minute: less would be noise
        .min_interval("5m")
        .step_count(50)
        .current(VariableOption(text="auto", value="$__auto_interval_window")),
    ]


def _finished(
    panel: Panel,
    title: str,
    about: str,
    unit: str,
    span: int,
    height: int,
    targets: list[prometheus.Dataquery],
) -> Panel:
    panel = panel.title(title).description(about).unit(unit).datasource(_SOURCE)
    panel = panel.span(span).height(height)
    for letter, target in zip(ascii_uppercase, targets, strict=False):
        panel = panel.with_target(target.ref_id(letter))
    return panel


def _instant(expression: str, legend: str = "") -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).legend_format(legend).instant()


def _over_time(expression: str, legend: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).legend_format(legend).range()


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("")
