# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What is asked for as log events, where they go, and the ids on log records."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from livekit.agents.ipc.log_queue import LogQueueListener
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from callspan.config import settings
from callspan.livekit import log_records
from callspan.livekit.patches import Patches
from callspan.providers import logger_provider
from callspan.runtime import call_report

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
REPORT = "CALLSPAN_SESSION_REPORT"
tracer = TracerProvider().get_tracer(__name__)


@pytest.mark.parametrize(
    ("value", "in_code", "expected"),
    [
        ("", None, (False, False)),
        ("SPAN_ONLY", None, (True, False)),
        ("true", None, (True, False)),
        ("EVENT_ONLY", None, (False, True)),
        ("span_and_event", None, (True, True)),
        ("SPAN_AND_EVENT", False, (False, False)),
        ("EVENT_ONLY", True, (True, True)),
        ("", True, (True, False)),
    ],
)
def test_where_content_goes(value: str, in_code: bool | None, expected: tuple[bool, bool]) -> None:
    """On spans, in events; code says whether it is captured, events only the variable."""
    resolved = settings.resolve({CONTENT: value}, capture_content=in_code)
    assert (resolved.content, resolved.event_content) == expected
    assert resolved.problems == ()


@pytest.mark.parametrize(
    ("environ", "sends"),
    [
        ({}, False),
        ({REPORT: "off"}, False),
        ({REPORT: "summary"}, True),
        ({CONTENT: "EVENT_ONLY"}, True),
    ],
)
def test_log_events_are_sent_on_request(environ: dict[str, str], sends: bool) -> None:
    """A report, or content in events; what is wrong with the way there is said only then."""
    resolved = settings.resolve({**environ, "OTEL_LOGS_EXPORTER": "grafana_cloud"})
    assert resolved.sends_log_events is sends
    assert bool(logger_provider.problems_of(resolved)) is sends
    assert (call_report.log_events(resolved) is not None) is sends


def test_only_a_provider_of_the_application_is_the_users() -> None:
    """One that the wrapper command made has exporters of another protocol by default."""
    users = LoggerProvider(Resource({}), shutdown_on_exit=False)
    commands = LoggerProvider(
        Resource({"telemetry.auto.version": "0.66b1"}), shutdown_on_exit=False
    )
    assert call_report.is_user_provider(users)
    assert not call_report.is_user_provider(commands)


@pytest.fixture
def patches() -> Iterator[Patches]:
    patches = Patches()
    yield patches
    patches.undo()


def record_of(caplog: pytest.LogCaptureFixture, **extra: str) -> logging.LogRecord:
    logging.getLogger("application").warning("now", extra=extra)
    return caplog.records[-1]


def test_a_record_carries_its_span(patches: Patches, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever logger and handler; not outside of a span; nothing that is there is overwritten."""
    before = logging.Logger.makeRecord, LogQueueListener.handle
    assert log_records.patch(patches) == []
    assert not hasattr(record_of(caplog), "otelTraceID")
    with tracer.start_as_current_span("tool") as span:
        context = span.get_span_context()
        record = record_of(caplog)
        assert record.__dict__["otelTraceID"] == trace.format_trace_id(context.trace_id)
        assert record.__dict__["otelSpanID"] == trace.format_span_id(context.span_id)
        assert record.__dict__["otelTraceSampled"] is True
        assert record_of(caplog, otelTraceID="mine").__dict__["otelTraceID"] == "mine"
        patches.undo()
        assert not hasattr(record_of(caplog), "otelTraceID")
    assert (logging.Logger.makeRecord, LogQueueListener.handle) == before


def test_a_record_of_a_job_is_handled_in_its_span(patches: Patches) -> None:
    """As OpenTelemetry's handler takes the ids from the context."""
    handled: list[int] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            handled.append(trace.get_current_span().get_span_context().span_id)

    log_records.patch(patches)
    listener = LogQueueListener(None, lambda record: None)  # type: ignore[arg-type]
    logger = logging.getLogger("application.job")
    handler = Handler()
    logger.addHandler(handler)
    try:
        with tracer.start_as_current_span("tool") as span:
            inside = logger.makeRecord(logger.name, logging.ERROR, "", 1, "", (), None)
        outside = logger.makeRecord(logger.name, logging.ERROR, "", 1, "", (), None)
        for record in (inside, outside):
            listener.handle(record)
    finally:
        logger.removeHandler(handler)
    assert handled == [span.get_span_context().span_id, 0]
    assert trace.get_current_span() is trace.INVALID_SPAN
