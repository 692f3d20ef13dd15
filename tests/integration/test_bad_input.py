# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What is wrong is said once, when the worker starts, in plain words; the agent takes its calls.

A message names the variable, the value and what to write instead, and never a credential:
``hunter2`` is one wherever it stands here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import NoOpTracerProvider

from callspan import LiveKitAgentsInstrumentor, instrument
from callspan.providers.presets import PRESETS
from kit.workers import Run, assert_whole, run_agent

_SECRET = "hunter2"
_OTHERS = ("console", "none", "otlp", "otlp_proto_grpc", "otlp_proto_http", "waterfall")
_QUICK = {"EXECUTOR": "thread", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
_MISTAKES = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}",
    "OTEL_TRACES_EXPORTER": "otlp,otpl",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
    "OTEL_EXPORTER_OTLP_HEADERS": f"x-tenant=acme,Authorization: Basic {_SECRET},sk-{_SECRET}",
    "OTEL_METRICS_EXPORTER": "prometheus",
    "OTEL_EXPORTER_PROMETHEUS_PORT": "ninety",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "maybe",
    "CALLSPAN_FLUSH_TIMEOUT": "soon",
    "CALLSPAN_DISABLED_PARTS": "interruptions,flushh",
}


@pytest.fixture(scope="module")
def mistaken() -> Run:
    """A worker with a mistake in every variable, and two calls in job processes."""
    return run_agent("instrument_at_import", {**_MISTAKES, "CALLS": "2"})


def _assert_logged_once(run: Run, *parts: str) -> None:
    """Assert one error line with all of these in it, repeated only in the start line."""
    errors = [line for line in run.logged("ERROR") if line.startswith(parts[0])]
    assert len(errors) == 1, run.stderr
    for part in parts:
        assert part in errors[0]
    (startup_line,) = (line for line in run.logged("INFO") if line.startswith("telemetry: "))
    assert errors[0] in startup_line


@pytest.mark.parametrize(
    "message",
    [
        "OTEL_EXPORTER_OTLP_PROTOCOL=http/json: no such protocol here, http/protobuf is used; "
        "write http/protobuf or grpc",
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=maybe: no such value, content stays "
        "off; write NO_CONTENT, SPAN_ONLY, EVENT_ONLY or SPAN_AND_EVENT",
        "CALLSPAN_FLUSH_TIMEOUT=soon: not a number of seconds above 0 "
        "and up to 8, 2 is used; write for example 2",
        "CALLSPAN_DISABLED_PARTS=flushh: no such part, it is passed "
        "over; use any of attributes, flush, interruptions, span_filter, stt_request",
        "OTEL_TRACES_EXPORTER=otpl: no exporter of that name is installed, it is left out; use "
        f"any of {', '.join(sorted([*_OTHERS, *PRESETS]))}",
        "OTEL_EXPORTER_PROMETHEUS_PORT=ninety: cannot serve metrics on localhost:ninety",
    ],
    ids=["protocol", "content", "flush timeout", "part", "exporter", "port"],
)
def test_mistake_is_said_once_with_its_remedy(mistaken: Run, message: str) -> None:
    """However many job processes there are, a mistake is said by the worker alone."""
    _assert_logged_once(mistaken, message)


def test_malformed_header_is_said_without_its_value(mistaken: Run) -> None:
    """Neither the part behind a name nor an entry that is nothing but a token is shown."""
    lines = [line for line in mistaken.logged("ERROR") if "OTEL_EXPORTER_OTLP_HEADERS" in line]

    assert len(lines) == 2
    for line, position in zip(lines, ("2", "3"), strict=True):
        assert f"OTEL_EXPORTER_OTLP_HEADERS: entry {position} is not name=value" in line
        assert "write name=value, comma-separated and percent-encoded" in line
    assert _SECRET not in mistaken.output


def test_calls_are_taken_and_the_rest_works_in_spite_of_mistakes(mistaken: Run) -> None:
    """What was understood is done: the traces are whole, and carry the header that was right."""
    assert mistaken.calls_ended == 2
    assert_whole(mistaken.spans, calls=2)
    assert {request.headers.get("x-tenant") for request in mistaken.requests} == {"acme"}
    assert "Traceback" not in mistaken.stderr


def test_mistakes_are_said_by_the_command_too() -> None:
    """The same messages through ``opentelemetry-instrument``, where it comes as far as us."""
    of_ours = {name: _MISTAKES[name] for name in _MISTAKES if "CALLSPAN" in name or "GENAI" in name}
    protocol = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}"}
    run = run_agent("zero_code", {**_QUICK, **endpoint, **protocol, **of_ours}, by_command=True)

    assert run.calls_ended == 1
    assert_whole(run.spans)
    for name, value in of_ours.items():
        shown = value.split(",")[-1]
        _assert_logged_once(run, f"{name}={shown}: ")


def test_mistakes_are_said_where_the_line_is_in_the_setup_function() -> None:
    """There the worker is not instrumented: the job process says what it found."""
    run = run_agent("instrument_in_setup", {**_MISTAKES, "OTEL_METRICS_EXPORTER": "none"})

    assert run.calls_ended == 1
    assert_whole(run.spans)
    for variable in ("OTEL_TRACES_EXPORTER", *_MISTAKES):
        if "PROMETHEUS" not in variable and variable not in (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_METRICS_EXPORTER",
        ):
            assert [line for line in run.logged("ERROR") if variable in line], variable


# --- endpoints ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "endpoint", ["localhost:4318", f"user:{_SECRET}/?#@localhost:4318"], ids=["bare", "credentials"]
)
def test_endpoint_without_scheme(endpoint: str) -> None:
    """Nothing is tried there, so nothing fails call after call."""
    run = run_agent("instrument_at_import", {**_QUICK, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})

    assert run.calls_ended == 1
    _assert_logged_once(
        run,
        "OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4318: no scheme, nothing can be sent there; "
        "write http://localhost:4318 or https://localhost:4318",
    )
    assert run.logged("WARNING") == []
    assert _SECRET not in run.output
    assert "No connection adapters" not in run.output


def test_endpoint_without_scheme_is_right_for_grpc() -> None:
    """GRPC takes host:port, as the specification lets it."""
    run = run_agent(
        "instrument_at_import",
        {
            **_QUICK,
            "OTEL_EXPORTER_OTLP_ENDPOINT": "{address}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
        },
        protocol="grpc",
    )

    assert_whole(run.spans)
    (startup_line,) = run.logged()
    assert "traces: otlp(grpc 127.0.0.1:" in startup_line
    assert startup_line.endswith("degraded: nothing")


def test_endpoint_whose_port_is_no_number() -> None:
    """A plain message, no traceback."""
    endpoint = f"http://user:{_SECRET}@localhost:port"
    run = run_agent("instrument_at_import", {**_QUICK, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})

    assert run.calls_ended == 1
    _assert_logged_once(
        run, "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:port: ", "port", "write ", "4318"
    )
    assert _SECRET not in run.output
    assert "Traceback" not in run.stderr


def test_endpoint_where_nothing_answers() -> None:
    """Said once for all signals when the worker starts, then once per call with a count."""
    endpoint = f"http://user:{_SECRET}@127.0.0.1:1"
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "EXECUTOR": "thread"}
    run = run_agent("instrument_at_import", variables)

    assert run.calls_ended == 1
    (line,) = (line for line in run.logged("WARNING") if "nothing answers" in line)
    assert line.startswith("OTEL_EXPORTER_OTLP_ENDPOINT: nothing answers at http://127.0.0.1:1")
    assert "Connection refused" in line
    assert "Start a collector there, correct the variable, or set OTEL_TRACES_EXPORTER=none" in line
    (lost,) = (line for line in run.logged("WARNING") if " spans of call " in line)
    made, _, all_of_it = lost.split()[:3]
    assert made == all_of_it
    assert _SECRET not in run.output


def test_endpoint_with_credentials_is_used_and_not_shown() -> None:
    """The exporter authenticates with them; no line in the log has them."""
    endpoint = f"http://user:{_SECRET}@{{address}}"
    run = run_agent("instrument_at_import", {**_QUICK, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})

    assert_whole(run.spans)
    assert all(request.headers["authorization"].startswith("Basic ") for request in run.requests)
    assert _SECRET not in run.output


# --- what is not installed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        pytest.param(
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "ABSENT": "otlp_proto_grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: opentelemetry-exporter-otlp-proto-grpc is not "
            "installed, no traces are sent; pip install opentelemetry-exporter-otlp-proto-grpc, "
            "or write http/protobuf",
            id="not installed",
        ),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "ABSENT": "otlp_proto_grpc"},
            "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317: ",
            id="not installed, by the port",
        ),
        pytest.param(
            {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "BROKEN": "opentelemetry.exporter.otlp.proto.grpc",
            },
            "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: opentelemetry-exporter-otlp-proto-grpc cannot be "
            "imported (",
            id="cannot be imported",
        ),
    ],
)
def test_grpc_exporter_that_cannot_be_had(variables: dict[str, str], message: str) -> None:
    """The package to install is named; the agent runs without traces."""
    run = run_agent("without_exporters", {**_QUICK, **variables})

    assert run.calls_ended == 1
    _assert_logged_once(
        run, message, "no traces are sent", "pip install opentelemetry-exporter-otlp-proto-grpc"
    )
    assert "Traceback" not in run.stderr


def test_prometheus_needs_no_exporter_package() -> None:
    """A bare installation serves the worker's metrics, and finds nothing wrong with that."""
    run = run_agent(
        "without_exporters",
        {
            **_QUICK,
            "ABSENT": "prometheus",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "prometheus",
            "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
        },
    )

    assert run.calls_ended == 1
    (startup_line,) = run.logged()
    assert "metrics: prometheus; " in startup_line
    assert startup_line.endswith("degraded: nothing")


def test_livekit_that_lacks_what_is_needed() -> None:
    """Said with what to install; calls are taken without telemetry."""
    run = run_agent("unsupported_livekit", {"OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}"})

    assert run.calls_ended == 1
    assert run.requests == []
    lines = [line for line in run.stderr.splitlines() if "is not supported" in line]
    assert len(set(lines)) == 1, run.stderr  # in the worker, and in each job process
    assert lines[0].startswith("livekit-agents 1.8.9 is not supported (")
    assert "_DynamicTracer.set_provider" in lines[0]
    assert "calls are taken without telemetry" in lines[0]
    # newer than what we need, not older: a newer one of ours is the remedy
    assert "pip install -U callspan" in lines[0]
    assert "site-packages" not in lines[0]


def test_livekit_that_is_too_old_for_the_command(tmp_path: Path) -> None:
    """OpenTelemetry's own check names both versions; the agent runs untouched."""
    older = tmp_path / "livekit_agents-1.2.18.dist-info"
    older.mkdir()
    metadata = "Metadata-Version: 2.1\nName: livekit-agents\nVersion: 1.2.18\n"
    (older / "METADATA").write_text(metadata)
    variables = {**_QUICK, "OTEL_TRACES_EXPORTER": "none", "PYTHONPATH": str(tmp_path)}
    run = run_agent("zero_code", variables, by_command=True)

    assert run.calls_ended == 1
    assert run.logged() == []
    assert "livekit-agents>=1.6.10" in run.stderr
    assert 'currently installed version ("livekit-agents 1.2.18")' in run.stderr


# --- arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"tracer_provider": "langfuse"},
            TypeError,
            "tracer_provider='langfuse': not a TracerProvider; pass one from "
            "opentelemetry.sdk.trace, or nothing to have one made from the OTEL_* variables",
        ),
        (
            # spans of the API's own provider can be neither enriched nor delivered
            {"tracer_provider": NoOpTracerProvider()},
            TypeError,
            "not a TracerProvider; pass one from opentelemetry.sdk.trace, or nothing",
        ),
        (
            # a string is true, whatever it says
            {"capture_content": "false"},
            TypeError,
            "capture_content='false': not a bool; pass True, False, or nothing to have "
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT decide",
        ),
        (
            {"disabled_parts": ["flushh"]},
            ValueError,
            "disabled_parts=['flushh']: no such part; use any of attributes, flush, "
            "interruptions, span_filter, stt_request",
        ),
        (
            {"disabled_parts": "flush"},
            TypeError,
            "disabled_parts='flush': not a list of names; pass ['flush']",
        ),
    ],
    ids=["provider", "API provider", "content", "part", "parts as text"],
)
@pytest.mark.parametrize(
    "entry_point",
    [instrument, LiveKitAgentsInstrumentor().instrument],
    ids=["line", "instrumentor"],
)
def test_argument_is_refused_where_it_is_passed(
    entry_point: Any, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    """What a programmer wrote wrongly is raised to the programmer, by either entry point."""
    try:
        with pytest.raises(error) as raised:
            entry_point(**arguments)
        assert message in str(raised.value)
        assert not LiveKitAgentsInstrumentor().is_instrumented_by_opentelemetry
    finally:
        if LiveKitAgentsInstrumentor().is_instrumented_by_opentelemetry:
            LiveKitAgentsInstrumentor().uninstrument()
