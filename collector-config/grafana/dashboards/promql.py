# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""PromQL as the dashboards need it: every query keeps to the agents that are chosen.

A ratio has no value where there is nothing to divide by, as in the recording rules beside this
folder, rather than 0 or NaN.
"""

from __future__ import annotations

from typing import Final

WINDOW: Final = "$window"
"""What a graph over time looks back at each of its points; chosen above the dashboard."""
RANGE: Final = "$__range"
"""All that the dashboard, or the panel, shows."""
HOUR: Final = "1h"
"""What key figures look back, as the recording rules do."""

CALLS: Final = "agent_sessions_total"
DURATION: Final = "agent_session_duration_seconds"
TURN_LATENCY: Final = "agent_turn_latency_seconds"
COST: Final = "agent_cost_dollars_total"
CONVERSIONS: Final = "agent_${conversion}_total"
"""The counter of a conversion that the application declared; chosen above the dashboard."""
OF_RELEASE: Final = "* on (job, instance) group_left (service_version) target_info"
"""Gives what a worker's series have grown by the version that the worker runs."""


def series(metric: str, where: str = "") -> str:
    """Return the selector of a metric's series, of the chosen agents."""
    return f'{metric}{{agent_name=~"$agent_name"{", " if where else ""}{where}}}'


def rate(metric: str, window: str = WINDOW, *, by: str = "", where: str = "") -> str:
    """Return how fast a counter grows, per second."""
    return _sum(f"rate({series(metric, where)}[{window}])", by)


def grown(selector: str, window: str) -> str:
    """Return by how much each series has grown, what it began with included.

    PromQL's own ``increase`` takes the first value of a series for old, and so never sees the first
    error, or the first call of each kind, of a worker.
    """
    new = f"max_over_time({selector}[{window}]) unless {selector} offset {window}"
    return f"({new}) or increase({selector}[{window}])"


def increase(metric: str, window: str = RANGE, *, by: str = "", where: str = "") -> str:
    """Return by how much a counter has grown."""
    return _sum(grown(series(metric, where), window), by)


def released(metric: str, window: str = HOUR, *, by: str = "", where: str = "") -> str:
    """Return by how much a counter has grown on the workers of each release that run."""
    labels = f"service_version, {by}" if by else "service_version"
    return _sum(f"({grown(series(metric, where), window)}) {OF_RELEASE}", labels)


def ratio(part: str, whole: str) -> str:
    """Return a part by its whole; both have the same labels."""
    return f"{part} / ({whole} > 0)"


def each(part: str, whole: str) -> str:
    """Return each of several parts by one whole, which has no labels."""
    return f"{part} / on () group_left () ({whole} > 0)"


def mean(histogram: str, window: str = RANGE, *, by: str = "") -> str:
    """Return the mean of what a histogram has recorded."""
    return ratio(
        increase(f"{histogram}_sum", window, by=by), increase(f"{histogram}_count", window, by=by)
    )


def quantile(rank: float, histogram: str, window: str = WINDOW, *, by: str = "") -> str:
    """Return a quantile of what a histogram has recorded; 0.9 is P90."""
    labels = f"{by}, le" if by else "le"
    buckets = increase(f"{histogram}_bucket", window, by=labels)
    return f"histogram_quantile({rank}, {buckets})"


def within(histogram: str, bound: float, window: str = HOUR) -> str:
    """Return the share of a histogram's values up to one of its bounds."""
    # a bound of 30 is 30.0 on a scrape, and 30 by remote write
    spelt = f'le=~"{bound:g}(\\\\.0)?"'
    return ratio(
        increase(f"{histogram}_bucket", window, where=spelt), increase(f"{histogram}_count", window)
    )


def _sum(expression: str, by: str) -> str:
    return f"sum by ({by}) ({expression})" if by else f"sum({expression})"
