# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The doctor as a user runs it: stand-ins at the backends' addresses, and agents of every kind.

The stand-ins refuse what the real ones document to refuse: another path, key, protocol or
temporality, a missing header.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from callspan.providers.presets import names_for
from kit.otlp_backend import OtlpBackend
from kit.paths import AGENTS
from kit.scrape import free_port
from offline.receiver import OtlpReceiver

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
PREFERENCE = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
ONLY_TRACES = {"OTEL_METRICS_EXPORTER": "none"}
ONLY_METRICS = {"OTEL_TRACES_EXPORTER": "none"}
NOTHING = {**ONLY_TRACES, **ONLY_METRICS}
_TIMEOUT_S = 90.0


@dataclass(frozen=True)
class Report:
    """What a run of the doctor said."""

    exit_status: int
    verdicts: list[dict[str, str]]
    output: str

    def of(self, check: str) -> tuple[str, str, str]:
        """The status, finding and remedy of a check that says one thing."""
        (verdict,) = self.all_of(check)
        return verdict

    def all_of(self, check: str) -> list[tuple[str, str, str]]:
        """The status, finding and remedy of each thing that a check says."""
        return [
            (verdict["status"], verdict["finding"], verdict["remedy"])
            for verdict in self.verdicts
            if verdict["check"] == check
        ]


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in an environment without any telemetry of ours."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "LIVEKIT_", "LANGFUSE_", "GRAFANA_", "PYTEST_"))
        and not name.lower().endswith("_proxy")
    }
    return subprocess.run(
        [sys.executable, "-m", "callspan.cli", *arguments],
        env={**environ, "OTEL_SERVICE_NAME": "doctors", **variables},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )


def doctor(*arguments: str, **variables: str) -> Report:
    """Run the doctor and read its JSON; it says nothing on stderr."""
    done = run("doctor", "--json", *arguments, **variables)
    assert done.stderr == ""
    return Report(done.returncode, json.loads(done.stdout)["verdicts"], done.stdout)


@contextmanager
def answering(
    status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A server that gives every request the same answer; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keeps the terminal for the tests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


# --- what arrives ------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_span_and_a_sum_of_nothing_arrive(protocol: str) -> None:
    """Both signals are tried for real, and timed; the sum adds nothing to any panel."""
    with OtlpReceiver(protocol=protocol) as receiver:  # type: ignore[arg-type]
        named = {"http": "http/protobuf", "grpc": "grpc"}[protocol]
        endpoint = receiver.endpoint
        report = doctor(**{ENDPOINT: endpoint, PROTOCOL: named})
        (span,) = receiver.spans
        (request,) = receiver.metric_requests

    assert report.exit_status == 0
    status, finding, remedy = report.of("traces")
    assert (status, remedy) == ("ok", "")
    assert finding.startswith(f"otlp({named} {endpoint}")
    assert " ms" in finding
    assert "took a test export" in report.of("metrics")[1]
    assert span.name == "callspan doctor"
    assert span.resource["service.name"] == "doctors"
    (metric,) = request.resource_metrics[0].scope_metrics[0].metrics
    assert metric.name == "agent.telemetry.dropped"
    assert metric.sum.data_points[0].as_int == 0


# --- wrong addresses and protocols -------------------------------------------------------------


def test_signal_path_twice() -> None:
    """The path that the exporter adds is named, and the address without it; nothing is sent."""
    with OtlpReceiver() as receiver:
        endpoint = receiver.endpoint
        report = doctor(**{ENDPOINT: f"{endpoint}/v1/traces"})
        assert receiver.requests == []

    assert report.exit_status == 1
    assert report.of("traces") == (
        "problem",
        f"{ENDPOINT}: the signal's path is in it, and is added once more: "
        f"{endpoint}/v1/traces/v1/traces",
        f"write {ENDPOINT}={endpoint}",
    )
    assert f"{endpoint}/v1/traces/v1/metrics" in report.of("metrics")[1]


def test_path_of_another_signal() -> None:
    """Spans at the metrics path are said to be there."""
    variable = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    report = doctor(**ONLY_TRACES, **{variable: "http://127.0.0.1:1/v1/metrics"})
    assert report.of("traces") == (
        "problem",
        f"{variable}: traces go to the path of another signal: http://127.0.0.1:1/v1/metrics",
        f"write {variable}=http://127.0.0.1:1/v1/traces",
    )


def test_signal_endpoint_without_a_path() -> None:
    """Nothing is added to a signal's own variable: the remedy is the whole address."""
    variable = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    with OtlpReceiver() as receiver:
        report = doctor(**ONLY_TRACES, **{variable: receiver.endpoint})
        endpoint = receiver.endpoint
    assert report.of("traces") == (
        "problem",
        f"otlp(http/protobuf {endpoint}): answers 404: no OTLP at this path",
        f"nothing is added to {variable}: write {variable}={endpoint}/v1/traces",
    )


def test_grpc_where_only_http_is_taken() -> None:
    """The port is asked which protocol it speaks; the variable that chose gRPC is named."""
    with OtlpReceiver() as receiver:
        report = doctor(**{ENDPOINT: receiver.endpoint, PROTOCOL: "grpc"})
        address = receiver.endpoint.removeprefix("http://")
    assert report.exit_status == 1
    assert report.of("traces") == (
        "problem",
        f"otlp(grpc http://{address}): gRPC, and {address} takes HTTP only ({PROTOCOL}=grpc)",
        f"write {PROTOCOL}=http/protobuf",
    )
    assert report.of("metrics")[0] == "problem"


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://us.cloud.langfuse.com/api/public/otel",
        "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp",
    ],
)
def test_grpc_to_backends_that_document_http_only(endpoint: str) -> None:
    """They need not be asked."""
    report = doctor(**ONLY_TRACES, **{ENDPOINT: endpoint, PROTOCOL: "grpc"})
    assert report.of("traces") == (
        "problem",
        f"{PROTOCOL}=grpc: gRPC, and {endpoint} takes HTTP only",
        "write OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf",
    )


def test_http_at_a_grpc_port() -> None:
    """The other way round: the protocol, or the other port."""
    with OtlpReceiver(protocol="grpc") as receiver:
        report = doctor(**ONLY_TRACES, **{ENDPOINT: receiver.endpoint, PROTOCOL: "http/protobuf"})
        address = receiver.endpoint.removeprefix("http://")
    assert report.of("traces") == (
        "problem",
        f"otlp(http/protobuf http://{address}/v1/traces): HTTP, and {address} takes gRPC only",
        f"write {PROTOCOL}=grpc, or the port that takes HTTP, which is 4318 by default, into "
        f"{ENDPOINT}",
    )


def test_tls_where_there_is_none() -> None:
    """Over HTTP by the scheme, over gRPC also by its absence."""
    with OtlpReceiver() as receiver:
        secure = receiver.endpoint.replace("http://", "https://")
        report = doctor(**ONLY_TRACES, **{ENDPOINT: secure})
    assert report.of("traces") == (
        "problem",
        f"otlp(http/protobuf {secure}/v1/traces): this port speaks without TLS",
        f"write http:// instead of https:// in {ENDPOINT}",
    )
    with OtlpReceiver(protocol="grpc") as receiver:
        address = receiver.endpoint.removeprefix("http://")
        report = doctor(**ONLY_TRACES, **{ENDPOINT: address, PROTOCOL: "grpc"})
    assert report.of("traces") == (
        "problem",
        f"otlp(grpc {address}): with TLS, which {address} does not speak",
        f"write {ENDPOINT}=http://{address}",
    )


def test_nobody_there_and_no_such_host() -> None:
    """Not connected and not resolved are two findings."""
    port = free_port()
    report = doctor(**ONLY_TRACES, **{ENDPOINT: f"http://127.0.0.1:{port}"})
    status, finding, remedy = report.of("traces")
    assert status == "problem"
    assert f"nobody takes a connection at 127.0.0.1:{port}" in finding
    assert ENDPOINT in remedy
    host = "otlp-gateway-prod-nowhere-9.invalid"
    report = doctor(**ONLY_TRACES, **{ENDPOINT: f"https://{host}/otlp"})
    status, finding, remedy = report.of("traces")
    assert status == "problem"
    assert f"the name {host} is not known" in finding
    assert remedy == f"look at the spelling in {ENDPOINT}, and at this machine's DNS"


# --- keys and regions --------------------------------------------------------------------------


HEALTH = "/api/public/health"


@pytest.fixture(scope="module")
def langfuse() -> Iterator[OtlpBackend]:
    """A stand-in for Langfuse in one region: keys of another are not known to it."""
    header = {"x-langfuse-ingestion-version": "4"}
    keys = "pk-lf-of-the-eu", "sk-lf-of-the-eu"
    pages = {HEALTH: b'{"status":"OK","version":"4.16.0"}'}
    with OtlpBackend("/api/public/otel", *keys, header, pages=pages) as backend:
        yield backend


@pytest.fixture(scope="module")
def gateway() -> Iterator[OtlpBackend]:
    """A stand-in for the OTLP gateway of a Grafana Cloud zone."""
    with OtlpBackend("/otlp", "123456", "glc_of-this-zone") as backend:
        yield backend


def langfuse_variables(backend: OtlpBackend, secret: str) -> dict[str, str]:
    """What a project in that region sets."""
    return {
        **ONLY_TRACES,
        "OTEL_TRACES_EXPORTER": "langfuse",
        "LANGFUSE_BASE_URL": backend.origin,
        "LANGFUSE_PUBLIC_KEY": "pk-lf-of-the-eu",
        "LANGFUSE_SECRET_KEY": secret,
    }


def grafana_variables(backend: OtlpBackend, key: str) -> dict[str, str]:
    """What a stack in that zone sets."""
    return {
        "OTEL_TRACES_EXPORTER": "grafana_cloud",
        "OTEL_METRICS_EXPORTER": "grafana_cloud",
        "GRAFANA_CLOUD_OTLP_ENDPOINT": f"{backend.origin}/otlp",
        "GRAFANA_CLOUD_INSTANCE_ID": "123456",
        "GRAFANA_CLOUD_API_KEY": key,
    }


def test_langfuse_by_name(langfuse: OtlpBackend) -> None:
    """The right keys in the right region: a span arrives."""
    report = doctor(**langfuse_variables(langfuse, "sk-lf-of-the-eu"))
    assert report.exit_status == 0
    (sent, version) = report.all_of("traces")
    assert sent[0] == "ok"
    assert version == (
        "ok",
        f"{langfuse.origin}{HEALTH}: Langfuse 4.16.0 shows tokens and cost as they are sent",
        "",
    )
    langfuse.wait_for(lambda backend: bool(backend.spans), 5)


def test_langfuse_that_is_too_old(langfuse: OtlpBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the span, and would show no cost: that is a problem, and what to do is said."""
    monkeypatch.setitem(langfuse.pages, HEALTH, b'{"status":"OK","version":"3.140.0"}')
    report = doctor(**langfuse_variables(langfuse, "sk-lf-of-the-eu"))
    assert report.exit_status == 1
    (sent, version) = report.all_of("traces")
    assert sent[0] == "ok"
    assert version == (
        "problem",
        f"{langfuse.origin}{HEALTH}: Langfuse 3.140.0 ignores cost as it is sent: calls have their "
        "tokens there, at the prices of its own table, and no cost of speech or by the minute",
        "upgrade the server to 3.141.0 or newer",
    )


def test_langfuse_wrong_key_or_region(langfuse: OtlpBackend) -> None:
    """Langfuse answers 401 to both, so both are named, with every region."""
    report = doctor(**langfuse_variables(langfuse, "sk-lf-of-the-us"))
    assert report.exit_status == 1
    assert report.of("traces") == (
        "problem",
        f"langfuse(http/protobuf {langfuse.origin}/api/public/otel/v1/traces): answers 401, the "
        "key is not taken: the keys are wrong, or of a project in another region than 127.0.0.1",
        "copy both keys from the project's settings into LANGFUSE_PUBLIC_KEY and "
        "LANGFUSE_SECRET_KEY, and the project's region into LANGFUSE_BASE_URL: "
        "https://cloud.langfuse.com (EU), https://us.cloud.langfuse.com (US), "
        "https://jp.cloud.langfuse.com, https://hipaa.cloud.langfuse.com or your own server",
    )
    assert "sk-lf-of-the-us" not in report.output


def test_langfuse_keys_that_are_missing_or_exchanged(langfuse: OtlpBackend) -> None:
    """What the preset finds wrong is passed on, split into finding and remedy."""
    variables = langfuse_variables(langfuse, "")
    status, finding, remedy = doctor(**variables).of("traces")
    assert status == "problem"
    assert finding == "langfuse is named as an exporter and LANGFUSE_SECRET_KEY is not set"
    assert remedy == "copy both keys from the project's settings in Langfuse"


def test_langfuse_by_plain_otlp(langfuse: OtlpBackend) -> None:
    """Its header and its silence about metrics are known for any OTLP set-up that goes there."""
    variables = {
        ENDPOINT: f"{langfuse.origin}/api/public/otel",
        HEADERS: f"Authorization=Basic%20{langfuse.basic_auth},x-langfuse-ingestion-version=4",
    }
    report = doctor(**variables)
    assert report.of("traces")[0] == "ok"
    status, finding, remedy = report.of("metrics")
    assert status == "warning"
    assert "Langfuse takes no metrics: it answers with success and keeps nothing" in finding
    others = ", ".join(names_for("METRICS"))
    assert remedy.startswith(f"write OTEL_METRICS_EXPORTER=prometheus, {others} or none")


def test_grafana_cloud_by_name(gateway: OtlpBackend) -> None:
    """Both signals arrive; metrics are cumulative whatever is preferred for others."""
    variables = grafana_variables(gateway, "glc_of-this-zone")
    report = doctor(**variables, **{PREFERENCE: "delta"})
    assert report.exit_status == 0
    assert [report.of(check)[0] for check in ("traces", "metrics")] == ["ok", "ok"]
    assert report.of("temporality") == (
        "ok",
        f"{PREFERENCE}=delta is for otlp alone, which is not asked for",
        "",
    )


def test_grafana_cloud_wrong_key_or_zone(gateway: OtlpBackend) -> None:
    """Key, zone and the token's scopes are named."""
    report = doctor(**grafana_variables(gateway, "glc_of-another-zone"))
    assert report.exit_status == 1
    assert report.of("metrics") == (
        "problem",
        f"grafana_cloud(http/protobuf {gateway.origin}/otlp/v1/metrics): answers 401, the key is "
        "not taken: the instance id or the token is wrong, or of a stack in another zone than "
        "127.0.0.1, or the token lacks metrics:write",
        "copy endpoint, instance id and a token with metrics:write from the OpenTelemetry tile of "
        "one stack, into GRAFANA_CLOUD_OTLP_ENDPOINT, GRAFANA_CLOUD_INSTANCE_ID, "
        "GRAFANA_CLOUD_API_KEY",
    )
    assert "glc_of-another-zone" not in report.output


def test_delta_where_only_cumulative_is_taken(gateway: OtlpBackend) -> None:
    """The same point is sent again, cumulative: that it is taken shows what is wrong."""
    variables = {
        ENDPOINT: f"{gateway.origin}/otlp",
        HEADERS: f"Authorization=Basic%20{gateway.basic_auth}",
        PREFERENCE: "delta",
    }
    report = doctor(**ONLY_METRICS, **variables)
    assert report.exit_status == 1
    assert report.of("metrics") == (
        "problem",
        f"otlp(http/protobuf {gateway.origin}/otlp/v1/metrics): refuses delta, and takes the same "
        f"cumulative ({PREFERENCE}=delta)",
        f"write {PREFERENCE}=cumulative, or unset it",
    )
    assert report.of("temporality")[0] == "warning"


def test_no_key_and_a_wrong_one_for_any_backend(gateway: OtlpBackend) -> None:
    """A key that is not set is told from one that is not taken."""
    endpoint = {**ONLY_TRACES, ENDPOINT: f"{gateway.origin}/otlp"}
    here = f"otlp(http/protobuf {gateway.origin}/otlp/v1/traces): answers 401, the key is not taken"
    assert doctor(**endpoint).of("traces") == (
        "problem",
        f"{here}: none is sent",
        f"write it into {HEADERS}, for example {HEADERS}=authorization=Basic%20dXNlcjpw",
    )
    wrong = base64.b64encode(b"123456:glc_of-nobody-at-all").decode()
    report = doctor(**endpoint, **{HEADERS: f"authorization=Basic%20{wrong}"})
    assert report.of("traces") == (
        "problem",
        f"{here}: it is wrong, or of another region or account than 127.0.0.1",
        f"look at {HEADERS} (name=value, percent-encoded) and at {ENDPOINT}",
    )
    assert wrong not in report.output
    assert "glc_of-nobody-at-all" not in report.output


def test_a_wrong_key_over_grpc() -> None:
    """The word that gRPC has for it is understood."""

    def refuse(_: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def abort(_: bytes, context: grpc.ServicerContext) -> bytes:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no such key: Bearer of-nobody-at-all")
            raise AssertionError

        return grpc.unary_unary_rpc_method_handler(abort)

    class Refusing(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            return refuse(details)

    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((Refusing(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        report = doctor(
            **ONLY_TRACES,
            **{
                ENDPOINT: f"http://127.0.0.1:{port}",
                PROTOCOL: "grpc",
                HEADERS: "authorization=Bearer%20of-nobody-at-all",
            },
        )
    finally:
        server.stop(None).wait()
    status, finding, remedy = report.of("traces")
    assert status == "problem"
    assert finding.startswith(f"otlp(grpc http://127.0.0.1:{port}): answers 401")
    assert remedy == f"look at {HEADERS} (name=value, percent-encoded) and at {ENDPOINT}"
    assert "of-nobody-at-all" not in report.output


# --- other answers -----------------------------------------------------------------------------


def test_a_redirect_is_no_success() -> None:
    """The exporter takes it for one and loses everything; the doctor does not."""
    with answering(301, headers={"Location": "https://otlp.example.com/v1/traces?k=1"}) as address:
        report = doctor(**ONLY_TRACES, **{ENDPOINT: address})
    assert report.of("traces") == (
        "problem",
        f"otlp(http/protobuf {address}/v1/traces): answers 301, a redirect to "
        "https://otlp.example.com/v1/traces: what is sent is lost, and the exporter says success",
        f"write the address that it points to into {ENDPOINT}",
    )


def test_a_web_page_is_no_success() -> None:
    """Many a web server answers 200 to anything."""
    with answering(200, b"<html>Welcome</html>", {"Content-Type": "text/html"}) as address:
        report = doctor(**ONLY_TRACES, **{ENDPOINT: address})
    assert report.of("traces")[:2] == (
        "problem",
        f"otlp(http/protobuf {address}/v1/traces): answers 200 with a web page: nothing there "
        "takes OTLP",
    )


def test_a_success_that_rejects_what_was_sent() -> None:
    """OTLP can answer 200 and say that it has kept nothing."""
    partial = ExportMetricsPartialSuccess(rejected_data_points=1, error_message="out of bounds")
    body = ExportMetricsServiceResponse(partial_success=partial).SerializeToString()
    with answering(200, body, {"Content-Type": "application/x-protobuf"}) as address:
        report = doctor(**ONLY_METRICS, **{ENDPOINT: address})
    assert report.of("metrics")[:2] == (
        "problem",
        f"otlp(http/protobuf {address}/v1/metrics): answers with success and has rejected what "
        "was sent (out of bounds)",
    )


def test_what_a_backend_says_is_passed_on_without_credentials() -> None:
    """An answer that repeats the key does not bring it to the terminal."""
    body = b'{"error": "quota of token-of-this-test used up"}'
    with answering(400, body, {"Content-Type": "application/json"}) as address:
        report = doctor(
            **ONLY_TRACES,
            **{ENDPOINT: address, HEADERS: "authorization=Bearer%20token-of-this-test"},
        )
    assert report.of("traces")[1] == (
        f"otlp(http/protobuf {address}/v1/traces): answers 400: it does not take what was sent "
        '({"error": "quota of … used up"})'
    )


def test_a_backend_that_hangs_is_not_waited_for() -> None:
    """Its connection is taken and nothing comes back: said after the time that was given."""
    with OtlpReceiver(mode="hang") as receiver:
        report = doctor("--timeout", "0.5", **ONLY_TRACES, **{ENDPOINT: receiver.endpoint})
    status, finding, _ = report.of("traces")
    assert status == "problem"
    assert "takes the connection and does not answer within 0.5 s" in finding


# --- the worker's set-up -----------------------------------------------------------------------

_TOP = "the top of agent.py, outside of every function and of if __name__ == '__main__'"


@pytest.mark.parametrize(
    ("agent", "status", "finding", "remedy"),
    [
        (
            "instrument_at_import",
            "ok",
            "instrument_at_import.py calls instrument() at its import",
            "",
        ),
        (
            "instrument_before_livekit",
            "ok",
            "instrument_before_livekit.py calls instrument() at its import",
            "",
        ),
        (
            "instrument_under_main",
            "warning",
            "instrument_under_main.py:12: instrument() stands in if __name__ == '__main__', which "
            "is not run where the worker is started by lk agent or python -m livekit.agents",
            f"move it to {_TOP}",
        ),
        (
            "provider_as_argument_under_main",
            "problem",
            "provider_as_argument_under_main.py:13: instrument() stands in "
            "if __name__ == '__main__', with a tracer_provider that no job process gets to see",
            f"move it to {_TOP}",
        ),
        (
            "instrument_in_setup",
            "problem",
            "instrument_in_setup.py:14: instrument() stands in setup, which runs in job processes "
            "only: nobody adds up their numbers, and no scrape is served",
            f"move it to {_TOP}",
        ),
        (
            "zero_code",
            "warning",
            "zero_code.py does not call instrument(): it is instrumented where it is started "
            "by opentelemetry-instrument python zero_code.py start, and not otherwise",
            f"start it that way, or write at {_TOP}: from callspan import instrument; instrument()",
        ),
    ],
)
def test_where_the_line_stands(agent: str, status: str, finding: str, remedy: str) -> None:
    """Each place that the line can stand in has its verdict."""
    report = doctor(str(AGENTS / f"{agent}.py"), **NOTHING)
    assert report.of("worker") == (status, finding, remedy)


@pytest.mark.parametrize(
    ("agent", "line"),
    [("global_provider_in_entrypoint", 20), ("livekit_provider_in_entrypoint", 19)],
)
def test_a_provider_that_is_set_too_late(agent: str, line: int) -> None:
    """One in the entrypoint is found in the source: importing does not run it."""
    report = doctor(str(AGENTS / f"{agent}.py"), **NOTHING)
    _, late = (one for one in report.verdicts if one["check"] == "worker")
    assert late["status"] == "warning"
    assert late["finding"] == (
        f"{agent}.py:{line}: a TracerProvider is set in entrypoint, too late: spans that have "
        "ended by then do not reach it"
    )
    assert late["remedy"].startswith(f"move it to {_TOP}, or leave it out")


def test_a_provider_of_ones_own_and_what_it_exports() -> None:
    """A span is sent through it, and it has its own policy on content."""
    with OtlpReceiver() as receiver:
        report = doctor(
            str(AGENTS / "global_provider_before.py"), **ONLY_TRACES, OWN_ENDPOINT=receiver.endpoint
        )
        (span,) = receiver.spans
        endpoint = receiver.endpoint
    assert span.name == "callspan doctor"
    assert span.resource["service.name"] == "own"
    assert report.exit_status == 0
    _, own = (one for one in report.verdicts if one["check"] == "worker")
    assert own["finding"].startswith(
        "your own TracerProvider is used, of global_provider_before.py:"
    )
    status, finding, _ = report.of("traces")
    assert status == "ok"
    assert finding.startswith(f"otlp(http/protobuf {endpoint}/v1/traces): took a test export")
    status, finding, _ = report.of("content")
    assert status == "warning"
    assert finding.startswith("your own TracerProvider exports content by its own policy")


def test_an_exporter_of_ones_own_with_the_path_twice() -> None:
    """The mistake that is made most, here in code: it is answered as the Collector answers it."""
    with answering(404) as address:
        twice = f"{address}/v1/traces"
        report = doctor(str(AGENTS / "provider_as_argument.py"), **NOTHING, OWN_ENDPOINT=twice)
    assert report.exit_status == 1
    assert report.of("traces") == (
        "problem",
        f"otlp(http/protobuf {twice}/v1/traces): answers 404: no OTLP at this path",
        "look up the path that it takes OTLP at: /v1/traces is added to "
        "OTEL_EXPORTER_OTLP_ENDPOINT, and nothing to an endpoint that is passed in code",
    )


def test_a_provider_that_is_set_in_each_job_process() -> None:
    """Importing does not make it: it is said to be used, and nothing is sent to it."""
    report = doctor(str(AGENTS / "livekit_provider_in_setup.py"), **NOTHING)
    _, verdict = (one for one in report.verdicts if one["check"] == "worker")
    assert verdict["status"] == "ok"
    assert verdict["finding"] == (
        "livekit_provider_in_setup.py:18: a TracerProvider is set in setup, before the first call: "
        "it is used for the spans of calls"
    )


def test_an_exporter_of_ones_own_that_hangs_or_is_alone() -> None:
    """Neither a backend that does not answer nor one that is not there is waited for."""
    agent = str(AGENTS / "provider_as_argument.py")
    with OtlpReceiver(mode="hang") as receiver:
        report = doctor(agent, "--timeout", "0.5", **NOTHING, OWN_ENDPOINT=receiver.endpoint)
    status, finding, _ = report.of("traces")
    assert status == "problem"
    assert "of your own exporter): takes the connection and does not answer" in finding
    report = doctor(agent, **NOTHING, OWN_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    status, finding, remedy = report.of("traces")
    assert status == "problem"
    assert "no connection, or one that is closed without an answer" in finding
    assert remedy.startswith("look at host and port in the endpoint of your exporter")


def _agent(directory: Path, text: str) -> str:
    path = directory / "agent.py"
    path.write_text(text)
    return str(path)


def test_a_provider_that_is_set_twice(tmp_path: Path) -> None:
    """OpenTelemetry keeps the first: both places are named."""
    agent = _agent(
        tmp_path,
        "import livekit.agents\n"
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from callspan import instrument\n"
        "trace.set_tracer_provider(TracerProvider())\n"
        "trace.set_tracer_provider(TracerProvider())\n"
        "instrument()\n",
    )
    report = doctor(agent, **NOTHING)
    twice = next(one for one in report.verdicts if "second" in one["finding"])
    assert twice["check"] == "worker"
    assert twice["status"] == "problem"
    assert twice["finding"] == (
        "agent.py:6: a second TracerProvider is set; OpenTelemetry keeps the first one, of "
        "agent.py:5, and the exporters of this one get nothing"
    )


def test_the_agents_own_variables_and_arguments_count(tmp_path: Path) -> None:
    """A file of variables that agent.py loads, and what it passes, is what the worker will use."""
    with OtlpReceiver() as receiver:
        agent = _agent(
            tmp_path,
            "import os\n"
            "import livekit.agents\n"
            f"os.environ['{ENDPOINT}'] = '{receiver.endpoint}'\n"
            "from callspan import instrument\n"
            "instrument(capture_content=True)\n",
        )
        report = doctor(agent)
        endpoint = receiver.endpoint
    assert report.exit_status == 0
    assert endpoint in report.of("content")[1]
    assert report.of("content")[1].startswith("capture_content=True: on, these are exported to")


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("import nothing_of_that_name\n", "ModuleNotFoundError: No module named 'nothing_of_that_"),
        ("raise SystemExit(3)\n", "it runs when it is imported, and ends Python"),
        ("def broken(:\n", "SyntaxError: "),
        ("import os\nos._exit(4)\n", "its import ended Python with 4"),
    ],
)
def test_an_agent_that_cannot_be_imported(tmp_path: Path, text: str, finding: str) -> None:
    """Whatever a module does at its import is a verdict."""
    report = doctor(_agent(tmp_path, text), **NOTHING)
    status, result, remedy = report.of("worker")
    assert status == "problem"
    assert result.startswith(f"agent.py cannot be imported as a job process does it: {finding}")
    assert remedy.startswith("put what runs the worker under if __name__ == '__main__'")


def test_the_models_of_an_agent_are_looked_up(tmp_path: Path) -> None:
    """Named, by a plugin's default, or by LiveKit's inference; none is made."""
    agent = _agent(
        tmp_path,
        "from livekit.agents import AgentSession, inference\n"
        "from livekit.plugins import openai\n"
        "from callspan import instrument\n"
        "instrument()\n"
        "async def entrypoint(ctx):\n"
        "    AgentSession(llm=openai.LLM(model='gpt-4o-mini'), stt='deepgram/nova-3:en',\n"
        "                 tts=openai.TTS())\n",
    )
    report = doctor(agent, "--model", "tts:elevenlabs/eleven_v3", **NOTHING)
    by_model = {
        one["finding"].split(" ")[0]: one for one in report.verdicts if one["check"] == "prices"
    }
    assert by_model["llm:openai/gpt-4o-mini"]["status"] == "ok"
    assert by_model["tts:elevenlabs/eleven_v3"]["status"] == "ok"
    assert "tts:openai/gpt-4o-mini-tts" in by_model
    unpriced = by_model["stt:livekit/deepgram/nova-3"]
    assert unpriced["status"] == "warning"
    assert '[stt."livekit/deepgram/nova-3"]' in unpriced["remedy"]


def test_text_for_people_and_exit_status() -> None:
    """Without --json: a line for each verdict, its remedy below, and a count."""
    done = run("doctor", **NOTHING)
    assert done.returncode == 1
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    at = lines.index(
        "problem  variables: OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER are none: nothing is "
        "sent"
    )
    assert lines[at + 1] == "         -> set at least one of them, for example to otlp"
    assert lines[-1].startswith("problems: 1, ")
