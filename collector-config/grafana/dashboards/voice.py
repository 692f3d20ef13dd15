# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""How the agent is to talk to: how long callers wait, for what, and how often they interrupt."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from . import panels as p
from . import promql as q

_STAGE = "agent_turn_stage_duration_seconds"
_FIRST_RESPONSE = "agent_first_response_latency_seconds"
_INTERRUPTIONS = "agent_interruptions_total"
_SPEECH = "agent_speech_duration_seconds_total"


def build() -> Dashboard:
    """Return the dashboard."""
    return p.page(
        "voice",
        "Voice agents: voice quality",
        "Turn latency and its stages, first response, interruptions. Points lead to traces.",
        [
            p.stats(
                "Turns within 1.5 s",
                (q.within(q.TURN_LATENCY, 1.5, q.RANGE), "turns"),
                unit=p.SHARE,
                decimals=1,
                about="The latency objective of the alerts is 95 %.",
            ),
            p.stats(
                "Turn latency, P90",
                (q.quantile(0.9, q.TURN_LATENCY, q.RANGE), "P90"),
                unit=p.SECONDS,
                decimals=2,
                about="Nine of ten turns are answered within this time.",
            ),
            p.stats(
                "First response, P90",
                (q.quantile(0.9, _FIRST_RESPONSE, q.RANGE), "P90"),
                unit=p.SECONDS,
                decimals=2,
                about="From the start of a call to the agent's first audio.",
            ),
            p.stats(
                "Interruptions per call",
                (q.ratio(q.increase(_INTERRUPTIONS), q.increase(q.CALLS)), "interruptions"),
                unit=p.COUNT,
                decimals=2,
                about="Times that the agent was stopped while it spoke, or seemed to be.",
            ),
            p.stats(
                "Turns per call",
                (q.mean("agent_session_turns"), "turns"),
                unit=p.COUNT,
                decimals=1,
                about="How often the caller spoke.",
            ),
            p.stats(
                "Agent speaks",
                (
                    q.ratio(q.increase(_SPEECH, where='speaker="agent"'), q.increase(_SPEECH)),
                    "agent",
                ),
                unit=p.SHARE,
                decimals=0,
                about="Time that the agent spoke, of the time that anybody did.",
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
            p.buckets(
                "Turn latency, every turn",
                q.increase(f"{q.TURN_LATENCY}_bucket", "$__rate_interval", by="le"),
                unit=p.SECONDS,
                about="Turns by their latency. A point is one turn; it leads to its trace.",
            ),
            p.graph(
                "What a turn's latency consists of",
                (
                    q.each(
                        q.increase(f"{_STAGE}_sum", q.WINDOW, by="stage"),
                        q.increase(f"{q.TURN_LATENCY}_count", q.WINDOW),
                    ),
                    "{{stage}}",
                ),
                unit=p.SECONDS,
                about="Mean time that the caller of a turn waited for each stage.",
                stacked=True,
            ),
            p.graph(
                "Stages, P90",
                (q.quantile(0.9, _STAGE, by="stage"), "{{stage}}"),
                unit=p.SECONDS,
                about="Of the turns that waited for the stage. P90 of stages do not add up.",
            ),
            p.graph(
                "First response",
                *((q.quantile(rank, _FIRST_RESPONSE), f"P{rank * 100:g}") for rank in (0.5, 0.9)),
                unit=p.SECONDS,
                about="From the start of a call to the agent's first audio.",
                span=8,
            ),
            p.graph(
                "Interruptions per call by kind",
                (
                    q.each(
                        q.increase(_INTERRUPTIONS, q.HOUR, by="kind"), q.increase(q.CALLS, q.HOUR)
                    ),
                    "{{kind}}",
                ),
                unit=p.COUNT,
                about="Of the hour before. Many barge_in: too long answers; many false: noise.",
                span=8,
            ),
            p.graph(
                "Who speaks",
                (f"60 * {q.rate(_SPEECH, by='speaker')}", "{{speaker}}"),
                unit="suffix: s / min",
                about="Seconds of speech per minute, over all calls.",
                span=8,
            ),
        ],
    )
