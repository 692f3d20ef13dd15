# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the variables mean, and what is said of values that mean nothing."""

from __future__ import annotations

import pickle

import pytest

from callspan.config import settings
from callspan.config.arguments import Options
from callspan.config.switches import is_disabled

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
FLUSH = "CALLSPAN_FLUSH_TIMEOUT"
PARTS = "CALLSPAN_DISABLED_PARTS"


def test_defaults() -> None:
    """With no variable set: OTLP over HTTP for both signals, no content, two seconds."""
    assert settings.resolve({}) == settings.Settings()


def test_settings_travel_to_another_process() -> None:
    """Settings survive pickling, which is how they reach a job process."""
    resolved = settings.resolve({"OTEL_TRACES_EXPORTER": "otlp,console"}, capture_content=True)
    assert pickle.loads(pickle.dumps(resolved)) == resolved


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ("otlp",)),
        ("none", ()),
        ("otlp,console", ("otlp", "console")),
        (" otlp , otlp ", ("otlp",)),
        ("prometheus,otlp", ("prometheus", "otlp")),
    ],
)
def test_exporter_lists(value: str, expected: tuple[str, ...]) -> None:
    """Exporter variables take lists; none means none; a name twice is one exporter."""
    assert settings.resolve({"OTEL_METRICS_EXPORTER": value}).metric_exporters == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"}, "grpc"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317/"}, "grpc"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c/otlp"}, "http/protobuf"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            },
            "http/protobuf",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            },
            "grpc",
        ),
    ],
)
def test_protocol(environ: dict[str, str], expected: str) -> None:
    """The protocol is what the variable says, else what the endpoint's port says, else HTTP."""
    assert settings.resolve(environ).traces_protocol == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", False),
        ("NO_CONTENT", False),
        ("EVENT_ONLY", False),
        ("false", False),
        ("SPAN_ONLY", True),
        ("span_and_event", True),
        ("true", True),
    ],
)
def test_content_values(value: str, expected: bool) -> None:
    """Content on spans is on for the values that name spans, in any case of letters."""
    resolved = settings.resolve({CONTENT: value})
    assert resolved.content is expected
    assert resolved.problems == ()


def test_code_overrides_the_content_variable() -> None:
    """What is passed in code wins."""
    assert settings.resolve({CONTENT: "SPAN_ONLY"}, capture_content=False).content is False


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        (
            {CONTENT: "maybe"},
            f"{CONTENT}=maybe: no such value, content stays off; "
            "write NO_CONTENT, SPAN_ONLY, EVENT_ONLY or SPAN_AND_EVENT",
        ),
        (
            {FLUSH: "soon"},
            f"{FLUSH}=soon: not a number of seconds above 0 and up to 8, 2 is used; "
            "write for example 2",
        ),
        (
            {FLUSH: "60"},
            f"{FLUSH}=60: not a number of seconds above 0 and up to 8, 2 is used; "
            "write for example 2",
        ),
        (
            {PARTS: "stt,flush"},
            f"{PARTS}=stt: no such part, it is passed over; "
            "use any of attributes, flush, interruptions, span_filter, stt_request",
        ),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/json: no such protocol here, http/protobuf is used; "
            "write http/protobuf or grpc",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
            "OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318: no scheme, nothing can be sent there; "
            "write http://collector:4318 or https://collector:4318",
        ),
        (
            {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization: Basic c2VjcmV0"},
            "OTEL_EXPORTER_OTLP_HEADERS: entry 1 is not name=value, it is not sent; "
            "write name=value, comma-separated and percent-encoded, "
            "e.g. authorization=Basic%20dXNlcjpw",
        ),
    ],
)
def test_what_is_said_of_bad_values(environ: dict[str, str], problem: str) -> None:
    """A bad value gives one problem: the variable, the value, what to write instead."""
    assert [str(one) for one in settings.resolve(environ).problems] == [problem]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"OTEL_SDK_DISABLED": "true"}, True),
        ({"OTEL_SDK_DISABLED": "false"}, False),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "redis, livekit_agents"}, True),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}, True),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "redis"}, False),
    ],
)
def test_standard_switches(environ: dict[str, str], expected: bool) -> None:
    """The two standard switches turn everything off."""
    assert is_disabled(environ) is expected


def test_unknown_part_in_code_is_refused() -> None:
    """A part that does not exist is an error where it is passed."""
    with pytest.raises(
        ValueError,
        match=r"disabled_parts=\['stt'\]: no such part; "
        "use any of attributes, flush, interruptions, span_filter, stt_request",
    ):
        Options.of(disabled_parts=["stt"])


def test_something_else_than_a_provider_is_refused() -> None:
    """A provider that is none is an error where it is passed."""
    with pytest.raises(TypeError, match="tracer_provider='x': not a TracerProvider; pass one from"):
        Options.of(tracer_provider="x")  # type: ignore[arg-type]
