# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""LiveKit's own ``prometheus_port``: our numbers beside its gauges, without an exporter named."""

from __future__ import annotations

import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from kit.call_gate import CallGate
from kit.scrape import free_port
from kit.workers import run_agent


def test_livekits_endpoint_shows_the_workers_numbers(tmp_path: Path) -> None:
    """One scrape has both; multiprocess mode beside it is refused in plain words."""
    port = free_port()
    with ThreadPoolExecutor(1) as pool, CallGate() as gate:
        ending = pool.submit(
            run_agent,
            "livekit_metrics_endpoint",
            {
                "OTEL_TRACES_EXPORTER": "none",
                "OTEL_METRICS_EXPORTER": "none",
                "LIVEKITS_PROMETHEUS_PORT": str(port),
                "GATE": str(gate.port),
                "ROOMS": "one,two",
            },
        )
        gate.wait_until_up()
        gate.take_calls()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
    ending.result()

    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }
    assert samples["agent_sessions_total", "receptionist", "completed"] == 2
    assert samples["agent_jobs_total", "receptionist", "done"] == 2
    assert any(name == "lk_agents_worker_load" for name, *_ in samples)


def test_multiprocess_mode_is_refused_in_plain_words(tmp_path: Path) -> None:
    """An endpoint in that mode would show none of the worker's numbers."""
    run = run_agent(
        "instrument_at_import",
        {
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
            "EXECUTOR": "thread",
            "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        },
    )
    assert run.calls_ended == 1
    assert run.logged("ERROR") == [
        f"PROMETHEUS_MULTIPROC_DIR={tmp_path}: an endpoint in that mode shows the files of its "
        "processes and none of the worker's numbers; unset it, and prometheus_multiproc_dir= of "
        "AgentServer: the worker adds its processes up by itself"
    ]
