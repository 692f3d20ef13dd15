# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""What is run in calls: recipes as they are printed, or mended as their page says; its own code.

Rows and code are read from the page, so that it says what is tested.
"""

from __future__ import annotations

import re
from pathlib import Path

from integration.recipes import printed

PAGE = (Path(__file__).parents[3] / "examples" / "recipes" / "README.md").read_text()

ROWS = [
    [cell.strip() for cell in row.strip("|").split("|")]
    for row in re.search(r"<!-- rows -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)[1].splitlines()[2:]
]
"""Recipe, line, what comes of it, line that works."""
BLOCKS = dict(re.findall(r"<!-- recipe: (\S+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))
"""The code on the page that a call can run."""


def mended(recipe: str, *lines: str) -> str:
    """A recipe with the lines that the page gives in place of these."""
    for _, line, _, works in ROWS:
        if line.strip("`") in lines:
            assert line.strip("`") in recipe
            recipe = recipe.replace(line.strip("`"), works.strip("`"))
    return recipe


def using(recipe: str, *statements: str) -> str:
    """A recipe, and what an application does with what it defines."""
    return "\n".join([recipe, "async def use():", *(f"    {each}" for each in statements), ""])


ASYNC_HANDLER = "async def _on_metrics(self, event: MetricsCollectedEvent):"
LOOP = "for metrics in event.metrics:"
ON_CLOSE = "async def on_close(self):"
ANNOTATION = "def handle_metrics(event: metrics.MetricsCollectedEvent):"
OTHER_PORT = printed.CUSTOM_METRICS.replace("start_http_server(9090)", "start_http_server(0)")
TRACK = "await check_availability('tomorrow', 'ten')"

AS_PRINTED = {
    "port": printed.CUSTOM_METRICS,
    "async-handler": OTHER_PORT,
    "loop": mended(OTHER_PORT, ASYNC_HANDLER),
    "on-exit": mended(OTHER_PORT, ASYNC_HANDLER, LOOP, ON_CLOSE),
    "both-files": OTHER_PORT + printed.TRACKED_TOOL,
    "tracked-tool": using(
        printed.TRACKED_TOOL,
        TRACK,
        "from livekit.agents import function_tool",
        "said['tool'] = function_tool(book_appointment).info.name",
    ),
    "cost-tracker": using(
        printed.COST_TRACKER,
        "tracker = CostTracker()",
        "tracker.add_llm_cost(1_000_000, 1_000_000)",
        "tracker.add_stt_cost(60)",
        "tracker.add_tts_cost(100)",
        "tracker.finalize('dental-receptionist')",
    ),
    "session-report": printed.SESSION_REPORT,
    "egress": using(printed.EGRESS, "await entrypoint(ctx)"),
    "egress-mended": using(
        mended(printed.EGRESS, "from livekit import api"), "await entrypoint(ctx)"
    ),
    "log-metrics": printed.LOG_METRICS,
    "session-usage": printed.SESSION_USAGE,
    "usage-collector": printed.USAGE_COLLECTOR,
    "total-latency": printed.TOTAL_LATENCY,
    "llm-time": printed.LLM_TIME,
    "metrics-in-tools": printed.METRICS_IN_TOOLS,
    # in the call's own session, where the recipe makes one without models
    "metrics-in-tools-mended": mended(printed.METRICS_IN_TOOLS, ANNOTATION)
    .replace("import AgentSession, metrics", "import AgentSession, MetricsCollectedEvent, metrics")
    .replace("session = AgentSession()", ""),
    "langfuse": using(
        printed.LANGFUSE,
        "os.environ['LANGFUSE_HOST'] = os.environ['OWN_ENDPOINT']",
        "os.environ['LANGFUSE_PUBLIC_KEY'] = os.environ['LANGFUSE_SECRET_KEY'] = 'key'",
        "await entrypoint(ctx)",
    ),
}
"""Recipes by the room of the call that runs them."""

WITH_US = {
    "booking": using(BLOCKS["booking"], "await book_appointment('Ann', 'tomorrow', 'ten')"),
    "tracked": using(BLOCKS["tracked-tool"], TRACK),
    "usage": BLOCKS["usage"],
    "session-report": BLOCKS["session-report"],
    "llm-time": BLOCKS["llm-time"],
    "total-latency": BLOCKS["total-latency"],
    "cost-tracker": printed.COST_TRACKER + BLOCKS["cost-tracker"],
}
"""What the page says to write, in calls of an instrumented worker."""
