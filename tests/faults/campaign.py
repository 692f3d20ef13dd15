# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Runs workers with faults in them, and judges each call by what became of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from faults.job import RECORD
from kit.paths import PYTHONPATH
from kit.sip_service import StandInSipService
from offline.receiver import OtlpReceiver

_WORKER = Path(__file__).with_name("worker.py")
_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Scenario:
    """A conversation, and how the worker that has it is configured."""

    conversation: str
    variables: Mapping[str, str]


_COMMON = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}",
    "OTEL_METRICS_EXPORTER": "otlp,prometheus",
    "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
}
_REPORTED = {
    **_COMMON,
    "OTEL_TRACES_EXPORTER": "otlp,langfuse",
    "OTEL_LOGS_EXPORTER": "otlp",
    "LANGFUSE_HOST": "{endpoint}",
    "LANGFUSE_BASE_URL": "{endpoint}",
    "LANGFUSE_PUBLIC_KEY": "pk-lf-1",
    "LANGFUSE_SECRET_KEY": "sk-lf-1",
    "CALLSPAN_SESSION_REPORT": "full",
    "CALLSPAN_CONVERSIONS": "book=bookings:booked",
}
SCENARIOS = {
    "spoken": Scenario("spoken", {**_REPORTED, "CALLSPAN_KEEP_CALLS": "errors"}),
    "content": Scenario(
        "chat",
        {**_REPORTED, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_AND_EVENT"},
    ),
    "late": Scenario("provider_set_late", _COMMON),
}


@dataclass(frozen=True)
class Outcome:
    """What became of a call.

    Attributes:
        said: The conversation; None where the entrypoint or a shutdown callback did not end.
        exit: The exit code of the call's process; None where it never had the call.
    """

    said: list[dict[str, Any]] | None
    exit: int | None

    def lost(self, unarmed: Outcome) -> str:
        """Say what is missing of a call that went well; empty for nothing."""
        if self == unarmed:
            return ""
        if self.said is None or unarmed.said is None:
            end = "did not come up" if self.exit is None else f"exit code {self.exit}"
            return f"the call did not run to its end (process: {end})"
        missing = [item for item in unarmed.said if item not in self.said]
        if missing:
            return "lost: " + "; ".join(" ".join(map(str, item.values())) for item in missing)
        if self.said != unarmed.said:
            return f"the conversation went another way: {self.said}"
        return f"exit code {self.exit} in place of {unarmed.exit}"


@dataclass(frozen=True)
class WorkerRun:
    """A worker that has ended.

    Attributes:
        calls: By position in the plan.
        points: What was recorded in a job process, if that was asked for.
        main_points: What was recorded in the worker's main process, if that was asked for.
        exit: Its exit code.
        log: What it wrote.
        metrics: The last it sent.
    """

    calls: list[Outcome]
    points: list[str]
    main_points: list[str]
    exit: int | None
    log: str
    metrics: ExportMetricsServiceRequest


def run_worker(
    scenario: str, jobs: Sequence[str], *, main: str = "", timeout_s: float = _TIMEOUT_S
) -> WorkerRun:
    """Run a worker that takes one call for each of some points.

    Args:
        scenario: A key of SCENARIOS.
        jobs: Per call the point that raises in its process; empty for none, RECORD to record.
        main: The point that raises in the worker's main process, or RECORD.
        timeout_s: Seconds after which it counts as hanging.
    """
    chosen = SCENARIOS[scenario]
    with (
        tempfile.TemporaryDirectory() as name,
        OtlpReceiver() as receiver,
        OtlpReceiver() as own,
        StandInSipService() as sip,
    ):
        folder = Path(name)
        plan = {"conversation": chosen.conversation, "jobs": list(jobs), "main": main}
        (folder / "plan.json").write_text(json.dumps(plan))
        variables = {
            "FAULTS": name,
            "OWN_ENDPOINT": own.endpoint,
            "SIP_SERVICE": sip.url,
            **{k: v.replace("{endpoint}", receiver.endpoint) for k, v in chosen.variables.items()},
        }
        exit_code, log = _run(variables, timeout_s)
        recorder = jobs.index(RECORD) if RECORD in jobs else -1
        return WorkerRun(
            calls=[
                Outcome(_read(folder / f"{number}.said"), _read(folder / f"{number}.exit"))
                for number in range(len(jobs))
            ],
            points=_read(folder / f"{recorder}.points") or [],
            main_points=_read(folder / "main.points") or [],
            exit=exit_code,
            log=log,
            metrics=[ExportMetricsServiceRequest(), *receiver.metric_requests][-1],
        )


def _read(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else None


def _run(variables: Mapping[str, str], timeout_s: float) -> tuple[int | None, str]:
    """Run the worker as in production: no variable says that this is a test."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "LIVEKIT_", "LANGFUSE_", "PYTEST_"))
    }
    process = subprocess.Popen(
        [sys.executable, str(_WORKER)],
        env={**environ, "PYTHONPATH": PYTHONPATH, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        log, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        # its job processes and its forkserver, too: they hold the pipe
        os.killpg(process.pid, signal.SIGKILL)
        log, _ = process.communicate()
        return None, log
    return process.returncode, log
