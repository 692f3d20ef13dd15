# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls whose data hooks write down what they are given, and what was counted of them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kit.call_gate import CallGate
from kit.scrape import free_port, samples, wait_for_scrape
from kit.workers import Run, run_agent
from offline.llm_server import Reply, Rule, Script, ScriptedChatServer, ToolCall

MODEL = Script(
    [
        Rule(
            Reply(tool_calls=(ToolCall("look_up", {"name": "Marmaduke"}), ToolCall("book"))),
            user="tools",
        ),
        # late, so that the turns before it have long reached the hooks when the process is killed
        Rule(Reply(tool_calls=(ToolCall("crash"),), first_token_delay=1.0), user="killed"),
        Rule(Reply("Goodbye.")),
    ]
)


PRICES = """
[llm."{server}/gpt-4o-mini"]
per_million_input_tokens = 0.15
per_million_output_tokens = 0.60
[flat]
per_minute = 0.0085
"""


SAID = ("Zanzibar", "Timbuktu", "Marmaduke", "Goodbye", "the calendar is gone")
"""Words that only the agent, its tools and their callers say."""


@dataclass
class HookRecords:
    """What hooks were given by a worker's calls.

    Attributes:
        run: How the worker ended.
        records: What was written down, in order.
        scraped: What the worker counted, in the end.
        took_s: From the first call to the last process's end, in seconds.
    """

    run: Run
    records: list[dict[str, Any]]
    scraped: str
    took_s: float

    def of(self, call_id: str) -> list[dict[str, Any]]:
        """Return the records of one call."""
        return [record for record in self.records if record["call_id"] == call_id]

    @cached_property
    def summaries(self) -> list[dict[str, Any]]:
        """What calls came to."""
        return [record for record in self.records if record["hook"] == "on_call_end"]

    def counted(self, name: str, **labels: str) -> float:
        """Return the sum of what was counted under a name and some labels."""
        return sum(
            sample.value
            for sample in samples(self.scraped)
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def jobs_in(scraped: str) -> float:
    """Return how many jobs a scrape counts."""
    return sum(each.value for each in samples(scraped) if each.name == "agent_jobs_total")


def take_calls(
    folder: Path, rooms: tuple[str, ...], variables: Mapping[str, str], *, by_command: bool = False
) -> HookRecords:
    """Have a worker take calls, four at once."""
    ledger, port = folder / "ledger", free_port()
    ledger.touch()
    with ScriptedChatServer(MODEL) as model, ThreadPoolExecutor(1) as pool, CallGate() as gate:
        prices = folder / "prices.toml"
        prices.write_text(PRICES.format(server=urlsplit(model.base_url).netloc))
        ending = pool.submit(
            run_agent,
            "data_hooks",
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}",
                "OTEL_METRICS_EXPORTER": "prometheus",
                "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
                "OPENAI_BASE_URL": model.base_url,
                "OPENAI_API_KEY": "none",
                "ROOMS": ",".join(rooms),
                "GATE": str(gate.port),
                "LEDGER": str(ledger),
                "CALLSPAN_PRICES": str(prices),
                "LINE": "0" if by_command else "1",
                **variables,
            },
            by_command=by_command,
            timeout_s=300,
        )
        gate.wait_until_up()
        since = time.monotonic()
        gate.take_calls()
        took_s = time.monotonic() - since
        scraped = wait_for_scrape(port, lambda text: jobs_in(text) >= len(rooms))
        gate.__exit__(None, None, None)
        run = ending.result()
    records = [json.loads(line) for line in ledger.read_text().splitlines()]
    return HookRecords(run, records, scraped, took_s)


CONTENT = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "EVENT_ONLY"}
