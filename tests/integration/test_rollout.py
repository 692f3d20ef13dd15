# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A rollout: LiveKit's own command is told to end, and the worker's last numbers are sent.

The interval of the metrics is a minute, so that what arrives is what the end sends.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import pytest

from kit.paths import AGENTS
from kit.scrape import Totals, sent_totals
from kit.workers import clean_environ
from offline.receiver import Mode, OtlpReceiver

_AGENT = AGENTS / "start_command.py"
_TIMES = int(os.environ.get("ROLLOUTS", "3"))
"""How often a worker is ended by each signal."""
_COMPLETED = {"agent_name": "receptionist", "outcome": "completed"}
_LOGGER = "callspan"
_ROOM_S = 30.0
"""Within the time that Kubernetes gives a pod; a sick backend takes five seconds of it."""


@dataclass(frozen=True)
class Ended:
    """A worker that was told to end, and has ended.

    Attributes:
        sent: What it had counted in its last push; None if it sent none.
        took_s: Seconds from the signal to the end of its process.
        logged: What this package logged after the signal.
    """

    sent: Totals | None
    took_s: float
    logged: list[str]


def _roll_out(number: signal.Signals, mode: Mode = "ok") -> Ended:
    """Start a worker, and end it by a signal when its two calls are over."""
    with OtlpReceiver(mode=mode) as receiver:
        process = subprocess.Popen(
            [sys.executable, str(_AGENT), "start"],
            env={
                **clean_environ(),
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
                "OTEL_TRACES_EXPORTER": "none",
                "OTEL_LOGS_EXPORTER": "none",
                # nobody is there: LiveKit tries again until it is told to end
                "LIVEKIT_URL": "ws://127.0.0.1:1",
                "LIVEKIT_API_KEY": "key",
                "LIVEKIT_API_SECRET": "secret",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            assert any(line == "CALLS OVER\n" for line in process.stdout)
            process.send_signal(number)
            since = time.monotonic()
            output, _ = process.communicate(timeout=60)
            took_s = time.monotonic() - since
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 0, output
        # LiveKit's command logs JSON
        records = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        assert records
        logged = [
            f"{record['level']} {record['message']}"
            for record in records
            if record["name"] == _LOGGER
        ]
        pushes = receiver.metric_requests
    return Ended(sent_totals(pushes[-1]) if pushes else None, took_s, logged)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_last_metrics_arrive(number: signal.Signals) -> None:
    """However often a worker is ended: LiveKit cancels all that is waiting, not what is sending."""
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(_roll_out, [number] * _TIMES))

    completed = ("agent_sessions_total", frozenset(_COMPLETED.items()))
    assert [each.sent and each.sent[completed] for each in ended] == [2] * _TIMES
    assert [each.logged for each in ended] == [[]] * _TIMES


@pytest.mark.parametrize("mode", ["hang", "refuse", "503"])
def test_sick_backend_costs_a_line_and_some_seconds(mode: Mode) -> None:
    """The worker ends all the same, and says where its last numbers are missing."""
    ended = _roll_out(signal.SIGTERM, mode)

    assert ended.sent is None
    assert len(ended.logged) == 1
    assert re.fullmatch(
        r"WARNING the last metrics of this worker did not get to otlp\(http/protobuf "
        r"http://127.0.0.1:\d+/v1/metrics\) within 5 s: none ever did; see whether it answers: "
        r"callspan doctor agent.py",
        ended.logged[0],
    )
    assert ended.took_s < _ROOM_S
