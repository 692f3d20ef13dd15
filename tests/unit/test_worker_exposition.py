# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The state as others read it: a Prometheus scrape, OTLP, the console."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from io import StringIO
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (
    OTLPMetricExporter as GrpcExporter,
)
from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
    OTLPMetricExporter as HttpExporter,
)
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    NumberDataPoint,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from callspan import semconv
from callspan.metrics.wire.rows import (
    Batch,
    Distribution,
    Exemplar,
    Instrument,
    Row,
    attributes_of,
    own_row,
)
from callspan.metrics.worker import endpoint as endpoint_module
from callspan.metrics.worker.endpoint import EndpointError, ScrapeEndpoint
from callspan.metrics.worker.naming import family_name, labels
from callspan.metrics.worker.prometheus import StateCollector
from callspan.metrics.worker.push import MetricPusher, with_instance_id
from callspan.metrics.worker.state import State
from offline.receiver import OtlpReceiver

_RESOURCE = Resource(
    {
        "service.name": "receptionist",
        "service.version": "1.2.0",
        "deployment.environment.name": "production",
        "service.namespace": "",
    }
)
_EXEMPLAR = Exemplar(0xABC, 0xDEF, 0.3, 1_700_000_000_500_000_000)
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"
_ANY_PORT = {"OTEL_EXPORTER_PROMETHEUS_PORT": "0"}


def _a_call(state: State, outcome: str = "completed") -> None:
    """Add what a call comes to."""
    latency = Instrument("greeting.latency", "histogram", "s", "Latency.", (0.1, 0.5, 1.0))
    active = Instrument("agent.sessions.active", "updowncounter", "{session}", "Active.")
    age = Instrument("queue.age", "gauge", "s", "Age.")
    agent = attributes_of({"agent_name": 'the "best"\\one\n'})
    state.apply(
        Batch(
            (
                own_row(semconv.M_SESSIONS, {"agent_name": "a", "outcome": outcome}),
                Row(latency, agent, 1, 2, Distribution(2.3, (0, 1, 0, 1)), (_EXEMPLAR,)),
                Row(active, agent, 1, 2, 1),
                Row(age, (), 0, 2, 0.5),
            )
        ),
        "process",
    )


@pytest.fixture
def state() -> State:
    made = State()
    _a_call(made)
    return made


@pytest.fixture
def registry(state: State) -> CollectorRegistry:
    made = CollectorRegistry()
    StateCollector(state, _RESOURCE).register(made)
    return made


@pytest.fixture
def endpoint(registry: CollectorRegistry) -> Iterator[ScrapeEndpoint]:
    made = ScrapeEndpoint(registry, environ=_ANY_PORT)
    yield made
    made.close()


def _scrape(endpoint: ScrapeEndpoint, accept: str = "text/plain") -> str:
    request = urllib.request.Request(endpoint.address, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        scraped: bytes = answer.read()
    return scraped.decode()


# --- Prometheus --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("agent.sessions", "{session}", "counter", "agent_sessions"),
        ("agent.session.duration", "s", "histogram", "agent_session_duration_seconds"),
        ("agent.session.cost", "dollars", "histogram", "agent_session_cost_dollars"),
        ("agent.cost", "dollars", "counter", "agent_cost_dollars"),
        ("agent.sessions.active", "{session}", "updowncounter", "agent_sessions_active"),
        ("agent.llm.tokens", "{token}/s", "histogram", "agent_llm_tokens_per_second"),
        (
            "agent.vad.inference.duration",
            "s",
            "counter",
            "agent_vad_inference_duration_seconds",
        ),
        ("agent.conversion.value", "", "counter", "agent_conversion_value"),
        ("agent.telemetry.up", "", "gauge", "agent_telemetry_up"),
        ("agent.telemetry.export.age", "s", "gauge", "agent_telemetry_export_age_seconds"),
        ("gen_ai.client.token.usage", "{token}", "histogram", "gen_ai_client_token_usage"),
        ("process.cpu.utilization", "1", "gauge", "process_cpu_utilization_ratio"),
        ("hits", "1", "counter", "hits"),
        ("hits_total", "", "counter", "hits"),
        (
            "http.server.request.duration",
            "ms",
            "histogram",
            "http_server_request_duration_milliseconds",
        ),
        ("io", "By/s", "gauge", "io_bytes_per_second"),
        ("2xx.answers", "", "counter", "_2xx_answers"),
        ("a--b..c", "µ§", "gauge", "a_b_c"),
    ],
)
def test_names_are_those_of_the_collector(name: str, unit: str, kind: Any, expected: str) -> None:
    """Dots and units as OpenTelemetry's rules for Prometheus have them; ``_total`` comes later."""
    assert family_name(name, unit, kind) == expected


def test_labels_that_come_to_be_spelled_alike_are_joined() -> None:
    """One of them would vanish otherwise."""
    assert labels({"a.b": "x", "a_b": True, "9": 200}) == {"a_b": "x;true", "key_9": "200"}


def test_both_formats_are_valid_and_say_the_same(endpoint: ScrapeEndpoint) -> None:
    """A parser of each format accepts the scrape; labels survive what is in them."""
    text = _scrape(endpoint)
    openmetrics = _scrape(endpoint, _OPENMETRICS)
    read = [
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in parse(scraped)
            for sample in family.samples
        }
        for parse, scraped in ((read_text, text), (read_openmetrics, openmetrics))
    ]
    assert read[0] == read[1]
    agent = ("agent_name", 'the "best"\\one\n')
    assert read[0]["greeting_latency_seconds_bucket", frozenset({agent, ("le", "0.5")})] == 1
    assert read[0]["greeting_latency_seconds_bucket", frozenset({agent, ("le", "+Inf")})] == 2
    assert read[0]["greeting_latency_seconds_sum", frozenset({agent})] == 2.3
    assert read[0]["greeting_latency_seconds_count", frozenset({agent})] == 2
    assert read[0]["agent_sessions_active", frozenset({agent})] == 1
    assert read[0]["queue_age_seconds", frozenset()] == 0.5
    sessions = frozenset({("agent_name", "a"), ("outcome", "completed")})
    assert read[0]["agent_sessions_total", sessions] == 1
    assert "_created" not in text + openmetrics


def test_two_releases_can_be_compared(endpoint: ScrapeEndpoint) -> None:
    """What is being measured is in one series, not in the labels of all of them."""
    assert (
        'target_info{deployment_environment_name="production",service_name="receptionist",'
        'service_version="1.2.0"} 1.0' in _scrape(endpoint)
    )


def test_an_exemplar_leads_to_its_span(endpoint: ScrapeEndpoint) -> None:
    """In OpenMetrics, on the bucket that the value fell into; the text format has none."""
    (family,) = (
        family
        for family in read_openmetrics(_scrape(endpoint, _OPENMETRICS))
        if family.name == "greeting_latency_seconds"
    )
    [(bound, exemplar)] = [(s.labels["le"], s.exemplar) for s in family.samples if s.exemplar]
    assert bound == "0.5"
    assert exemplar.labels == {"trace_id": f"{0xABC:032x}", "span_id": f"{0xDEF:016x}"}
    assert (exemplar.value, float(exemplar.timestamp)) == (0.3, 1_700_000_000.5)
    assert "trace_id" not in _scrape(endpoint)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_say(endpoint: ScrapeEndpoint) -> None:
    """Names, units and help texts are as Prometheus wants them."""
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=_scrape(endpoint),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_scrape_is_of_now(endpoint: ScrapeEndpoint, state: State) -> None:
    """Nothing is cached between a call and its scrape."""
    for expected in (2, 3):
        _a_call(state)
        assert f'outcome="completed"}} {expected}.0' in _scrape(endpoint)


@pytest.mark.parametrize("theirs_first", [True, False])
def test_of_families_with_one_name_ours_is_served(
    theirs_first: bool, state: State, caplog: pytest.LogCaptureFixture
) -> None:
    """Who used to count with prometheus_client may leave it there: the scrape stays valid."""
    registry = CollectorRegistry()
    if not theirs_first:
        StateCollector(state, _RESOURCE).register(registry)
    for name in ("agent_sessions_total", "their_own_total"):
        Counter(name, "Theirs.", ["agent_name"], registry=registry).labels("theirs").inc(0)
    if theirs_first:
        StateCollector(state, _RESOURCE).register(registry)
    endpoint = ScrapeEndpoint(registry, environ=_ANY_PORT)
    for _ in range(2):
        scraped = _scrape(endpoint)
    endpoint.close()
    assert scraped.count("# TYPE agent_sessions_total counter") == 1
    assert 'agent_sessions_total{agent_name="theirs"}' not in scraped
    assert 'agent_sessions_total{agent_name="a",outcome="completed"} 1.0' in scraped
    assert 'their_own_total{agent_name="theirs"} 0.0' in scraped
    (record,) = caplog.records
    assert record.getMessage().startswith("agent_sessions is registered")


def test_a_registry_that_has_the_names_takes_ours_too() -> None:
    """Registering raises neither in our code nor, afterwards, in the application's."""
    registry = CollectorRegistry(auto_describe=True)
    Counter("agent_sessions_total", "Theirs.", registry=registry)
    state = State()
    _a_call(state)
    collector = StateCollector(state, _RESOURCE)
    collector.register(registry)
    Counter("greeting_latency_seconds", "Theirs.", registry=registry)
    collector.unregister(registry)
    assert registry.get_sample_value("target_info") is None


def test_metrics_that_come_to_be_spelled_alike_are_one_family(
    state: State, endpoint: ScrapeEndpoint
) -> None:
    """The scrape stays valid; the first one has the name."""
    state.add(own_row(semconv.M_SESSIONS._replace(name="agent_sessions"), {}, 5))
    assert "\nagent_sessions_total 5" not in _scrape(endpoint)


def test_a_taken_port_is_said_with_the_remedy(registry: CollectorRegistry) -> None:
    """Two workers on one host: the second one has no endpoint, and says why."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(EndpointError) as caught:
            ScrapeEndpoint(
                registry,
                environ={
                    "OTEL_EXPORTER_PROMETHEUS_PORT": port,
                    "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
                },
            )
    assert str(caught.value) == (
        f"OTEL_EXPORTER_PROMETHEUS_PORT={port}: cannot serve metrics on 127.0.0.1:{port} "
        "([Errno 98] Address already in use); calls are counted and go out by the other routes; "
        "free the port or set another one"
    )


@pytest.mark.parametrize("port", ["ninety", "123456", "-1"])
def test_a_port_that_is_none_is_said(registry: CollectorRegistry, port: str) -> None:
    """With the variable and the value."""
    with pytest.raises(EndpointError, match=f"OTEL_EXPORTER_PROMETHEUS_PORT={port}: "):
        ScrapeEndpoint(registry, environ={"OTEL_EXPORTER_PROMETHEUS_PORT": port})


# --- push --------------------------------------------------------------------------------------


def _exporter(protocol: str, endpoint: str) -> MetricExporter:
    if protocol == "grpc":
        return GrpcExporter(endpoint=endpoint, insecure=True)
    return HttpExporter(endpoint=f"{endpoint}/v1/metrics")


def _points(request: Any) -> dict[str, list[Any]]:
    return {
        metric.name: list(getattr(metric, metric.WhichOneof("data")).data_points)
        for resource_metrics in request.resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
    }


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_the_state_is_pushed_on_the_interval(
    protocol: Any, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standard variable says how often; the last push is at the end."""
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
    with OtlpReceiver(protocol=protocol) as receiver:
        push = MetricPusher(
            state, with_instance_id(_RESOURCE), _exporter(protocol, receiver.endpoint), "backend"
        )
        assert receiver.wait_for(lambda it: len(it.metric_requests) >= 2, 10)
        _a_call(state)
        push.close(10)
        requests = receiver.metric_requests
    read = [_points(request) for request in requests]
    sessions = [points["agent.sessions"][0] for points in read]
    assert sessions[-1].as_int == 2
    assert [point.as_int for point in sessions] == sorted(point.as_int for point in sessions)
    assert len({point.start_time_unix_nano for point in sessions}) == 1
    assert all(a.time_unix_nano < b.time_unix_nano for a, b in pairwise(sessions))
    (latency,) = read[-1]["greeting.latency"]
    assert (latency.count, latency.sum, list(latency.bucket_counts)) == (4, 4.6, [0, 2, 0, 2])
    assert not any(map(latency.HasField, ("min", "max")))
    (exemplar,) = latency.exemplars
    assert (exemplar.trace_id.hex(), exemplar.span_id.hex()) == (f"{0xABC:032x}", f"{0xDEF:016x}")
    assert not exemplar.filtered_attributes
    assert read[-1]["queue.age"][0].as_double == 0.5
    (scope,) = (
        one.scope
        for one in requests[-1].resource_metrics[0].scope_metrics
        if one.scope.name == semconv.SCOPE_NAME
    )
    assert scope.version
    # one instance stands for the worker, whatever process recorded
    instances = {
        attribute.value.string_value
        for request in requests
        for attribute in request.resource_metrics[0].resource.attributes
        if attribute.key == "service.instance.id"
    }
    assert len(instances) == 1


@pytest.mark.parametrize(
    ("preference", "expected"),
    [
        # what is pushed after one call, after nothing new, after one more: sessions, latencies
        ("cumulative", [(1, 2), (1, 2), (2, 4)]),
        ("delta", [(1, 2), (None, None), (1, 2)]),
        ("lowmemory", [(1, 2), (None, None), (1, 2)]),
    ],
)
def test_the_temporality_is_what_the_standard_variable_says(
    preference: str,
    expected: list[tuple[int | None, int | None]],
    state: State,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Deltas are taken from the one state, for each exporter by itself."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)
    with OtlpReceiver() as receiver:
        push = MetricPusher(state, _RESOURCE, _exporter("http", receiver.endpoint), "backend")
        push.flush()
        push.flush()
        _a_call(state)
        push.flush()
        push.close(10)
        read = [_points(request) for request in receiver.metric_requests[:3]]
    pushed = []
    for points in read:
        sessions, latencies = points.get("agent.sessions"), points.get("greeting.latency")
        pushed.append(
            (sessions[0].as_int if sessions else None, latencies[0].count if latencies else None)
        )
        # what stands, stands: it is never a delta
        assert points["agent.sessions.active"][0].as_int >= 1
    assert pushed == expected
    if preference == "delta":
        first, _, third = (points.get("greeting.latency") for points in read)
        assert first is not None
        assert third is not None
        assert third[0].start_time_unix_nano > first[0].start_time_unix_nano
        assert list(third[0].bucket_counts) == [0, 1, 0, 1]
        assert third[0].sum == pytest.approx(2.3)
        assert len(first[0].exemplars) == 1
        assert len(third[0].exemplars) == 0


def test_several_at_once_say_the_same(state: State, endpoint: ScrapeEndpoint) -> None:
    """A scrape and a push are read from one state."""
    out = StringIO()
    console = MetricPusher(state, _RESOURCE, ConsoleMetricExporter(out=out), "backend")
    with OtlpReceiver() as receiver:
        push = MetricPusher(state, _RESOURCE, _exporter("http", receiver.endpoint), "backend")
        console.close(10)
        push.close(10)
        (request,) = receiver.metric_requests
    printed = {
        metric["name"]: metric["data"]["data_points"]
        for scope in json.loads(out.getvalue())["resource_metrics"][0]["scope_metrics"]
        for metric in scope["metrics"]
    }
    pushed = _points(request)
    # the second push tells of how the first one went
    destinations = {semconv.M_TELEMETRY_UP.name, semconv.M_TELEMETRY_EXPORT_AGE.name}
    assert pushed.keys() - printed.keys() == destinations
    assert printed.keys() < pushed.keys()
    assert printed["agent.sessions"][0]["value"] == pushed["agent.sessions"][0].as_int == 1
    assert 'outcome="completed"} 1.0' in _scrape(endpoint)


def test_how_deliveries_go_is_known(
    state: State, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the newest export succeeded, and how long ago one last did."""
    caplog.set_level(logging.CRITICAL)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")

    def gauges() -> dict[str, float]:
        return {
            metric.name: point.value
            for scope in state.read()
            for metric in scope.metrics
            for point in metric.data.data_points
            if dict(point.attributes or {}) == {"destination": "backend"}
            and isinstance(point, NumberDataPoint)
        }

    with OtlpReceiver() as receiver:
        push = MetricPusher(state, _RESOURCE, _exporter("http", receiver.endpoint), "backend")
        assert gauges() == {}
        push.flush()
        delivered = gauges()
        assert delivered["agent.telemetry.up"] == 1
        assert 0 <= delivered["agent.telemetry.export.age"] < 60
        receiver.mode = "refuse"
        push.flush()
        failed = gauges()
        assert failed["agent.telemetry.up"] == 0
        # nothing was delivered since: it only gets older
        assert failed["agent.telemetry.export.age"] > delivered["agent.telemetry.export.age"]
        push.close(0.1)


def test_an_end_waits_for_no_backend_longer_than_it_may(state: State) -> None:
    """A backend that never answers does not hold up the worker's shutdown."""
    with OtlpReceiver(mode="hang") as receiver:
        push = MetricPusher(state, _RESOURCE, _exporter("http", receiver.endpoint), "backend")
        began = time.monotonic()
        push.close(0.5)
        assert time.monotonic() - began < 3


def test_a_state_with_nothing_in_it_is_pushed_as_such() -> None:
    """A worker without a call yet sends no series."""
    with OtlpReceiver() as receiver:
        push = MetricPusher(State(), _RESOURCE, _exporter("http", receiver.endpoint), "backend")
        push.close(10)
        assert all(not _points(request) for request in receiver.metric_requests)


def test_a_given_instance_stays() -> None:
    """Who names the worker's instance is obeyed; else it gets one."""
    given = with_instance_id(Resource({"service.instance.id": "mine"}))
    assert given.attributes["service.instance.id"] == "mine"
    made = [with_instance_id(_RESOURCE).attributes["service.instance.id"] for _ in range(2)]
    assert made[0] != made[1]


def test_a_push_goes_on_after_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted, and the next interval sends."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
    state = State()
    read, failures = state.read, iter([RuntimeError("not today")])

    def fail_once() -> list[ScopeMetrics]:
        if (error := next(failures, None)) is not None:
            raise error
        return read()

    monkeypatch.setattr(state, "read", fail_once)
    with OtlpReceiver() as receiver:
        push = MetricPusher(state, _RESOURCE, _exporter("http", receiver.endpoint), "backend")
        assert receiver.wait_for(lambda it: bool(it.metric_requests), 30)
        push.close(10)

    (point,) = _points(receiver.metric_requests[0])["agent.telemetry.dropped"]
    assert {each.key: each.value.string_value for each in point.attributes} == {
        "signal": "metrics",
        "reason": "failed",
    }
    assert point.as_int == 1


# --- connections to the port -------------------------------------------------------------------


def _port(endpoint: ScrapeEndpoint) -> int:
    return urlsplit(endpoint.address).port or 0


def test_connections_that_say_nothing_are_cut(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some seconds, whether or not a byte comes now and then; a scrape is served."""
    monkeypatch.setattr(endpoint_module, "CONNECTION_S", 0.5)
    endpoint = ScrapeEndpoint(registry, environ={"OTEL_EXPORTER_PROMETHEUS_PORT": "0"})
    silent, dripping = (socket.create_connection(("localhost", _port(endpoint))) for _ in range(2))
    with silent, dripping:
        silent.settimeout(30)
        dripping.settimeout(0.1)
        while True:
            try:
                dripping.send(b"G")
                if dripping.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert silent.recv(1) == b""
    assert "target_info" in _scrape(endpoint)
    endpoint.close()


def test_connections_are_bounded_in_number(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many is refused at once; there are no more threads than connections."""
    endpoint = ScrapeEndpoint(registry, environ={"OTEL_EXPORTER_PROMETHEUS_PORT": "0"})
    before = threading.active_count()
    with contextlib.ExitStack() as held:
        clients = [
            held.enter_context(socket.create_connection(("localhost", _port(endpoint))))
            for _ in range(endpoint_module.MAX_CONNECTIONS + 4)
        ]
        refused = clients[-1]
        refused.settimeout(30)
        assert refused.recv(1) == b""
        assert threading.active_count() - before <= endpoint_module.MAX_CONNECTIONS
    endpoint.close()
