# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Private memory and start time that we add to a job process.

Real workers, one for each measurement, start job processes under forkserver one after the other;
all of them are looked at when they wait for their job. Time is what LiveKit's pool waits, from
the creation of a process until it is ready; memory is the process's unique set size. The first
process of a worker is left out: it starts the forkserver.

- nothing: no telemetry;
- native: a TracerProvider with a batch processor and an OTLP exporter, set in the setup function;
- ours: ``instrument()``, the same exporter, and metrics on their way to the worker.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil
from livekit.agents import AgentServer, JobContext, JobExecutorType, JobProcess, telemetry
from livekit.agents.ipc import proc_pool

PROCESSES = 4
ROUNDS = 4
VARIANTS = ("nothing", "native", "ours")
MOST_MB = 4
MOST_MS = 15

_VARIANT_VARIABLE = "BENCHMARK_VARIANT"

VARIANT = os.environ.get(_VARIANT_VARIABLE, "")

# as at the top of an agent.py, which each job process runs too
if VARIANT == "native":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
elif VARIANT == "ours":
    from callspan import instrument

    instrument()


def setup(process: JobProcess) -> None:
    """Runs in each job process before it waits for its job."""
    if VARIANT == "native":
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        telemetry.set_tracer_provider(provider, allow_pii=False)


async def entrypoint(ctx: JobContext) -> None:
    """No job comes."""


async def worker() -> None:
    """Run a worker until its processes are ready; print the megabytes and milliseconds of each."""
    moments: dict[Any, dict[str, float]] = {}
    emit = proc_pool.ProcPool.emit

    def emit_and_note(pool: Any, event: Any, *args: Any) -> None:
        moments.setdefault(args[0], {})[event] = time.perf_counter()
        emit(pool, event, *args)

    proc_pool.ProcPool.emit = emit_and_note  # type: ignore[method-assign]
    proc_pool.MAX_CONCURRENT_INITIALIZATIONS = 1
    server = AgentServer(
        setup_fnc=setup,
        num_idle_processes=PROCESSES,
        job_executor_type=JobExecutorType.PROCESS,
        multiprocessing_context="forkserver",
        port=0,
    )
    server.rtc_session(entrypoint)
    started = asyncio.Event()
    server.once("worker_started", started.set)
    running = asyncio.create_task(server.run(unregistered=True))
    async with asyncio.timeout(60):
        await started.wait()
    rows = [
        (
            psutil.Process(process.pid).memory_full_info().uss / 1e6,
            (moment["process_ready"] - moment["process_created"]) * 1000,
        )
        for process, moment in moments.items()
        if "process_ready" in moment
    ]
    await server.aclose()
    await running
    print(json.dumps(rows[1:]))


class _Sink(BaseHTTPRequestHandler):
    """An OTLP backend that takes everything."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


def measure(variant: str, endpoint: str) -> list[tuple[float, float]]:
    """Return the megabytes and milliseconds of each job process of one worker."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    environ |= {
        _VARIANT_VARIABLE: variant,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    # an installed package is compiled once, not in every job process
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, __file__, "worker"],
        env=environ,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    rows = json.loads(done.stdout.splitlines()[-1])
    assert len(rows) == PROCESSES - 1, rows
    return [(megabytes, ms) for megabytes, ms in rows]


def main() -> None:
    """Measure and print."""
    rows: dict[str, list[tuple[float, float]]] = {variant: [] for variant in VARIANTS}
    with ThreadingHTTPServer(("127.0.0.1", 0), _Sink) as sink:
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        for _ in range(ROUNDS):
            for variant in VARIANTS:
                rows[variant] += measure(variant, f"http://127.0.0.1:{sink.server_port}")
        sink.shutdown()
    count = len(rows["ours"])
    print(f"job process under forkserver, median of {count}:")
    medians: dict[str, tuple[float, float]] = {}
    for variant, measured in rows.items():
        megabytes, ms = (statistics.median(column) for column in zip(*measured, strict=True))
        medians[variant] = (megabytes, ms)
        print(f"  {variant:8} {megabytes:6.1f} MB private, ready after {ms:6.1f} ms")
    for other in ("native", "nothing"):
        more_mb, more_ms = (a - b for a, b in zip(medians["ours"], medians[other], strict=True))
        ratios = [a / b for a, b in zip(medians["ours"], medians[other], strict=True)]
        print(
            f"  ours beside {other:8} {more_mb:+5.1f} MB ({ratios[0]:.2f}), "
            f"{more_ms:+6.1f} ms ({ratios[1]:.2f}); goal {MOST_MB} MB, {MOST_MS} ms"
        )


if __name__ == "__main__":
    if sys.argv[1:] == ["worker"]:
        asyncio.run(worker())
    else:
        main()
