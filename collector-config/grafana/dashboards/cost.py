# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What calls cost, and which model, component or kind of call it goes to."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from . import panels as p
from . import promql as q

_OF_CALL = "agent_session_cost_dollars"


def build() -> Dashboard:
    """Return the dashboard."""
    cost = q.increase(q.COST)
    return p.page(
        "cost",
        "Voice agents: cost",
        "Money by component, model and kind of call. List prices, or your own.",
        [
            p.stats(
                "Cost today",
                (cost, "cost"),
                unit=p.DOLLARS,
                about="Since midnight.",
                today=True,
            ),
            p.stats(
                "Cost per call",
                (q.ratio(cost, q.increase(q.CALLS)), "cost"),
                unit=p.DOLLARS,
                about="What crashed calls cost is in it, too.",
            ),
            p.stats(
                "Cost per minute of calls",
                (q.ratio(f"60 * {cost}", q.increase(f"{q.DURATION}_sum")), "cost"),
                unit=p.DOLLARS,
                about="By the time from the start of sessions to their close.",
            ),
            p.stats(
                "Cost per conversion",
                (q.ratio(cost, q.increase(q.CONVERSIONS)), "$conversion"),
                unit=p.DOLLARS,
                about="The cost of all calls, by those that reached the goal.",
            ),
            p.stats(
                "All calls, beside a person's",
                (cost, "agent"),
                (
                    f"{q.increase(f'{q.DURATION}_sum')} / 3600 * $human_cost_per_hour",
                    "a person",
                ),
                unit=p.DOLLARS,
                about="What a person would have cost for as long as all of these calls lasted.",
                span=8,
            ),
            p.graph(
                "Cost per hour by component",
                (f"3600 * {q.rate(q.COST, by='component')}", "{{component}}"),
                unit=p.DOLLARS,
                about="As it is spent.",
                stacked=True,
            ),
            p.graph(
                "Cost per call over time",
                (q.ratio(q.increase(q.COST, q.HOUR), q.increase(q.CALLS, q.HOUR)), "mean"),
                unit=p.DOLLARS,
                about="Of the hour before. A jump is a new model, a new price or longer calls.",
            ),
            p.distribution(
                "Cost of calls, distribution",
                q.increase(f"{_OF_CALL}_bucket", by="le"),
                about="Calls by what they cost; each bar ends at so many dollars.",
                span=12,
            ),
            p.bars(
                "Mean cost of a call by $label",
                q.mean(_OF_CALL, by="$label"),
                "{{$label}}",
                unit=p.DOLLARS,
                about="Calls that have this label.",
                span=12,
            ),
            p.rows(
                "Cost by model",
                {
                    "cost": (q.increase(q.COST, by="component, provider, model"), p.DOLLARS),
                },
                about="Over the whole range.",
                span=12,
            ),
            p.rows(
                "Used and not priced",
                {
                    "uses": (
                        "sum by (component, provider, model) "
                        f"({q.grown('agent_unpriced_usage_total', q.RANGE)})",
                        p.COUNT,
                    ),
                },
                about="In no figure of this page. The worker's log names the price to add.",
                span=12,
            ),
        ],
        p.conversion(),
        p.call_label(),
        p.human_cost(),
    )
