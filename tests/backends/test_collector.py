# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The shipped Collector files, run by a real Collector: what it accepts, drops, keeps and spells.

Calls of a real worker go through them in test_collector_calls.py.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as OTLPGrpcSpanExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode, set_span_in_context
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from backends.collector import (
    AGENT,
    CONFIG,
    DESTINATIONS,
    Collector,
    CollectorUnavailableError,
    find_or_build,
    required,
    validate,
)
from callspan import semconv
from callspan.metrics.worker.naming import family_name
from kit.otlp_backend import OtlpBackend
from kit.scrape import free_port, scrape
from offline.received import ReceivedSpan
from offline.receiver import OtlpReceiver

# the first run may have to build the Collector
pytestmark = pytest.mark.timeout(1800)

COMBINATIONS = (
    AGENT,
    (*AGENT, "keep-content.yaml"),
    *(("gateway.yaml", destination) for destination in DESTINATIONS),
    ("gateway.yaml", *DESTINATIONS),
)
"""What the README has people start, each on its own and all destinations at once."""

VARIABLES = {
    "LANGFUSE_BASIC_AUTH": "none",
    "GRAFANA_CLOUD_OTLP_ENDPOINT": "https://otlp-gateway-zone.grafana.net/otlp",
    "GRAFANA_CLOUD_BASIC_AUTH": "none",
    "PROMETHEUS_REMOTE_WRITE_URL": "http://localhost:9090/api/v1/write",
    "PATH": os.environ["PATH"],
}

MANIFEST = CONFIG / "builder.yaml"
SAID = "Zebra"
"""Content: wherever this word is found, content is."""


@pytest.fixture(scope="module")
def binary() -> Path:
    """The Collector."""
    return required()


# --- the files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("files", COMBINATIONS, ids="+".join)
def test_the_collector_accepts_the_files(binary: Path, files: tuple[str, ...]) -> None:
    """Without an error, and without a word about a deprecated spelling."""
    assert validate(binary, files, VARIABLES) == ""


def test_every_file_is_run() -> None:
    """None is shipped that no combination has in it."""
    shipped = {path.name for path in CONFIG.glob("*.yaml")}
    run = {name for files in COMBINATIONS for name in files}
    assert shipped - run == {"builder.yaml", "kustomization.yaml"}
    assert run < shipped


def test_an_agent_without_content_removal_does_not_start(binary: Path) -> None:
    """Forgetting the file is no way to let content through."""
    said = validate(binary, ("agent.yaml",), VARIABLES)
    assert 'references processor "filter/content" which is not configured' in said


def test_a_gateway_without_a_destination_does_not_start(binary: Path) -> None:
    """It would take telemetry and lose it."""
    said = validate(binary, ("gateway.yaml",), VARIABLES)
    assert "service must have at least one pipeline" in said


# --- content -----------------------------------------------------------------------------------

CONTENT_KEYS = (
    *sorted(semconv.CONTENT_ATTRIBUTES),
    *(f"{prefix}name" for prefix in semconv.CONTENT_ATTRIBUTE_PREFIXES),
    f"lk.{semconv.LK_PII_SEGMENT}.user_transcript",
    f"anything.{semconv.LK_PII_SEGMENT}",
    f"{semconv.LK_PII_SEGMENT}.anything",
)
OTHER_KEYS = (
    "lk.piiless",
    "gen_ai.request.model",
    "gen_ai.usage.input_tokens",
    "lk.sip.callID",
    "exception.type",
)


def send(agent: Collector, record: Callable[[TracerProvider], None]) -> None:
    """Send an agent the spans that are recorded; it has taken them when this returns."""
    provider = TracerProvider()
    exporter = OTLPSpanExporter(f"http://127.0.0.1:{agent.http_port}/v1/traces")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    record(provider)
    provider.shutdown()


def arrived(receiver: OtlpReceiver, count: int) -> list[ReceivedSpan]:
    """Return the spans that have arrived, once there are so many."""
    assert receiver.wait_for(lambda it: len(it.spans) >= count, timeout=20), receiver.requests
    return receiver.spans


def speak(provider: TracerProvider) -> None:
    """Record spans full of content: one with events, and one without any."""
    attributes = dict.fromkeys((*CONTENT_KEYS, *OTHER_KEYS, "exception.message"), SAID)
    tracer = provider.get_tracer("test")
    for name in ("with events", "without"):
        with tracer.start_as_current_span(name, attributes=attributes) as span:
            span.set_status(Status(StatusCode.ERROR, SAID))
            if name == "with events":
                span.add_event("exception", attributes)
                for event in semconv.CONTENT_EVENTS:
                    span.add_event(event, {"body": SAID})


def agent_before(receiver: OtlpReceiver) -> dict[str, str]:
    """Return the variables of an agent that passes on to a receiver."""
    return {"GATEWAY_ENDPOINT": receiver.endpoint.removeprefix("http://")}


def test_content_does_not_pass_the_agent(binary: Path, tmp_path: Path) -> None:
    """None of the attributes and events that the package calls content, on spans and on events."""
    with (
        OtlpReceiver(protocol="grpc") as receiver,
        Collector(binary, AGENT, tmp_path, agent_before(receiver)) as agent,
    ):
        agent.wait_until_ready(20)
        send(agent, speak)
        spans = arrived(receiver, 2)
    assert sorted(span.name for span in spans) == ["with events", "without"]
    kept = {**dict.fromkeys(OTHER_KEYS, SAID), "exception.message": semconv.REDACTED}
    for span in spans:
        assert span.attributes == kept
        assert (span.status_code, span.status_message) == (2, semconv.REDACTED)
    events = [event for span in spans for event in span.events]
    assert [(name, attributes) for name, _, attributes in events] == [("exception", kept)]


def test_content_passes_on_purpose(binary: Path, tmp_path: Path) -> None:
    """With the file that says so, all of it arrives."""
    with (
        OtlpReceiver(protocol="grpc") as receiver,
        Collector(binary, (*AGENT, "keep-content.yaml"), tmp_path, agent_before(receiver)) as agent,
    ):
        agent.wait_until_ready(20)
        send(agent, speak)
        spans = arrived(receiver, 2)
    for span in spans:
        assert set(CONTENT_KEYS) < set(span.attributes)
        assert span.status_message == SAID


# --- sampling and queues -----------------------------------------------------------------------


def test_sampling_keeps_whole_traces(binary: Path, tmp_path: Path) -> None:
    """Of many calls about the share that was asked for, and of each call all spans or none."""
    calls, spans_each = 200, 3

    def record(provider: TracerProvider) -> None:
        tracer = provider.get_tracer("test")
        for _ in range(calls):
            root = tracer.start_span("root")
            for _ in range(spans_each - 1):
                tracer.start_span("child", set_span_in_context(root)).end()
            root.end()

    with (
        OtlpReceiver(protocol="grpc") as receiver,
        Collector(
            binary,
            AGENT,
            tmp_path,
            {**agent_before(receiver), "TRACES_SAMPLING_PERCENTAGE": "50"},
        ) as agent,
    ):
        agent.wait_until_ready(20)
        send(agent, record)
        # one that stops sends what it has
        assert agent.stop(timeout_s=20) == 0
        spans = receiver.spans
    sizes = Counter(span.trace_id for span in spans)
    assert set(sizes.values()) == {spans_each}
    # a fair coin leaves this range once in ten million runs
    assert 60 <= len(sizes) <= 140


def test_what_waits_for_the_gateway_survives_a_restart(binary: Path, tmp_path: Path) -> None:
    """The queue is on disk: an agent that was stopped delivers when it is back."""
    with OtlpReceiver(protocol="grpc", mode="refuse") as receiver:
        with Collector(binary, AGENT, tmp_path, agent_before(receiver)) as agent:
            agent.wait_until_ready(20)
            send(agent, speak)
        assert receiver.spans == []
        receiver.mode = "ok"
        with Collector(binary, AGENT, tmp_path, agent_before(receiver)) as agent:
            agent.wait_until_ready(20)
            assert len(arrived(receiver, 2)) == 2


def test_a_wrong_key_is_in_the_log(binary: Path, tmp_path: Path) -> None:
    """The gateway says which destination refused it, and the key is not in what it says."""
    with OtlpBackend("/otlp", "1", "right") as backend:
        variables = {
            "GRAFANA_CLOUD_OTLP_ENDPOINT": f"{backend.origin}/otlp",
            "GRAFANA_CLOUD_BASIC_AUTH": "d3Jvbmc=",
        }
        files = ("gateway.yaml", "to-grafana-cloud.yaml")
        with Collector(binary, files, tmp_path / "gateway", variables) as gateway:
            gateway.wait_until_ready(20)
            agent_variables = {"GATEWAY_ENDPOINT": f"127.0.0.1:{gateway.grpc_port}"}
            with Collector(binary, AGENT, tmp_path / "agent", agent_variables) as agent:
                agent.wait_until_ready(20)
                send(agent, speak)
                backend.wait_for(lambda it: bool(it.refused), 20)
            gateway.stop(timeout_s=20)
            assert "otlp_http/grafana_cloud" in gateway.log
            assert "HTTP Status Code 401" in gateway.log
            assert "d3Jvbmc=" not in gateway.log
    assert backend.spans == []


def test_a_destination_that_is_away_holds_up_no_other(binary: Path, tmp_path: Path) -> None:
    """Each has a queue of its own."""
    with OtlpBackend("/otlp", "1", "right") as grafana:
        variables = {
            "LANGFUSE_BASE_URL": f"http://127.0.0.1:{free_port()}",
            "LANGFUSE_BASIC_AUTH": "none",
            "GRAFANA_CLOUD_OTLP_ENDPOINT": f"{grafana.origin}/otlp",
            "GRAFANA_CLOUD_BASIC_AUTH": grafana.basic_auth,
        }
        files = ("gateway.yaml", "to-langfuse.yaml", "to-grafana-cloud.yaml")
        with Collector(binary, files, tmp_path, variables) as gateway:
            gateway.wait_until_ready(20)
            provider = TracerProvider()
            address = f"127.0.0.1:{gateway.grpc_port}"
            exporter = OTLPGrpcSpanExporter(address, insecure=True)
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            provider.get_tracer("test").start_span("call").end()
            provider.shutdown()
            grafana.wait_for(lambda it: len(it.spans) == 1, 20)
            assert "otlp_http/langfuse" in gateway.log


# --- names -------------------------------------------------------------------------------------

SPELLED = (
    *((metric.name, metric.unit, metric.kind) for metric in semconv.METRICS),
    ("gen_ai.client.token.usage", "{token}", "histogram"),
    ("process.cpu.utilization", "1", "gauge"),
    ("cpu.ratio.now", "1", "gauge"),
    ("hits", "1", "counter"),
    ("hits_total", "", "counter"),
    ("total.hits", "", "counter"),
    ("http.server.request.duration", "ms", "histogram"),
    ("io", "By/s", "gauge"),
    ("io.bytes_per_second", "By/s", "gauge"),
    ("seconds.waited", "s", "counter"),
    ("a--b..c", "", "gauge"),
)
"""Ours, and what other instrumentations could come up with: name, unit, kind."""


def test_names_are_spelled_as_the_collector_spells_them(binary: Path, tmp_path: Path) -> None:
    """Otherwise a query would work on one route only."""
    port = free_port()
    overrides = {"exporters": {"prometheus": {"endpoint": f"127.0.0.1:{port}"}}}
    files = ("gateway.yaml", "to-prometheus.yaml")
    with Collector(binary, files, tmp_path, {}, overrides) as gateway:
        gateway.wait_until_ready(20)
        exporter = OTLPMetricExporter(f"127.0.0.1:{gateway.grpc_port}", insecure=True)
        provider = MeterProvider([PeriodicExportingMetricReader(exporter)])
        meter = provider.get_meter("test")
        for name, unit, kind in SPELLED:
            record_once(meter, name, unit, kind)
        provider.shutdown()
        served = {family.name for family in parse_openmetrics(scrape(port))}
    assert served - {"target_info"} == {family_name(*each) for each in SPELLED}


def record_once(meter: Meter, name: str, unit: str, kind: str) -> None:
    """Record one value with a new instrument."""
    if kind == "counter":
        meter.create_counter(name, unit).add(1)
    elif kind == "updowncounter":
        meter.create_up_down_counter(name, unit).add(1)
    elif kind == "histogram":
        meter.create_histogram(name, unit).record(1)
    else:
        meter.create_gauge(name, unit).set(1)


# --- the Collector itself ----------------------------------------------------------------------


def test_a_collector_that_is_none_is_named(tmp_path: Path) -> None:
    """A typo in the variable is not answered by building something else."""
    with pytest.raises(CollectorUnavailableError, match=r"OTELCOL_BINARY=.*/nothing: no exec"):
        find_or_build({"OTELCOL_BINARY": str(tmp_path / "nothing")})


def test_without_go_the_remedies_are_named(tmp_path: Path) -> None:
    """The message says what to install, and what to set instead."""
    with pytest.raises(CollectorUnavailableError, match=r"install Go .* or set OTELCOL_BINARY"):
        find_or_build({"XDG_CACHE_HOME": str(tmp_path), "PATH": str(tmp_path)})


def test_an_installed_collector_is_used(tmp_path: Path) -> None:
    """Before one is built."""
    installed = tmp_path / "otelcol-contrib"
    installed.touch(mode=0o755)
    assert find_or_build({"XDG_CACHE_HOME": str(tmp_path), "PATH": str(tmp_path)}) == installed


def test_a_build_is_used_for_its_own_manifest_only(tmp_path: Path) -> None:
    """A component that was added is not missed for a build that is there."""
    (version,) = re.findall(r"^  version: (\S+)$", MANIFEST.read_text(), re.MULTILINE)
    cache = tmp_path / "callspan" / f"collector-{version}"
    cache.mkdir(parents=True)
    built, manifest = cache / "otelcol", cache / MANIFEST.name
    built.touch(mode=0o755)
    manifest.write_text(MANIFEST.read_text())
    variables = {"XDG_CACHE_HOME": str(tmp_path), "PATH": str(tmp_path)}
    assert find_or_build(variables) == built
    manifest.write_text("another")
    with pytest.raises(CollectorUnavailableError, match="no Collector of this version at"):
        find_or_build(variables)
