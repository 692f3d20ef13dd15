# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls of a real worker through both Collectors to every end.

Langfuse and Grafana Cloud are stand-ins that check what the real ones do; Prometheus is real.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from backends.collector import (
    AGENT,
    DESTINATIONS,
    Collector,
    required,
)
from backends.routes import RoutePrometheus, Series, shipped_config
from callspan.export.content_filter import is_content
from kit.call_gate import CallGate
from kit.otlp_backend import OtlpBackend
from kit.prometheus import PrometheusUnavailableError, find
from kit.scrape import free_port, sent_totals
from kit.workers import Run, run_agent
from offline.llm_server import Reply, Rule, Script, ScriptedChatServer, ToolCall
from offline.received import ReceivedSpan

# the first run may have to build the Collector
pytestmark = pytest.mark.timeout(1800)

SAID = "Zebra"
"""Said by the model and by nobody else: wherever this word is found, content is."""
MODEL = Script(
    [
        Rule(Reply(tool_calls=(ToolCall("look_up"), ToolCall("book"))), user="tools"),
        # slow, so that this caller has long been in the call when it crashes
        Rule(Reply(tool_calls=(ToolCall("crash"),), first_token_delay=1.0), user="killed"),
        Rule(Reply(f"{SAID}.")),
    ]
)
ROOMS = (
    *(f"plain-{number}" for number in range(42)),
    *(f"tools-{number}" for number in range(6)),
    *("killed-1", "killed-2", "sessionless-1", "broken-1"),
)
OUTCOMES = {"completed": 48, "error": 1, "crashed": 2}

NAMES = "(agent|gen_ai|lk)_[a-z0-9_]+"
"""Of what a worker counts; recorded series have a colon in their names."""
LIVEKITS_OWN = "lk_agents_(worker_load|active_job_count|proc_initialize_duration_seconds.*)"
"""LiveKit's own Prometheus metrics in the same registry, which nobody pushes."""


@dataclass
class Routed:
    """What came of the calls at each end.

    Attributes:
        langfuse: Its stand-in.
        grafana: Its stand-in.
        own: What Prometheus scraped from the worker itself.
        by_gateway: What it scraped from the gateway.
        by_remote_write: What another was sent by the gateway.
        prometheus: The one that scrapes, with the shipped rules.
        since: When the calls began, Unix seconds.
        run: The worker, ended.
    """

    langfuse: OtlpBackend
    grafana: OtlpBackend
    own: Series
    by_gateway: Series
    by_remote_write: Series
    prometheus: RoutePrometheus
    since: float
    run: Run


@pytest.fixture(scope="module")
def routed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routed]:
    """52 calls, each in a job process of its own, of a worker that is scraped and that pushes."""
    try:
        programs = find()
    except PrometheusUnavailableError as problem:
        if os.environ.get("CI"):
            pytest.fail(str(problem), pytrace=False)
        pytest.skip(str(problem))
    binary = required()
    worker_port, gateway_port = free_port(), free_port()
    make = tmp_path_factory.mktemp
    with ExitStack() as stack:
        enter = stack.enter_context
        langfuse = enter(
            OtlpBackend(
                "/api/public/otel", "pk-lf-1", "sk-lf-1", {"x-langfuse-ingestion-version": "4"}
            )
        )
        grafana = enter(OtlpBackend("/otlp", "123456", "glc_token"))
        scraping = enter(
            RoutePrometheus(programs, make("scraping"), shipped_config(worker_port, gateway_port))
        )
        written = enter(
            RoutePrometheus(
                programs,
                make("written"),
                {"scrape_configs": []},
                "--web.enable-remote-write-receiver",
            )
        )
        gateway = enter(
            Collector(
                binary,
                ("gateway.yaml", *DESTINATIONS),
                make("gateway"),
                {
                    "LANGFUSE_BASE_URL": langfuse.origin,
                    "LANGFUSE_BASIC_AUTH": langfuse.basic_auth,
                    "GRAFANA_CLOUD_OTLP_ENDPOINT": f"{grafana.origin}/otlp",
                    "GRAFANA_CLOUD_BASIC_AUTH": grafana.basic_auth,
                    "PROMETHEUS_REMOTE_WRITE_URL": f"{written.url}/api/v1/write",
                },
                {"exporters": {"prometheus": {"endpoint": f"127.0.0.1:{gateway_port}"}}},
            )
        )
        agent = enter(
            Collector(
                binary,
                AGENT,
                make("agent"),
                {"GATEWAY_ENDPOINT": f"127.0.0.1:{gateway.grpc_port}"},
            )
        )
        model = enter(ScriptedChatServer(MODEL))
        pool = enter(ThreadPoolExecutor(1))
        gate = CallGate()
        for process in (scraping, written, gateway, agent):
            process.wait_until_ready(20)
        since = time.time()
        with gate:
            ending = pool.submit(
                run_agent,
                "every_ending_in_code",
                {
                    "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{agent.http_port}",
                    "OTEL_EXPORTER_PROMETHEUS_PORT": str(worker_port),
                    "OTEL_METRICS_EXPORTER": "prometheus,otlp",
                    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
                    "OTEL_LOGS_EXPORTER": "none",
                    "OTEL_SERVICE_NAME": "dental-receptionist",
                    "OTEL_RESOURCE_ATTRIBUTES": "service.version=1.2.3",
                    # so that there is something to take out
                    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
                    "OPENAI_BASE_URL": model.base_url,
                    "OPENAI_API_KEY": "none",
                    "ROOMS": ",".join(ROOMS),
                    "GATE": str(gate.port),
                },
                timeout_s=220,
            )
            gate.wait_until_up()
            gate.take_calls()
            own, by_gateway = wait_for_agreement(scraping, "livekit-agents", scraping)
            by_remote_write = wait_for_agreement(scraping, "livekit-agents", written)[1]
            for backend in (langfuse, grafana):
                backend.wait_for(lambda it: len(roots(it)) >= len(ROOMS) - 2, 20)
        yield Routed(
            langfuse=langfuse,
            grafana=grafana,
            own=own,
            by_gateway=by_gateway,
            by_remote_write=by_remote_write,
            prometheus=scraping,
            since=since,
            run=ending.result(),
        )


def counted(prometheus: RoutePrometheus, job: str) -> Series:
    """Return what a worker counts, as Prometheus has it; ages grow, and are left at 0."""
    series = prometheus.series(f'{{__name__=~"{NAMES}", __name__!~"{LIVEKITS_OWN}", job="{job}"}}')
    return {
        key: 0 if key[0] == "agent_telemetry_export_age_seconds" else value
        for key, value in series.items()
    }


def wait_for_agreement(
    own: RoutePrometheus, own_job: str, route: RoutePrometheus
) -> tuple[Series, Series]:
    """Return both ends once all jobs are in and they agree, or as they are in the end."""
    deadline = time.monotonic() + 20
    while True:
        ends = counted(own, own_job), counted(route, "dental-receptionist")
        jobs = sum(value for (name, _), value in ends[0].items() if name == "agent_jobs_total")
        if (jobs == len(ROOMS) and ends[0] == ends[1]) or time.monotonic() > deadline:
            return ends
        time.sleep(0.2)


def roots(backend: OtlpBackend) -> list[ReceivedSpan]:
    """Return the roots of the calls that have arrived."""
    return [span for span in backend.spans if span.name == "job_entrypoint"]


def one_push_each(request: ExportMetricsServiceRequest) -> list[ExportMetricsServiceRequest]:
    """Return what the Collector has put into one request apart again, in the same order."""
    return [
        ExportMetricsServiceRequest(resource_metrics=[push]) for push in request.resource_metrics
    ]


def test_the_calls_are_those_that_were_made(routed: Routed) -> None:
    """At least 50 job processes, each call counted once, by the worker itself."""
    assert len(ROOMS) >= 50
    sessions = {
        dict(labels)["outcome"]: value
        for (name, labels), value in routed.own.items()
        if name == "agent_sessions_total" and value
    }
    assert sessions == OUTCOMES
    assert routed.run.logged("ERROR") == []


@pytest.mark.parametrize("route", ["by_gateway", "by_remote_write"])
def test_a_route_through_the_collectors_changes_nothing(routed: Routed, route: str) -> None:
    """Names, labels and values of the worker's own scrape, ``job`` and ``instance`` apart."""
    arrived: Series = getattr(routed, route)
    assert arrived.keys() == routed.own.keys()
    assert arrived == routed.own


def test_target_info_tells_releases_apart(routed: Routed) -> None:
    """On the route, too; the service's name and instance are ``job`` and ``instance`` there."""
    joined = routed.prometheus.series(
        "sum by (service_version) (agent_sessions_total"
        ' * on (job, instance) group_left (service_version) target_info{job="dental-receptionist"})'
    )
    labels = frozenset({("service_version", "1.2.3")})
    assert joined == {("", labels): sum(OUTCOMES.values())}


def test_langfuse_gets_traces_as_it_documents(routed: Routed) -> None:
    """On its path, with its key and header; no metrics, and no generation without usage."""
    assert routed.langfuse.refused == []
    assert routed.langfuse.metrics == []
    assert len(roots(routed.langfuse)) == len(ROOMS) - OUTCOMES["crashed"]
    for span in routed.langfuse.spans:
        operation = span.attributes.get("gen_ai.operation.name")
        typed = span.attributes.get("langfuse.observation.type")
        assert typed == ("span" if operation in (None, "speech_to_text") else None)


def test_grafana_cloud_gets_both_signals_as_it_documents(routed: Routed) -> None:
    """On its paths, with its key, cumulative, and in the last push the worker's own numbers."""
    assert routed.grafana.refused == []
    assert len(roots(routed.grafana)) == len(ROOMS) - OUTCOMES["crashed"]
    sent = {
        key: value
        for request in routed.grafana.metrics
        for each in one_push_each(request)
        for key, value in sent_totals(each).items()
    }
    assert sum(count for (name, _), count in sent.items() if name == "agent_jobs_total") == len(
        ROOMS
    )
    assert sent == {key: routed.own[key] for key in sent}


def test_each_call_is_one_whole_trace(routed: Routed) -> None:
    """Behind two Collectors, batches and queues: no span twice, and no orphan but of the killed."""
    spans = routed.grafana.spans
    known = {(span.trace_id, span.span_id) for span in spans}
    ended = {span.trace_id for span in roots(routed.grafana)}
    assert len(known) == len(spans)
    assert [
        span.name
        for span in spans
        if span.parent_span_id
        and span.trace_id in ended
        and (span.trace_id, span.parent_span_id) not in known
    ] == []


def test_nothing_that_was_said_arrives(routed: Routed) -> None:
    """Although the worker sent it."""
    for backend in (routed.langfuse, routed.grafana):
        assert [span.name for span in backend.spans if SAID in repr(span)] == []
        assert {
            key for span in backend.spans for key in span.attributes if is_content(key)
        } == set()


def test_exemplars_pass_the_collectors(routed: Routed) -> None:
    """By the gateway's scrape, they lead to traces that have arrived."""
    exemplars = routed.prometheus.get(
        "query_exemplars",
        query='{__name__=~".+_bucket", job="dental-receptionist"}',
        start=routed.since,
        end=time.time(),
    )
    traces = {each["labels"]["trace_id"] for series in exemplars for each in series["exemplars"]}
    assert traces
    assert traces <= {span.trace_id for span in routed.grafana.spans}


def test_the_shipped_rules_record_real_calls(routed: Routed) -> None:
    """Each rule evaluates without an error; figures come out where there were calls."""
    rules = [rule for group in routed.prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert [rule["name"] for rule in rules if rule["health"] == "err"] == []
    (reliability,) = routed.prometheus.wait_for(
        "agent:tool_reliability:ratio_rate1h", wanted=bool
    ).values()
    # of each pair of tools one fails
    assert reliability == pytest.approx(0.5, abs=0.05)
