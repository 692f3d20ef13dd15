# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Whether workers are well, and how releases compare that run side by side."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from . import panels as p
from . import promql as q

_JOBS = "agent_jobs_total"
_ACTIVE = "agent_sessions_active"
_LOST = 'status!="done"'


def build() -> Dashboard:
    """Return the dashboard."""
    return p.page(
        "workers",
        "Voice agents: workers and releases",
        "Load and health of workers; a release beside the one that it replaces.",
        [
            p.stats(
                "Workers",
                (f"count(count by (job, instance) ({q.series(_JOBS)}))", "workers"),
                unit=p.COUNT,
                about="That report now.",
            ),
            p.stats(
                "Calls in progress",
                (f"sum({q.series(_ACTIVE)})", "calls"),
                unit=p.COUNT,
                about="Sessions that have started and not ended.",
            ),
            p.stats(
                "Jobs lost",
                (q.ratio(q.increase(_JOBS, where=_LOST), q.increase(_JOBS)), "jobs"),
                unit=p.SHARE,
                decimals=1,
                about="Crashed, or failed before they had a session, of all jobs.",
            ),
            p.stats(
                "Telemetry lost",
                (f"sum({q.grown('agent_telemetry_dropped_total', q.RANGE)}) or vector(0)", "items"),
                unit=p.COUNT,
                decimals=0,
                about="Made and then not delivered, or not believed.",
            ),
            p.stats(
                "Since the last delivery",
                ("max by (destination) (agent_telemetry_export_age_seconds)", "{{destination}}"),
                unit=p.SECONDS,
                about="The worker for which it is longest ago, by destination.",
                span=8,
            ),
            p.heading("Releases side by side"),
            p.rows(
                "Each release",
                {
                    "calls": (q.released(q.CALLS), p.COUNT),
                    "conversion": (
                        q.ratio(q.released(q.CONVERSIONS), q.released(q.CALLS)),
                        p.SHARE,
                    ),
                    "handle time": (_mean(q.DURATION), p.SECONDS),
                    "turn latency P90": (_p90(), p.SECONDS),
                    "tool errors": (
                        q.ratio(
                            q.released("agent_tool_calls_total", where='status="error"'),
                            q.released("agent_tool_calls_total"),
                        ),
                        p.SHARE,
                    ),
                    "jobs lost": (
                        q.ratio(q.released(_JOBS, where=_LOST), q.released(_JOBS)),
                        p.SHARE,
                    ),
                    "cost per call": (
                        q.ratio(q.released(q.COST), q.released(q.CALLS)),
                        p.DOLLARS,
                    ),
                },
                about="Of the last hour. The release is the resource's service.version.",
            ),
            p.graph(
                "Calls per minute by release",
                (
                    f"60 * sum by (service_version) (rate({q.series(q.CALLS)}[$window])"
                    f" {q.OF_RELEASE})",
                    "{{service_version}}",
                ),
                unit="suffix: / min",
                about="Where the traffic goes.",
                span=8,
                stacked=True,
            ),
            p.graph(
                "Turn latency by release, P90",
                (_p90(q.WINDOW), "{{service_version}}"),
                unit=p.SECONDS,
                about="From the end of the caller's speech to the first audio of the answer.",
                span=8,
            ),
            p.graph(
                "Conversion by release",
                (q.ratio(q.released(q.CONVERSIONS), q.released(q.CALLS)), "{{service_version}}"),
                unit=p.SHARE,
                about="Calls that reached the goal, of the calls of the hour before.",
                span=8,
            ),
            p.heading("Workers"),
            p.graph(
                "Calls in progress by worker",
                (f"sum by (instance) ({q.series(_ACTIVE)})", "{{instance}}"),
                unit=p.COUNT,
                about="Even, if calls are spread evenly.",
                stacked=True,
            ),
            p.graph(
                "Jobs by how they ended",
                (f"60 * {q.rate(_JOBS, by='status')}", "{{status}}"),
                unit="suffix: / min",
                about="Per minute. failed: it raised before it had a session.",
            ),
            p.rows(
                "Each worker",
                {
                    "jobs": (q.increase(_JOBS, by="instance"), p.COUNT),
                    "jobs lost": (q.increase(_JOBS, by="instance", where=_LOST), p.COUNT),
                    "turn latency P90": (
                        q.quantile(0.9, q.TURN_LATENCY, q.RANGE, by="instance"),
                        p.SECONDS,
                    ),
                },
                about="Over the whole range.",
            ),
        ],
        p.conversion(),
    )


def _p90(window: str = q.HOUR) -> str:
    return f"histogram_quantile(0.9, {q.released(f'{q.TURN_LATENCY}_bucket', window, by='le')})"


def _mean(histogram: str) -> str:
    return q.ratio(q.released(f"{histogram}_sum"), q.released(f"{histogram}_count"))
