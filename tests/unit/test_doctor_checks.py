# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the doctor makes of variables, ports, content, models and versions."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from callspan.cli.checks import (
    content,
    destinations,
    prices,
    scrape,
    variables,
    versions,
    worker,
)
from callspan.cli.checks.agent_inspection import Worker
from callspan.cli.checks.backends import BACKENDS, langfuse
from callspan.cli.checks.backends.backend import Backend
from callspan.cli.checks.probe import Answer, send
from callspan.cli.checks.probe_results import explain
from callspan.cli.checks.verdict import (
    Setup,
    Verdict,
    ok,
    problem,
    warning,
)
from callspan.config import settings
from callspan.providers.exporters import Destination
from callspan.providers.presets import PRESETS
from callspan.providers.presets.preset import Preset, Target

HOST = "OTEL_EXPORTER_PROMETHEUS_HOST"
PORT = "OTEL_EXPORTER_PROMETHEUS_PORT"
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
PREFERENCE = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"


def setup_of(environ: dict[str, str] | None = None, **others: Any) -> Setup:
    """A setup with these variables and no others."""
    environ = environ or {}
    return Setup(environ=environ, settings=settings.resolve(environ), **others)


# --- variables ---------------------------------------------------------------------------------

_NAMED = {"OTEL_SERVICE_NAME": "receptionist"}


@pytest.mark.parametrize(
    ("environ", "verdict"),
    [
        ({}, ok("all are understood, and nothing is switched off")),
        (
            {"OTEL_SDK_DISABLED": "true"},
            problem(
                "OTEL_SDK_DISABLED or OTEL_PYTHON_DISABLED_INSTRUMENTATIONS turns this package "
                "off: calls are taken without telemetry",
                "unset OTEL_SDK_DISABLED, and take livekit_agents and * out of the list",
            ),
        ),
        (
            {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
            problem(
                "OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER are none: nothing is sent",
                "set at least one of them, for example to otlp",
            ),
        ),
        (
            {"OTEL_TRACES_SAMPLER": "always_off"},
            problem(
                "OTEL_TRACES_SAMPLER=always_off: no trace is recorded",
                "unset it, or write OTEL_TRACES_SAMPLER=parentbased_always_on",
            ),
        ),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "10%"},
            problem(
                "OTEL_TRACES_SAMPLER_ARG=10%: not a number from 0 to 1",
                "write the share of calls to keep, for example 0.1",
            ),
        ),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
            warning(
                "OTEL_TRACES_SAMPLER=traceidratio: 0.1 of all calls has a trace; the numbers count "
                "all of them",
                "unset it if each call is to be seen",
            ),
        ),
        (
            {"OTEL_SERVICE_NAME": ""},
            warning(
                "OTEL_SERVICE_NAME is not set: backends show this worker as unknown_service",
                "write for example OTEL_SERVICE_NAME=dental-receptionist",
            ),
        ),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            problem(
                "OTEL_EXPORTER_OTLP_PROTOCOL=http/json: no such protocol here, http/protobuf is "
                "used",
                "write http/protobuf or grpc",
            ),
        ),
    ],
)
def test_variables(environ: dict[str, str], verdict: Verdict) -> None:
    """What turns telemetry off, and what could not be understood."""
    assert list(variables.check(setup_of({**_NAMED, **environ}))) == [verdict]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CALLSPAN_FLUSH_TIMOUT", "CALLSPAN_FLUSH_TIMEOUT"),
        ("CALLSPAN_CONVERSION", "CALLSPAN_CONVERSIONS"),
        ("CALLSPAN_ABANDONED", "CALLSPAN_ABANDONED_HEARD"),
    ],
)
def test_a_variable_that_is_misspelt(name: str, meant: str) -> None:
    """Nothing reads it, so nothing else can say that it has no effect."""
    assert list(variables.check(setup_of({**_NAMED, name: "5"}))) == [
        warning(f"{name}: no such variable, it is not read", f"did you mean {meant}?")
    ]


@pytest.mark.parametrize(
    "name", ["CALLSPAN_PORT", "CALLSPAN_SERVICE_HOST", "CALLSPAN_SERVICE_PORT", "PRICE"]
)
def test_a_variable_that_is_not_ours(name: str) -> None:
    """Kubernetes writes such names into each pod where a Service is called callspan."""
    setup = setup_of({**_NAMED, name: "10.0.0.1"})
    assert list(variables.check(setup)) == [ok("all are understood, and nothing is switched off")]


def test_a_service_name_among_the_resource_attributes() -> None:
    setup = setup_of({"OTEL_RESOURCE_ATTRIBUTES": "service.name=receptionist"})
    assert list(variables.check(setup)) == [ok("all are understood, and nothing is switched off")]


@pytest.mark.parametrize(
    ("environ", "verdict"),
    [
        ({}, ok("cumulative, which every backend takes")),
        ({PREFERENCE: "Cumulative"}, ok("cumulative, which every backend takes")),
        (
            {PREFERENCE: "rising"},
            problem(
                f"{PREFERENCE}=rising: no such value, metrics are cumulative",
                "write cumulative, delta or lowmemory",
            ),
        ),
        (
            {PREFERENCE: "delta"},
            warning(
                f"{PREFERENCE}=delta: Prometheus, Mimir and Grafana Cloud refuse delta, and a "
                "Collector in front of them loses it",
                f"write {PREFERENCE}=cumulative, unless the backend wants delta",
            ),
        ),
        (
            {PREFERENCE: "delta", "OTEL_METRICS_EXPORTER": "prometheus"},
            ok(f"{PREFERENCE}=delta is for otlp alone, which is not asked for"),
        ),
    ],
)
def test_temporality(environ: dict[str, str], verdict: Verdict) -> None:
    assert list(destinations.check_temporality(setup_of(environ))) == [verdict]


@pytest.mark.parametrize(
    ("exporter", "verdict"),
    [
        ("console", ok("console: is installed; it is not OTLP, and was not tried")),
        ("none", ok("OTEL_TRACES_EXPORTER=none: not exported")),
        (
            "grafana_cloud",
            problem(
                "grafana_cloud is named as an exporter and GRAFANA_CLOUD_OTLP_ENDPOINT is not set",
                "copy it from the OpenTelemetry tile of your stack at grafana.com",
            ),
        ),
    ],
)
def test_exporters_that_send_nothing(exporter: str, verdict: Verdict) -> None:
    """What is not OTLP, is not there, or is not set up, is said without sending."""
    setup = setup_of({"OTEL_TRACES_EXPORTER": exporter})
    assert list(destinations.check_traces(setup)) == [verdict]


@pytest.mark.parametrize(("signal", "done"), [("TRACES", "exported"), ("METRICS", "pushed")])
def test_exporters_that_fell_to_a_wrong_variable(signal: str, done: str) -> None:
    """An address that cannot be used leaves nothing to try: what is wrong is said once, above."""
    setup = setup_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"})
    checks = {"TRACES": destinations.check_traces, "METRICS": destinations.check_metrics}
    assert list(checks[signal](setup)) == [
        problem(
            f"OTEL_{signal}_EXPORTER=otlp: cannot be used as it is set up, nothing is {done}",
            "see what is said of the variables",
        )
    ]
    findings = [verdict.finding for verdict in variables.check(setup)]
    assert not [one for one in findings if "are none" in one]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4318: no scheme" in "".join(findings)


def test_localhost_inside_a_container() -> None:
    """The container itself is meant there, which is seldom meant."""
    environ = {"OTEL_METRICS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    (verdict,) = destinations.check_traces(setup_of(environ, in_container=True))
    assert "in a container that is the container itself" in verdict.finding
    assert verdict.remedy == (
        "write the Collector's own host into OTEL_EXPORTER_OTLP_ENDPOINT, in Kubernetes "
        "http://$(NODE_IP):4318"
    )
    (verdict,) = destinations.check_traces(setup_of(environ))
    assert verdict.remedy == (
        "start what is to listen there, or correct host and port in OTEL_EXPORTER_OTLP_ENDPOINT"
    )


# --- answers that no stand-in of the integration tests gives ------------------------------------

_OTLP = Destination(
    "otlp_proto_http",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "https://otlp.example.com/v1/traces",
    "http/protobuf",
)
_LANGFUSE = Destination(
    "otlp_proto_http",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "https://us.cloud.langfuse.com/api/public/otel/v1/traces",
    "http/protobuf",
)


@pytest.mark.parametrize(
    ("target", "answer", "status", "words"),
    [
        (_OTLP, Answer(accepted=True, status=200, seconds=3.0), "warning", "in 3000 ms"),
        (_OTLP, Answer(accepted=True, status=200, seconds=0.1), "ok", "in 100 ms"),
        (_OTLP, Answer(status=429, text="slow down"), "warning", "answers 429"),
        (_OTLP, Answer(status=503), "problem", "is not available, or has a fault of its own"),
        (_OTLP, Answer(status=415), "problem", "does not take OTLP as protobuf"),
        (_OTLP, Answer(status=400, text="sent to an HTTPS port"), "problem", "wants TLS"),
        (_OTLP, Answer(failure="tls", text="self-signed"), "problem", "is not trusted"),
        (_OTLP, Answer(failure="proxy"), "problem", "does not let it through"),
        (_OTLP, Answer(failure="connection"), "problem", "is closed without an answer"),
        (_OTLP, Answer(code="UNIMPLEMENTED"), "problem", "answers UNIMPLEMENTED"),
        (_OTLP, Answer(), "problem", "does not say why"),
        (_OTLP, Answer(status=403), "problem", "answers 403, the key is not taken: none is sent"),
        (
            _LANGFUSE,
            Answer(status=401),
            "problem",
            "wrong, or of a project in another region than us.cloud.langfuse.com",
        ),
        (_LANGFUSE, Answer(accepted=True, status=200), "warning", "up to 10 minutes late"),
    ],
)
def test_what_an_answer_means(target: Destination, answer: Answer, status: str, words: str) -> None:
    """Every answer is a verdict that names the destination, and what to change where it is one."""
    verdict = explain(target, "TRACES", answer, setup_of())
    assert verdict.status == status
    assert words in verdict.finding
    assert verdict.finding.startswith(str(target))
    assert bool(verdict.remedy) == (status != "ok")


# --- the version of a Langfuse server ------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b'{"status":"OK","version":"4.16.0"}', "ok", "4.16.0 shows tokens and cost"),
        (b'{"status":"OK","version":"3.141.0"}', "ok", "3.141.0 shows tokens and cost"),
        (b'{"version":"v4.0.0-rc.1"}', "ok", "v4.0.0-rc.1 shows tokens and cost"),
        (b'{"version":"3.140.0"}', "problem", "3.140.0 ignores cost as it is sent: calls have the"),
        (b'{"version":"3.125.0"}', "problem", "3.125.0 ignores cost as it is sent: calls have the"),
        (b'{"version":"3.124.1"}', "problem", "3.124.1 ignores tokens and cost as they are sent"),
        (b'{"version":"2.95.11"}', "problem", "2.95.11 ignores tokens and cost as they are sent"),
        (b'{"version":null}', "warning", "answers 200 without a version; Langfuse before 3.141.0"),
        (b"[]", "warning", "answers 200 without a version; Langfuse before 3.141.0"),
        (b"<html>", "warning", "answers 200 without a version; Langfuse before 3.141.0"),
    ],
)
def test_what_a_version_of_langfuse_shows(
    scraped: ThreadingHTTPServer, body: bytes, status: str, words: str
) -> None:
    """Plainly what is missing, and the oldest version that shows it all."""
    scraped.body = body  # type: ignore[attr-defined]
    base = f"http://127.0.0.1:{scraped.server_port}/below/a/path"
    verdict = langfuse.check_version(setup_of(langfuse_at(base)))
    assert verdict.status == status
    assert verdict.finding.startswith(f"{base}/api/public/health: ")
    assert words in verdict.finding
    remedies = {
        "ok": "",
        "problem": "upgrade the server to 3.141.0 or newer",
        "warning": "look that the server is 3.141.0 or newer",
    }
    assert verdict.remedy == remedies[status]


def test_a_langfuse_that_does_not_say_its_version() -> None:
    """A gateway in front of it may keep that to itself."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    verdict = langfuse.check_version(setup_of(langfuse_at(f"http://127.0.0.1:{port}")))
    assert verdict == warning(
        f"http://127.0.0.1:{port}/api/public/health: does not answer (ConnectionError); Langfuse "
        "before 3.141.0 ignores what calls cost",
        "look that the server is 3.141.0 or newer",
    )


def test_a_server_without_the_path_may_be_too_old() -> None:
    """The version that is named is one that shows all that it is sent."""
    target = Destination("langfuse", "LANGFUSE_BASE_URL", "https://langfuse.example.com", "http")
    assert explain(target, "TRACES", Answer(status=404), setup_of()).remedy == (
        "write LANGFUSE_BASE_URL without a path of its API; a server of your own has to be 3.141.0 "
        "or newer"
    )


# --- a backend that has a preset, and no more -----------------------------------------------------

_ACME = Preset(
    "acme",
    "Acme",
    ("ACME_KEY", "ACME_ADDRESS"),
    lambda signal, environ: Target("ACME_ADDRESS", "https://otlp.acme.com/v1/traces", {}),
)


@pytest.mark.parametrize(
    ("address", "connects_to"),
    [
        ("http://localhost:4318/v1/traces", ("localhost", 4318)),
        ("http://collector/v1/traces", ("collector", 80)),
        ("https://otlp.acme.com/v1/traces", ("otlp.acme.com", 443)),
        ("collector:4317", ("collector", 4317)),
        # gRPC without a scheme is over TLS
        ("otlp.acme.com", ("otlp.acme.com", 443)),
        ("http://[::1]:4318", ("::1", 4318)),
    ],
)
def test_where_a_destination_connects_to(address: str, connects_to: tuple[str, int]) -> None:
    """The worker's first look and the doctor ask the same host and port."""
    assert Destination("otlp", "X", address, "grpc").host_and_port == connects_to


_AT_ACME = Destination("acme", "ACME_ADDRESS", "https://otlp.acme.com/v1/traces", "http/protobuf")


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer(accepted=True, status=200), ok(f"{_AT_ACME}: took a test export, in 0 ms")),
        (
            Answer(status=401),
            problem(
                f"{_AT_ACME}: answers 401, the key is not taken: it is wrong, or of another region "
                "or account than otlp.acme.com",
                "look at ACME_KEY, ACME_ADDRESS",
            ),
        ),
        (
            Answer(status=404),
            problem(
                f"{_AT_ACME}: answers 404: no OTLP at this path",
                "write its address without a path of a signal into ACME_ADDRESS",
            ),
        ),
    ],
)
def test_what_an_answer_of_any_preset_means(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, verdict: Verdict
) -> None:
    """By its own variables: those of plain OTLP say nothing of it."""
    monkeypatch.setitem(BACKENDS, "acme", Backend(_ACME))
    assert explain(_AT_ACME, "TRACES", answer, setup_of()) == verdict


def test_every_preset_is_known_to_the_doctor() -> None:
    assert {name: backend.preset for name, backend in BACKENDS.items()} == PRESETS


def langfuse_at(base: str) -> dict[str, str]:
    return {
        "OTEL_TRACES_EXPORTER": "langfuse",
        "LANGFUSE_BASE_URL": base,
        "LANGFUSE_PUBLIC_KEY": "pk-lf-1234567890",
        "LANGFUSE_SECRET_KEY": "sk-lf-0987654321",
    }


class _Exporter:
    """An exporter whose library raises what others return."""

    def export(self, _: object) -> object:
        raise ValueError("no such encoding")

    def shutdown(self) -> None:
        """End nothing."""


def test_an_exporter_that_raises() -> None:
    """It is an answer like any other: older exporters raise where nobody speaks HTTP."""
    answer = send(_Exporter(), [], 5.0)
    assert (answer.accepted, answer.text) == (False, "ValueError: no such encoding")
    verdict = explain(_OTLP, "TRACES", answer, setup_of())
    assert verdict == problem(
        f"{_OTLP}: the exporter failed (ValueError: no such encoding)",
        "look at OTEL_EXPORTER_OTLP_ENDPOINT, and at the log of a worker",
    )


# --- the scrape --------------------------------------------------------------------------------


@pytest.fixture
def scraped() -> Iterator[ThreadingHTTPServer]:
    """A server that says what ``body`` holds, on a port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(server.body)  # type: ignore[attr-defined]

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keeps the terminal for the tests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.body = b""  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def scrape_of(port: int | str, host: str = "127.0.0.1", **others: Any) -> list[Verdict]:
    """What is said of a scrape there."""
    environ = {"OTEL_METRICS_EXPORTER": "prometheus", HOST: host, PORT: str(port)}
    return list(scrape.check(setup_of(environ, **others)))


def test_a_port_that_somebody_has(scraped: ThreadingHTTPServer) -> None:
    """Who has it is named, where this user may know."""
    port = scraped.server_port
    first, _ = scrape_of(port)
    assert first.status == "problem"
    assert first.finding.startswith(f"{PORT}={port}: the port is taken by ")
    assert f"(process {os.getpid()}); nothing can be scraped" in first.finding
    assert first.remedy == f"end that process, or set another {PORT}"


def test_a_port_whose_owner_cannot_be_seen(
    scraped: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.net_connections", lambda kind: [])
    first, _ = scrape_of(scraped.server_port)
    assert "the port is taken, by whom cannot be seen from here" in first.finding


def test_a_port_that_a_worker_has(scraped: ThreadingHTTPServer) -> None:
    """Then the worker runs: that is no problem, but a second one needs another port."""
    scraped.body = b"# TYPE agent_sessions counter\nagent_sessions_total 3\n"  # type: ignore[attr-defined]
    first, _ = scrape_of(scraped.server_port)
    assert first.status == "warning"
    assert "which serves the metrics of a worker with this package" in first.finding
    assert PORT in first.remedy


def test_a_port_that_is_free(scraped: ThreadingHTTPServer) -> None:
    port = scraped.server_port
    scraped.shutdown()
    scraped.server_close()
    assert scrape_of(port) == [
        ok(f"port {port} on 127.0.0.1 is free"),
        warning(
            f"{HOST}=127.0.0.1: a Prometheus on another machine does not reach it",
            f"if it is on another one, write {HOST}=0.0.0.0",
        ),
    ]
    assert scrape_of(port, "0.0.0.0") == [ok(f"port {port} on 0.0.0.0 is free")]
    assert scrape_of(port, in_container=True)[1] == problem(
        f"{HOST}=127.0.0.1: inside a container that is reached by nobody outside of it",
        f"write {HOST}=0.0.0.0, and open port {port} to the scraper only",
    )


@pytest.mark.parametrize("port", ["http", "0", "70000"])
def test_a_port_that_is_none(port: str) -> None:
    assert scrape_of(port) == [
        problem(f"{PORT}={port}: not a port", "write a number, for example 9464")
    ]


def test_a_host_that_is_none() -> None:
    (first,) = scrape_of(9464, "no-such-host.invalid")
    assert first.finding.startswith(f"{HOST}=no-such-host.invalid: no such address")


def test_prometheus_clients_multiprocess_mode() -> None:
    """Beside our scrape it shows nothing of the worker; beside LiveKit's own it grows."""
    environ = {"OTEL_METRICS_EXPORTER": "prometheus", HOST: "0.0.0.0", PORT: "0"}
    first, _ = scrape.check(setup_of({**environ, "PROMETHEUS_MULTIPROC_DIR": "files"}))
    assert first.status == "problem"
    assert first.finding.startswith("PROMETHEUS_MULTIPROC_DIR=files: an endpoint in that mode")
    assert first.remedy.startswith("unset it, and prometheus_multiproc_dir= of AgentServer")
    passed = Worker("agent.py", multiprocess_dir="passed")
    first, second = scrape.check(setup_of({}, worker=passed))
    assert first == ok("not asked for (OTEL_METRICS_EXPORTER has no prometheus)")
    assert second.status == "warning"
    assert "PROMETHEUS_MULTIPROC_DIR=passed" in second.finding


def test_kubernetes_is_a_container() -> None:
    assert scrape.in_container({"KUBERNETES_SERVICE_HOST": "10.0.0.1"})


# --- the worker, where no import is needed to know -----------------------------------------------


def test_no_agent_was_given() -> None:
    assert list(worker.check(setup_of())) == [ok("not looked at: no agent.py was given")]


def test_a_scrape_server_of_ones_own(tmp_path: Path) -> None:
    """The recipe with one call to start_http_server, which every job process repeats."""
    path = tmp_path / "agent.py"
    path.write_text("start_http_server(9090)\n")
    looked = Worker(str(path), instrumented=True, uses_livekit=True)
    _, second = worker.check(setup_of(worker=looked))
    assert second.status == "problem"
    assert second.finding.startswith("agent.py:1: start_http_server() is run by every job process")
    assert second.remedy.startswith("take it out, and write OTEL_METRICS_EXPORTER=prometheus")


def test_nothing_instruments_and_no_distro_could(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the distro the wrapper command configures nothing, so zero-code is no way out."""
    monkeypatch.setattr(worker, "find_spec", lambda name: None)
    looked = Worker(str(tmp_path / "agent.py"), uses_livekit=True)
    (verdict,) = worker.check(setup_of(worker=looked))
    assert verdict.status == "problem"
    assert "opentelemetry-distro is not installed" in verdict.finding
    assert verdict.remedy.endswith("import instrument; instrument()")


def test_what_the_package_logged_at_the_import(tmp_path: Path) -> None:
    """A livekit-agents that cannot be instrumented says so then."""
    logged = ("livekit-agents 1.2.0 is not supported (x): calls are taken without telemetry", "pip")
    looked = Worker(
        str(tmp_path / "agent.py"), instrumented=True, uses_livekit=True, logged=(logged,)
    )
    first, _ = worker.check(setup_of(worker=looked))
    assert first == problem(*logged)


def test_a_file_without_livekit(tmp_path: Path) -> None:
    looked = Worker(str(tmp_path / "kpis.py"), instrumented=True)
    first, _ = worker.check(setup_of(worker=looked))
    assert first == problem(
        "kpis.py does not import livekit.agents",
        "give the file that makes the AgentServer and starts it",
    )


# --- content -----------------------------------------------------------------------------------


def test_content_is_off_by_default() -> None:
    (verdict,) = content.check(setup_of())
    assert verdict.status == "ok"
    assert verdict.finding.startswith("off, nothing of it is exported: prompts, transcripts")


def test_content_that_is_on_goes_somewhere() -> None:
    """What, where to, and by which variable."""
    (verdict,) = content.check(setup_of({CONTENT: "SPAN_ONLY"}))
    assert verdict.status == "warning"
    assert verdict.finding.startswith(
        f"{CONTENT}=SPAN_ONLY: on, these are exported to "
        "otlp(http/protobuf http://localhost:4318/v1/traces): prompts, transcripts"
    )
    assert verdict.remedy == f"if callers have not agreed to that, write {CONTENT}=NO_CONTENT"


def test_log_records_are_content_too() -> None:
    """Of the wrapper command's handler, and of one of the application's own."""
    export = {"OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "true"}
    what = "LiveKit's own log records hold what is said, and what tools are given"
    own = Worker("agent.py", own_log_handler=True)
    _, without = content.check(setup_of(export))
    assert without == ok(
        "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED=true exports LiveKit's own log records "
        "without content; those of other loggers as they are"
    )
    _, of_worker, with_content = content.check(
        setup_of({**export, CONTENT: "EVENT_ONLY"}, worker=own)
    )
    assert of_worker == warning(
        f"{what}: a log handler at the top of agent.py exports them as they are",
        "leave it off the root logger and LiveKit's, and add it to your own loggers",
    )
    assert with_content == warning(
        f"{what}: OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED=true exports them with content, "
        "as you asked"
    )


@pytest.mark.parametrize(
    "environ",
    [
        {"LIVEKIT_URL": "wss://a-project.livekit.cloud"},
        {"LIVEKIT_OBSERVABILITY_URL": "https://observability.example.com"},
    ],
)
def test_livekit_cloud_beside_us(environ: dict[str, str]) -> None:
    own = Worker("agent.py", own_meter_provider=True)
    first, second = content.check_livekit_cloud(setup_of(environ, worker=own))
    assert first.status == "ok"
    assert "it uploads content by its own setting" in first.finding
    assert second.status == "warning"
    assert "LiveKit Cloud then records no metrics" in second.finding


def test_a_server_of_ones_own() -> None:
    (verdict,) = content.check_livekit_cloud(setup_of({"LIVEKIT_URL": "ws://u:p@lk.local:7880"}))
    assert verdict == ok("not in use (LIVEKIT_URL=lk.local)")


# --- prices ------------------------------------------------------------------------------------


def test_models_with_and_without_a_price(tmp_path: Path) -> None:
    """An own file goes before the packaged prices, and is where to add what is missing."""
    own = tmp_path / "prices.toml"
    own.write_text('[tts."acme/*"]\nper_character = 0.00003\n')
    names = ("llm:openai/gpt-4o-mini", "realtime:openai/gpt-realtime", "tts:acme/any", "stt:acme/x")
    verdicts = list(prices.check(setup_of(models=names, prices=str(own))))
    assert [verdict.status for verdict in verdicts] == ["ok", "ok", "ok", "warning"]
    assert "tts:acme/any is priced: own acme/*" in verdicts[2].finding
    assert verdicts[3] == warning(
        "stt:acme/x is not priced: calls with it show as unpriced, never as free",
        f'add to {own}, with your own figures:\n[stt."acme/x"]\nper_minute = 0.0043',
    )


def test_a_price_file_that_is_not_understood(tmp_path: Path) -> None:
    (verdict,) = prices.check(setup_of(prices=str(tmp_path / "prices.yaml")))
    assert verdict.status == "problem"
    assert "write a price file that ends in .toml or .json" in verdict.finding
    assert verdict.remedy == "correct the file, or leave it out"


def test_no_model_is_known() -> None:
    (verdict,) = prices.check(setup_of())
    assert verdict == ok(
        "no model was named that could be looked up; name them with --model "
        "component:provider/model, for example llm:openai/gpt-4o-mini"
    )


# --- versions ----------------------------------------------------------------------------------


def installed(directory: Path, *lines: str) -> None:
    """Install packages as far as their metadata: ``name version requirement…``."""
    for line in lines:
        name, version, *wanted = line.split(" ", 2)
        info = directory / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        requires = "".join(f"Requires-Dist: {one}\n" for one in wanted)
        (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n{requires}")


def versions_in(directory: Path, monkeypatch: pytest.MonkeyPatch) -> list[Verdict]:
    """What is said of what is installed there."""
    distributions = list(metadata.distributions(path=[str(directory)]))
    monkeypatch.setattr(versions.metadata, "distributions", lambda: distributions)
    return list(versions.check(setup_of()))


def test_versions_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pin that is not met, by whom it is made, and what to install."""
    installed(
        tmp_path,
        "livekit-agents 1.8.9 opentelemetry-sdk<1.46,>=1.45",
        "opentelemetry-sdk 1.39.0 opentelemetry-api==1.39.0",
    )
    first, second, last = versions_in(tmp_path, monkeypatch)
    assert first.finding == (
        "livekit-agents 1.8.9 wants opentelemetry-sdk<1.46,>=1.45, 1.39.0 is installed"
    )
    assert first.remedy.startswith("pip install -U livekit-agents")
    assert second.finding == (
        "opentelemetry-sdk 1.39.0 wants opentelemetry-api==1.39.0, it is not installed"
    )
    assert last.finding.endswith(
        "livekit-agents 1.8.9, OpenTelemetry 1.39.0, callspan from its source"
    )


def test_no_livekit_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert versions_in(tmp_path, monkeypatch) == [
        problem(
            "livekit-agents is not installed for this Python",
            "run the doctor with the worker's own Python, or pip install livekit-agents",
        )
    ]


def test_a_livekit_agents_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "livekit-agents 1.2.18", "opentelemetry-sdk 1.45.1")
    first, _ = versions_in(tmp_path, monkeypatch)
    assert first == problem(
        "livekit-agents 1.2.18 is too old", "pip install 'livekit-agents>=1.6.10'"
    )
