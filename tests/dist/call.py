# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A call through the installed package: a whole trace and one counted session arrive over OTLP.

Run with the Python of an environment that has the wheel in it, as ``python -I call.py``: it needs
nothing of the repository but agent.py beside it, which it copies to a folder of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import callspan

_AGENT = Path(__file__).with_name("agent.py")
_TIMEOUT_S = 120
"""What a worker and its call take at most on a busy machine; on a free one it is five seconds."""


class Received:
    """What arrived over OTLP."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.sessions: dict[bytes, float] = {}

    def add(self, path: str, body: bytes) -> None:
        """Keep what a request holds: a counter's value is that of its last push."""
        if path == "/v1/traces":
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for of_scope in of_resource.scope_spans:
                    self.spans += of_scope.spans
        elif path == "/v1/metrics":
            for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for of_scope in of_resource.scope_metrics:
                    for metric in of_scope.metrics:
                        if metric.name == "agent.sessions":
                            for point in metric.sum.data_points:
                                series = b"".join(
                                    sorted(each.SerializeToString() for each in point.attributes)
                                )
                                self.sessions[series] = point.as_int or point.as_double


@contextmanager
def receiver() -> Iterator[tuple[str, Received]]:
    """A receiver on the loopback: its address, and what it gets."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.add(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keep the terminal for what fails."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", received
        finally:
            server.shutdown()
            thread.join()


def take_call(endpoint: str) -> str:
    """Run the agent until its call is over; return what it printed."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "CALLSPAN_", "LIVEKIT_", "PYTHON"))
    }
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(_AGENT, folder)
        worker = subprocess.Popen(
            [sys.executable, "-B", _AGENT.name],
            cwd=folder,
            env={**variables, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            stdout, stderr = worker.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            # its job processes, too: they hold the pipes
            os.killpg(worker.pid, signal.SIGKILL)
            sys.exit(f"the worker did not end in {_TIMEOUT_S} s:\n{worker.communicate()[1]}")
    if worker.returncode != 0:
        sys.exit(f"the worker ended with {worker.returncode}:\n{stderr}")
    return stdout


def wrong_with_trace(spans: list[Span]) -> Iterator[str]:
    """Yield what keeps the spans from being one whole trace of a call."""
    traces = {span.trace_id for span in spans}
    if len(traces) != 1:
        yield f"{len(spans)} spans in {len(traces)} traces; it has to be one trace"
    known = {span.span_id for span in spans}
    if len(known) != len(spans):
        yield "a span arrived twice"
    roots = [span.name for span in spans if not span.parent_span_id]
    if roots != ["job_entrypoint"]:
        yield f"the roots are {roots}; it has to be one, job_entrypoint"
    if orphans := [s.name for s in spans if s.parent_span_id and s.parent_span_id not in known]:
        yield f"the parents of {orphans} did not arrive"
    names = Counter(span.name for span in spans)
    for name in ("agent_session", "agent_turn", "llm_request"):
        if names[name] != 1:
            yield f"{names[name]} spans named {name}; it has to be one"


def problems() -> Iterator[str]:
    """Yield what is wrong with the installed package."""
    installed = Path(callspan.__file__)
    if not installed.is_relative_to(sys.prefix):
        yield f"callspan is imported from {installed}, not from this environment, {sys.prefix}"
    entry_points = metadata.distribution("callspan").entry_points
    if not entry_points:
        yield "the distribution has no entry points"
    for entry_point in entry_points:
        try:
            entry_point.load()
        except Exception as error:  # noqa: BLE001
            yield f"entry point {entry_point.group}: {entry_point.value} does not load: {error!r}"
    with receiver() as (endpoint, received):
        printed = take_call(endpoint)
    processes = re.findall(r"^(WORKER|CALL) in process (\d+)$", printed, re.MULTILINE)
    if [who for who, _ in processes] != ["WORKER", "CALL"] or processes[0][1] == processes[1][1]:
        yield f"no call in a job process of its own; the agent printed:\n{printed}"
    yield from wrong_with_trace(received.spans)
    if (sessions := sum(received.sessions.values())) != 1:
        yield f"agent.sessions is {sessions}; it has to be 1"


if __name__ == "__main__":
    if wrong := list(problems()):
        sys.exit("\n".join(wrong))
    print(f"callspan {callspan.__version__}: one call, one whole trace, agent.sessions 1")
