# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the agent depends on: its tools, and the providers of its models."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from . import panels as p
from . import promql as q

_CALLS = "agent_tool_calls_total"
_DURATION = "agent_tool_call_duration_seconds"
_ERRORS = "agent_errors_total"
_FAILED = 'status="error"'
_FIRST_CHUNK = (
    "histogram_quantile(0.9, sum by (gen_ai_provider_name, gen_ai_request_model, le)"
    " (rate(gen_ai_client_operation_time_to_first_chunk_seconds_bucket[$window])))"
)


def build() -> Dashboard:
    """Return the dashboard."""
    return p.page(
        "tools",
        "Voice agents: tools and providers",
        "Which tools fail or are slow, and which provider it is.",
        [
            p.heading("Tools"),
            p.graph(
                "Errors per tool",
                (f"60 * {q.rate(_CALLS, by='tool_name', where=_FAILED)}", "{{tool_name}}"),
                unit="suffix: / min",
                about="Calls of each tool that failed, per minute.",
            ),
            p.graph(
                "Share of calls that fail, per tool",
                (
                    q.ratio(
                        q.rate(_CALLS, q.HOUR, by="tool_name", where=_FAILED),
                        q.rate(_CALLS, q.HOUR, by="tool_name", where='status!="cancelled"'),
                    ),
                    "{{tool_name}}",
                ),
                unit=p.SHARE,
                about="Of the hour before; calls that were cancelled say nothing of the tool.",
            ),
            p.graph(
                "Duration per tool, P90",
                (q.quantile(0.9, _DURATION, by="tool_name"), "{{tool_name}}"),
                unit=p.SECONDS,
                about="The caller waits for it.",
            ),
            p.rows(
                "Each tool",
                {
                    "calls": (q.increase(_CALLS, by="tool_name"), p.COUNT),
                    "errors": (q.increase(_CALLS, by="tool_name", where=_FAILED), p.COUNT),
                    "cancelled": (
                        q.increase(_CALLS, by="tool_name", where='status="cancelled"'),
                        p.COUNT,
                    ),
                    "mean duration": (q.mean(_DURATION, by="tool_name"), p.SECONDS),
                },
                about="Over the whole range.",
                span=12,
            ),
            p.heading("Providers"),
            p.graph(
                "Errors of models and services",
                (
                    q.increase(_ERRORS, q.WINDOW, by="component, provider, error_type"),
                    "{{component}} {{provider}} {{error_type}}",
                ),
                unit=p.COUNT,
                about="In the window before each point, those that a retry mended included.",
            ),
            p.rows(
                "Errors by what came of them",
                {
                    "errors": (
                        q.increase(_ERRORS, by="component, provider, error_type, recoverable"),
                        p.COUNT,
                    ),
                },
                about="recoverable=true: a retry mended it. Over the whole range.",
                span=12,
            ),
            p.graph(
                "Language model speed, P50",
                (
                    q.quantile(0.5, "agent_llm_tokens_per_second", by="provider, model"),
                    "{{provider}} {{model}}",
                ),
                unit="suffix: tokens / s",
                about="Tokens that a request put out, by the second of its duration.",
                span=8,
            ),
            p.graph(
                "Time to first token, P90",
                (_FIRST_CHUNK, "{{gen_ai_provider_name}} {{gen_ai_request_model}}"),
                unit=p.SECONDS,
                about="LiveKit's own figure of each request, of all agents.",
                span=8,
            ),
            p.graph(
                "Language model time per call",
                (q.mean("agent_session_llm_duration_seconds", q.WINDOW), "mean"),
                unit=p.SECONDS,
                about="All requests of a call, follow-ups after tools included.",
                span=8,
            ),
        ],
    )
