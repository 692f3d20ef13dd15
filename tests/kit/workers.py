# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Runs an agent as a real worker, and says what came of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from kit.paths import AGENTS, PYTHONPATH
from offline.received import ReceivedRequest, ReceivedSpan
from offline.receiver import Mode, OtlpReceiver

_LOGGER = "callspan"
_CALL_ENDED = "CALL ENDED"
"""Printed by every call that ran to its end (see agents/short_call.py)."""
SAID = "Zanzibar"
"""Only said by the agent (see agents/short_call.py): wherever this word is found, content is."""
_TIMEOUT_S = 300.0
"""What a run takes at most on a busy machine; it takes three to six seconds on a free one."""

Protocol = Literal["http", "grpc"]


@dataclass(frozen=True)
class Run:
    """A worker that has ended.

    Attributes:
        stdout: What it and its job processes printed.
        stderr: What they logged.
        spans: What arrived at the address in ``{endpoint}``.
        requests: The requests that arrived there.
        pushes: The pushes of metrics that were accepted there.
        own_spans: What arrived at the application's own address.
    """

    stdout: str
    stderr: str
    spans: list[ReceivedSpan]
    requests: list[ReceivedRequest]
    pushes: list[ExportMetricsServiceRequest]
    own_spans: list[ReceivedSpan]

    @property
    def output(self) -> str:
        """Everything that was written anywhere."""
        return self.stdout + self.stderr

    @property
    def calls_ended(self) -> int:
        """How many calls ran to their end."""
        return self.stdout.count(_CALL_ENDED)

    def logged(self, level: str = "") -> list[str]:
        """Return what this package logged, at a level or at all."""
        return [
            line.split(f"{_LOGGER} ", 1)[1]
            for line in self.stderr.splitlines()
            if line.startswith(f"{level} {_LOGGER} " if level else "") and f" {_LOGGER} " in line
        ]

    def requests_to(self, *endings: str) -> list[ReceivedRequest]:
        """Return the requests whose path ends in one of these."""
        return [request for request in self.requests if request.path.endswith(endings)]


def run_agent(
    agent: str,
    variables: Mapping[str, str] | None = None,
    *,
    by_command: bool = False,
    protocol: Protocol = "http",
    mode: Mode = "ok",
    timeout_s: float = _TIMEOUT_S,
) -> Run:
    """Run an agent until it has taken its calls.

    Args:
        agent: Name of a file in ``kit/agents/``, or the path of another, without its suffix.
        variables: Variables of its environment; ``{endpoint}`` and ``{address}`` in a value
            stand for the receiver's URL and its host and port. Default: the endpoint. Unless
            they say otherwise, the agent can import this kit and the example's stand-ins.
        by_command: Whether to run it through ``opentelemetry-instrument``.
        protocol: What the receiver speaks.
        mode: How the receiver treats those who send.
        timeout_s: Seconds after which it counts as hanging.

    Raises:
        AssertionError: The agent failed or did not end.
    """
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}"} if variables is None else variables
    with OtlpReceiver(protocol=protocol, mode=mode) as receiver, OtlpReceiver() as own:
        address = receiver.endpoint.removeprefix("http://")
        filled = {
            name: value.replace("{endpoint}", receiver.endpoint).replace("{address}", address)
            for name, value in variables.items()
        }
        command = [sys.executable, str(AGENTS / f"{agent}.py")]
        if by_command:
            command.insert(0, str(Path(sys.executable).with_name("opentelemetry-instrument")))
        given = {"OWN_ENDPOINT": own.endpoint, "PYTHONPATH": PYTHONPATH, **filled}
        stdout, stderr = _run(command, given, timeout_s)
        return Run(
            stdout,
            stderr,
            receiver.spans,
            receiver.requests,
            receiver.metric_requests,
            own.spans,
        )


def run_side_by_side(cases: Mapping[str, Callable[[], Run]]) -> dict[str, Future[Run]]:
    """Run agents two at a time, and keep what came of each under the name of its case."""
    with ThreadPoolExecutor(2) as pool:
        return {name: pool.submit(run) for name, run in cases.items()}


def run_in_code_and_zero_code(
    variables: Mapping[str, str], *, protocol: Protocol = "http"
) -> tuple[Run, Run]:
    """Run the same call instrumented in code and zero-code, by the command."""
    runs = run_side_by_side(
        {
            "in code": partial(run_agent, "instrument_at_import", variables, protocol=protocol),
            "zero-code": partial(
                run_agent, "zero_code", variables, by_command=True, protocol=protocol
            ),
        }
    )
    return runs["in code"].result(), runs["zero-code"].result()


def names(spans: Iterable[ReceivedSpan]) -> Counter[str]:
    """Count spans by their names, but for those that depend on how busy the machine is."""
    return Counter(span.name for span in spans if span.name != "event_loop_blocked")


def assert_whole(spans: list[ReceivedSpan], *, calls: int = 1) -> None:
    """Assert one trace per call, each under one root, without an orphan or a duplicate."""
    traces = {span.trace_id for span in spans}
    roots = [span for span in spans if not span.parent_span_id]
    known = {(span.trace_id, span.span_id) for span in spans}
    assert len(traces) == calls
    assert [root.name for root in roots] == ["job_entrypoint"] * calls
    assert {root.trace_id for root in roots} == traces
    assert len(known) == len(spans), "a span arrived twice"
    orphans = [
        span.name
        for span in spans
        if span.parent_span_id and (span.trace_id, span.parent_span_id) not in known
    ]
    assert orphans == []


def clean_environ() -> dict[str, str]:
    """Return this process's environment without any telemetry of ours."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "LIVEKIT_", "PYTEST_"))
    }


def _run(command: list[str], variables: Mapping[str, str], timeout_s: float) -> tuple[str, str]:
    """Run a command as a user would."""
    process = subprocess.Popen(
        command,
        env={**clean_environ(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        # its job processes and its forkserver, too: they hold the pipes
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        raise AssertionError(f"{command} did not end:\n{stdout}\n{stderr}") from None
    assert process.returncode == 0, f"{command} ended with {process.returncode}:\n{stderr}"
    return stdout, stderr
