# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the agent is worth: how many called, what came of it, and what that cost."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from . import panels as p
from . import promql as q

_NOT_CONTAINED: Final = "transferred|abandoned|failure|error|crashed|voicemail"
"""As the recording rule has it."""


def build() -> Dashboard:
    """Return the dashboard."""
    sessions = q.increase(q.CALLS)
    cost = q.increase(q.COST)
    return p.page(
        "business",
        "Voice agents: business",
        "Calls, conversions, handle time and money. Start here.",
        [
            p.stats(
                "Calls today",
                (sessions, "calls"),
                unit=p.COUNT,
                decimals=0,
                about="Calls that ended since midnight.",
                today=True,
            ),
            p.stats(
                "Today: $conversion",
                (q.increase(q.CONVERSIONS), "$conversion"),
                unit=p.COUNT,
                decimals=0,
                about="Calls since midnight that reached this goal, each counted once.",
                today=True,
            ),
            p.stats(
                "Conversion",
                (q.ratio(q.increase(q.CONVERSIONS), sessions), "$conversion"),
                unit=p.SHARE,
                decimals=1,
                about="Calls that reached the goal, of all calls.",
            ),
            p.stats(
                "Contained",
                (
                    q.ratio(
                        q.increase(q.CALLS, where=f'outcome!~"{_NOT_CONTAINED}"'),
                        q.increase(q.CALLS, where='outcome!="voicemail"'),
                    ),
                    "contained",
                ),
                unit=p.SHARE,
                decimals=1,
                about="Calls that the agent brought to their end, of those that a caller answered.",
            ),
            p.stats(
                "Abandoned",
                (q.ratio(q.increase(q.CALLS, where='outcome="abandoned"'), sessions), "abandoned"),
                unit=p.SHARE,
                decimals=1,
                about="Calls whose caller left before the agent had spoken twice.",
            ),
            p.stats(
                "Transferred",
                (
                    q.ratio(q.increase(q.CALLS, where='outcome="transferred"'), sessions),
                    "transferred",
                ),
                unit=p.SHARE,
                decimals=1,
                about="Calls that were passed on to a person.",
            ),
            p.graph(
                "Session volume and outcomes",
                (f"60 * {q.rate(q.CALLS, by='outcome')}", "{{outcome}}"),
                unit="suffix: / min",
                about="Calls that ended, per minute, by how they ended.",
                stacked=True,
            ),
            p.graph(
                "Conversion rate: $conversion",
                (
                    q.ratio(
                        q.rate(q.CONVERSIONS, q.HOUR, by="agent_name"),
                        q.rate(q.CALLS, q.HOUR, by="agent_name"),
                    ),
                    "{{agent_name}}",
                ),
                unit=p.SHARE,
                about="Calls that reached the goal, of the calls of the hour before each point.",
            ),
            p.distribution(
                "Session duration distribution",
                q.increase(f"{q.DURATION}_bucket", by="le"),
                about="Calls by their duration; each bar ends at so many seconds.",
                span=12,
            ),
            p.graph(
                "Very short and very long calls",
                (q.within(q.DURATION, 30), "under 30 s"),
                (f"1 - {q.within(q.DURATION, 600)}", "over 10 min"),
                unit=p.SHARE,
                about="Of the calls of the hour before. Short: given up? Long: is it confused?",
            ),
            p.graph(
                "Turn latency percentiles",
                *(
                    (q.quantile(rank, q.TURN_LATENCY), f"P{rank * 100:g}")
                    for rank in (0.5, 0.9, 0.99)
                ),
                unit=p.SECONDS,
                about="From the end of the caller's speech to the first audio of the answer.",
                exemplars=True,
            ),
            p.graph(
                "Tool call reliability",
                (
                    q.rate("agent_tool_calls_total", by="tool_name", where='status="error"'),
                    "{{tool_name}}",
                ),
                unit="suffix: / s",
                about="Calls of each tool that failed, per second.",
            ),
            p.heading("What a call is"),
            p.bars(
                "Mean duration by outcome",
                q.mean(q.DURATION, by="outcome"),
                "{{outcome}}",
                unit=p.SECONDS,
                about="Average handle time of calls that ended so.",
            ),
            p.bars(
                "Mean duration by $label",
                q.mean(q.DURATION, by="$label"),
                "{{$label}}",
                unit=p.SECONDS,
                about="Average handle time of calls that have this label.",
            ),
            p.bars(
                "Feedback",
                q.mean("agent_feedback_score", by="kind"),
                "{{kind}}",
                unit=p.COUNT,
                about="Mean score of callers: csat 1 to 5, nps 0 to 10, thumbs 0 or 1.",
            ),
            p.heading("What a call costs"),
            p.stats(
                "Cost per call, beside a person's",
                (q.ratio(cost, sessions), "agent"),
                (
                    f"{q.mean(q.DURATION)} / 3600 * $human_cost_per_hour",
                    "a person at $$human_cost_per_hour an hour",
                ),
                unit=p.DOLLARS,
                about="What a person would cost for as long as a mean call lasts.",
                span=8,
            ),
            p.stats(
                "Cost per hour of calls, beside a person's",
                (q.ratio(f"3600 * {cost}", q.increase(f"{q.DURATION}_sum")), "agent"),
                ("vector($human_cost_per_hour)", "a person"),
                unit=p.DOLLARS,
                about="Idle time of either is left out.",
                span=8,
            ),
            p.stats(
                "Cost per conversion",
                (q.ratio(cost, q.increase(q.CONVERSIONS)), "$conversion"),
                unit=p.DOLLARS,
                about="The cost of all calls, by those that reached the goal.",
            ),
            p.stats(
                "Revenue per call",
                (
                    q.each(
                        q.increase(
                            "agent_conversion_value_total",
                            by="currency",
                            where='conversion="$conversion"',
                        ),
                        sessions,
                    ),
                    "{{currency}}",
                ),
                unit=p.COUNT,
                decimals=2,
                about="Value of conversions by all calls, in each currency.",
            ),
        ],
        p.conversion(),
        p.call_label(),
        p.human_cost(),
    )
