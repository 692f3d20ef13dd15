# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Real calls on two workers, an old and a new release, in one real Prometheus.

The calls take their time: what a dashboard shows of them is what it shows of any.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from backends.routes import RoutePrometheus
from kit.call_gate import CallGate
from kit.prometheus import Programs
from kit.scrape import free_port
from kit.workers import run_agent
from offline.dialogue import RECEPTIONIST
from offline.llm_server import Reply, Rule, Script, ScriptedChatServer
from offline.received import ReceivedSpan
from offline.receiver import OtlpReceiver

AGENT: Final = "dental-receptionist"
OLD, NEW = "1.2.3", "1.3.0"
"""The releases of the two workers."""

_AGENT_FILE: Final = Path(__file__).with_name("dashboards_worker")
_OUT_OF_ORDER: Final = Rule(Reply("out of order", status=500), user="change my appointment")
"""What one of the callers runs into: the provider of the language model fails."""
_TIMEOUT_S: Final = 300
"""What a worker takes at most on a busy machine; it takes a minute or so on a free one."""


class _PatientGate(CallGate):
    """One that gives calls of half a minute each, two at a time, the time they need."""

    def wait_until_up(self) -> None:
        super().wait_until_up()
        assert self._worker is not None
        self._worker.settimeout(_TIMEOUT_S)


@dataclass
class Filled:
    """A Prometheus that has scraped both workers from before their first call to after their last.

    Attributes:
        prometheus: The server.
        start: When it began to, Unix seconds.
        end: When the last call was in it.
        spans: Of all calls.
    """

    prometheus: RoutePrometheus
    start: float
    end: float
    spans: list[ReceivedSpan]


@contextmanager
def filled_prometheus(
    programs: Programs, folder: Path, old: Sequence[str], new: Sequence[str]
) -> Iterator[Filled]:
    """Have callers ring; the workers stay up until the context is left.

    Args:
        programs: Prometheus's executables.
        folder: An empty one.
        old: The rooms of the calls that the worker with the old release takes, two at a time.
        new: Those of the new release.
    """
    releases = {OLD: old, NEW: new}
    ports = {release: free_port() for release in releases}
    with (
        ScriptedChatServer(Script([_OUT_OF_ORDER, *RECEPTIONIST.rules])) as model,
        OtlpReceiver() as receiver,
        RoutePrometheus(programs, folder, _config(ports)) as prometheus,
        ThreadPoolExecutor(2 * len(releases)) as pool,
    ):
        with ExitStack() as open_gates:
            gates = {release: open_gates.enter_context(_PatientGate()) for release in releases}
            ending = [
                pool.submit(
                    run_agent,
                    str(_AGENT_FILE),
                    {
                        **_variables(receiver, model, folder),
                        "OTEL_RESOURCE_ATTRIBUTES": f"service.version={release}",
                        "OTEL_EXPORTER_PROMETHEUS_PORT": str(ports[release]),
                        "ROOMS": ",".join(rooms),
                        "GATE": str(gates[release].port),
                    },
                    timeout_s=_TIMEOUT_S,
                )
                for release, rooms in releases.items()
            ]
            prometheus.wait_until_ready(timeout_s=20)
            for worker in gates.values():
                worker.wait_until_up()
            # both workers have been seen before their first call
            prometheus.wait_for("count(target_info)", lambda series: sum(series.values()) == 2)
            start = time.time()
            for taken in [pool.submit(worker.take_calls) for worker in gates.values()]:
                taken.result()
            calls = len(old) + len(new)
            prometheus.wait_for(
                "sum(agent_jobs_total)", lambda series: sum(series.values()) == calls
            )
            yield Filled(prometheus, start, time.time(), receiver.spans)
        for run in ending:
            run.result()


def _config(ports: dict[str, int]) -> dict[str, object]:
    """Return a configuration of Prometheus that scrapes each port every second."""
    targets = [f"localhost:{port}" for port in ports.values()]
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "agents", "static_configs": [{"targets": targets}]}],
    }


def _variables(receiver: OtlpReceiver, model: ScriptedChatServer, folder: Path) -> dict[str, str]:
    """Return what both workers are told; the local stand-in costs what the real model does."""
    prices = folder / "prices.json"
    host = urlsplit(model.base_url).netloc
    prices.write_text(
        json.dumps(
            {
                "llm": {
                    f"{host}/gpt-4o-mini": {
                        "per_million_input_tokens": 0.15,
                        "per_million_cached_tokens": 0.075,
                        "per_million_output_tokens": 0.60,
                    }
                },
                "tts": {"espeak-ng/*": {"per_character": 0.00003}},
                "flat": {"per_minute": 0.0085},
            }
        )
    )
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_METRICS_EXPORTER": "prometheus,otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "2000",
        "OTEL_LOGS_EXPORTER": "none",
        "CALLSPAN_DEFAULT_OUTCOME": "inquiry",
        "CALLSPAN_PRICES": str(prices),
        "OPENAI_BASE_URL": model.base_url,
    }
