# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls that end in every way there is, and what a worker is to count of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from callspan import semconv
from kit.call_gate import CallGate
from kit.scrape import (
    TEXT,
    Totals,
    free_port,
    scrape,
    scraped_totals,
    wait_for_scrape,
)
from kit.workers import Run, run_agent
from offline.llm_server import Reply, Rule, Script, ScriptedChatServer, ToolCall
from offline.received import ReceivedSpan
from offline.receiver import OtlpReceiver

MODEL = Script(
    [
        Rule(Reply(tool_calls=(ToolCall("look_up"), ToolCall("book"))), user="tools"),
        # slow, so that this caller has long been in the call when it crashes
        Rule(Reply(tool_calls=(ToolCall("crash"),), first_token_delay=1.0), user="killed"),
        Rule(Reply("Goodbye.")),
    ]
)


PLAIN = ("plain-1", "plain-2", "plain-3", "plain-4", "plain-5", "plain-6", "plain-7", "plain-8")


IN_PROCESSES = ("plain-9", "killed-1", "tools-1", "sessionless-1", "broken-1", *PLAIN[:-1])


IN_THREADS = ("plain-9", "plain-10", "tools-1", "sessionless-1", "broken-1", *PLAIN[:-1])
"""Twelve calls each; a thread cannot be killed without its worker."""


def totals_of(sessions: Counter[str], jobs: Counter[str], tools: Counter[str]) -> Totals:
    """Return what is counted, zeros included, of calls that ended like this."""
    agent = ("agent_name", "receptionist")
    totals: Totals = {("agent_sessions_active", frozenset({agent})): 0}
    for outcome in semconv.OUTCOMES:
        labels = frozenset({agent, ("outcome", outcome)})
        totals["agent_sessions_total", labels] = sessions[outcome]
        if sessions[outcome] and outcome != "crashed":
            totals["agent_session_duration_seconds_count", labels] = sessions[outcome]
    for status in ("done", "failed", "crashed"):
        totals["agent_jobs_total", frozenset({agent, ("status", status)})] = jobs[status]
    for tool in ("look_up", "book", "crash"):
        for status in ("success", "error", "cancelled"):
            labels = frozenset({agent, ("tool_name", tool), ("status", status)})
            totals["agent_tool_calls_total", labels] = tools[f"{tool} {status}"]
    return totals


TOOLS = Counter({"look_up success": 1, "book error": 1})


EXPECTED = {
    IN_PROCESSES: totals_of(
        Counter(completed=9, error=1, crashed=1), Counter(done=10, failed=1, crashed=1), TOOLS
    ),
    IN_THREADS: totals_of(Counter(completed=10, error=1), Counter(done=11, failed=1), TOOLS),
}


@dataclass
class Worker:
    """A worker that runs, and then has run.

    Attributes:
        port: Where it serves, or should.
        gate: What it waits at.
        receiver: Where it sends.
        ending: What comes of it in the end.
    """

    port: int
    gate: CallGate
    receiver: OtlpReceiver
    ending: Future[Run]

    @property
    def pushed(self) -> ExportMetricsServiceRequest:
        """The last push of metrics."""
        return self.receiver.metric_requests[-1]


@contextmanager
def a_worker(
    rooms: tuple[str, ...],
    port: int,
    variables: Mapping[str, str],
    *,
    by_command: bool = False,
) -> Iterator[Worker]:
    """Start a worker, and have it end when this is left; it waits at the gate before its calls."""
    with (
        ScriptedChatServer(MODEL) as model,
        OtlpReceiver() as receiver,
        ThreadPoolExecutor(1) as pool,
        CallGate() as gate,
    ):
        ending = pool.submit(
            run_agent,
            "every_ending" if by_command else "every_ending_in_code",
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
                "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
                "OTEL_LOGS_EXPORTER": "none",
                "OPENAI_BASE_URL": model.base_url,
                "OPENAI_API_KEY": "none",
                "ROOMS": ",".join(rooms),
                "GATE": str(gate.port),
                **variables,
            },
            by_command=by_command,
            timeout_s=300,
        )
        yield Worker(port, gate, receiver, ending)


@dataclass
class Counted:
    """What a worker said of its calls.

    Attributes:
        rooms: The calls.
        exporters: OTEL_METRICS_EXPORTER.
        traced: Whether its spans are to arrive.
        run: How it ended, and what it printed.
        before: Its scrape before the first call; empty where it serves none.
        scraped: Its scrape after the last call, in OpenMetrics.
        text: The same in Prometheus's own format.
        pushes: The metrics that it sent.
        spans: The spans that it and its jobs sent.
    """

    rooms: tuple[str, ...]
    exporters: tuple[str, ...]
    traced: bool
    run: Run
    before: str
    scraped: str
    text: str
    pushes: list[ExportMetricsServiceRequest]
    spans: list[ReceivedSpan] = field(repr=False)


def count(
    rooms: tuple[str, ...], exporters: str, *, by_command: bool, variables: Mapping[str, str]
) -> Counted:
    """Have a worker take calls."""
    before = scraped = text = ""
    wanted = {"OTEL_METRICS_EXPORTER": exporters, **variables}
    with a_worker(rooms, free_port(), wanted, by_command=by_command) as worker:
        worker.gate.wait_until_up()
        if "prometheus" in exporters:
            before = scrape(worker.port)
        worker.gate.take_calls()
        if "prometheus" in exporters:
            scraped = wait_for_scrape(worker.port, lambda body: jobs_in(body) >= len(rooms))
            text = scrape(worker.port, TEXT)
    return Counted(
        rooms=rooms,
        exporters=tuple(exporters.split(",")),
        traced=not any(name.startswith("OTEL_TRACES_") for name in variables),
        run=worker.ending.result(),
        before=before,
        scraped=scraped,
        text=text,
        pushes=worker.receiver.metric_requests,
        spans=worker.receiver.spans,
    )


def jobs_in(scraped: str) -> float:
    """Return how many jobs a scrape says have ended."""
    totals = scraped_totals(scraped)
    return sum(value for (name, _), value in totals.items() if name == "agent_jobs_total")
