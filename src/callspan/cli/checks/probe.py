# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""One real export through the worker's own exporter, and what the other side made of it.

An exporter says no more than success or failure, and takes a redirect for success. So its HTTP
library and its log are listened to while it exports; nothing is sent in another way than a call's.
"""

from __future__ import annotations

import logging
import os
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import requests
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from ... import semconv
from ...config.otlp import without_credentials
from ...version import __version__
from .verdict import without_secrets

TEST_SPAN: Final = "callspan doctor"
"""The name of the span that is sent to see whether spans arrive."""

_SCOPE: Final = "callspan"
_TEXT_LENGTH: Final = 160
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_SETTINGS_FRAME: Final = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        accepted: Whether the exporter took it for success.
        status: Of HTTP; 0 where there was no answer over HTTP.
        code: Of gRPC, as it is named; empty where there was none.
        failure: ``timeout``, ``tls``, ``proxy`` or ``connection``, where there was no answer.
        content_type: Of the answer.
        location: Where a redirect points to.
        text: What was said besides, in one line.
        rejected: How many spans or points were refused by an answer that says success.
        seconds: From the start of the export to the answer.
        url: Where it came from, without credentials; empty over gRPC.
    """

    accepted: bool = False
    status: int = 0
    code: str = ""
    failure: str = ""
    content_type: str = ""
    location: str = ""
    text: str = ""
    rejected: int = 0
    seconds: float = 0.0
    url: str = ""


def one_span() -> list[ReadableSpan]:
    """Return one finished span of the worker's service."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(sampler=ALWAYS_ON, resource=Resource.create(), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    provider.get_tracer(_SCOPE, __version__).start_span(TEST_SPAN).end()
    return list(memory.get_finished_spans())


def one_point(temporality: dict[type, AggregationTemporality]) -> Any:
    """Return one point, a sum of 0 that adds nothing to any panel, in some temporality."""
    reader = InMemoryMetricReader(preferred_temporality=temporality)
    provider = MeterProvider([reader], Resource.create(), shutdown_on_exit=False)
    metric = semconv.M_TELEMETRY_DROPPED
    counter = provider.get_meter(_SCOPE, __version__).create_counter(
        metric.name, metric.unit, metric.description
    )
    labels = {
        semconv.L_SIGNAL: semconv.SIGNAL_METRICS,
        semconv.L_REASON: semconv.REASON_NOT_DELIVERED,
    }
    counter.add(0, labels)
    return reader.get_metrics_data()


def cumulative() -> dict[type, AggregationTemporality]:
    """Return the temporality that every backend takes."""
    return {Counter: AggregationTemporality.CUMULATIVE}


def send(exporter: Any, data: Any, timeout_s: float) -> Answer:
    """Export something, and return the first answer: what is retried has failed for a doctor.

    Args:
        exporter: Of spans or of metrics.
        data: What it is to export.
        timeout_s: Seconds to wait for the answer.
    """
    heard: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    started = time.monotonic()

    def export() -> None:
        try:
            accepted = exporter.export(data).name == "SUCCESS"
        except Exception as error:  # noqa: BLE001  some exporters raise what they were answered
            heard.put(Answer(text=_one_line(f"{type(error).__name__}: {error}")))
        else:
            heard.put(Answer(accepted=accepted))

    thread = threading.Thread(target=export, name="callspan-doctor", daemon=True)
    with _listening(thread, heard.put):
        thread.start()
        try:
            answer = heard.get(timeout=timeout_s)
        except queue.Empty:
            answer = Answer(failure="timeout")
        seconds = time.monotonic() - started
        # ends what it would retry; on a thread, since it may wait for what hangs
        threading.Thread(target=exporter.shutdown, daemon=True).start()
    return replace(answer, seconds=seconds)


def send_through(provider: TracerProvider, timeout_s: float) -> list[Answer]:
    """Make a span of a provider that the application set, flush it, and return each answer.

    Args:
        provider: Whose exporters are not known.
        timeout_s: Seconds to wait for all of them.

    Returns:
        The first answer of each address; none where nothing was exported.
    """
    heard: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
    started = time.monotonic()

    def export() -> None:
        # exporters that raise have told of it by then, or are what is said to be silent
        with suppress(Exception):
            provider.get_tracer(_SCOPE, __version__).start_span(TEST_SPAN).end()
            provider.force_flush()
        heard.put(None)

    answers: dict[str, Answer] = {}
    with _listening(None, heard.put):
        threading.Thread(target=export, name="callspan-doctor", daemon=True).start()
        while True:
            try:
                answer = heard.get(timeout=max(0.0, started + timeout_s - time.monotonic()))
            except queue.Empty:
                if not answers:
                    answers[""] = Answer(failure="timeout", seconds=timeout_s)
                break
            if answer is None:
                break
            seconds = time.monotonic() - started
            answers.setdefault(answer.url, replace(answer, seconds=seconds))
    return list(answers.values())


@contextmanager
def _listening(thread: threading.Thread | None, note: Callable[[Answer], None]) -> Iterator[None]:
    """Hear what the HTTP library is answered, on one thread or on any, and what exporters log.

    By its adapter, below the session: that follows redirects, where an exporter lets it.
    """
    adapter_class: Any = requests.adapters.HTTPAdapter
    original = adapter_class.send

    def listened(adapter: Any, request: Any, **kwargs: Any) -> Any:
        if thread is not None and threading.current_thread() is not thread:
            return original(adapter, request, **kwargs)
        try:
            response = original(adapter, request, **kwargs)
        except requests.RequestException as error:
            url = without_credentials(request.url or "")
            note(Answer(failure=_failure(error), text=_one_line(str(error)), url=url))
            raise
        note(_answer(response))
        return response

    loggers = [logging.getLogger(name) for name in ("opentelemetry", "callspan")]
    log, propagated = _Log(note), [logger.propagate for logger in loggers]
    adapter_class.send = listened
    for logger in loggers:
        logger.addHandler(log)
        logger.propagate = False
    try:
        yield
    finally:
        adapter_class.send = original
        for logger, propagate in zip(loggers, propagated, strict=True):
            logger.removeHandler(log)
            logger.propagate = propagate


class _Log(logging.Handler):
    """Hears the gRPC status that an exporter logs; the rest is for a worker's log."""

    def __init__(self, note: Callable[[Answer], None]) -> None:
        super().__init__()
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of a status."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        for argument in arguments:
            if type(argument).__name__ == "StatusCode":
                code = str(getattr(argument, "name", ""))
                self._note(Answer(code=code, text=_one_line(record.getMessage())))
                return


def _answer(response: requests.Response) -> Answer:
    content_type = response.headers.get("Content-Type", "")
    rejected, text = 0, _printable(response.content, response.request.headers)
    if response.ok and "protobuf" in content_type:
        rejected, text = _partial(response.content, response.request.url or "")
    return Answer(
        accepted=200 <= response.status_code < 300,
        status=response.status_code,
        content_type=content_type.partition(";")[0].strip().lower(),
        location=response.headers.get("Location", ""),
        text=text,
        rejected=rejected,
        url=without_credentials(response.request.url or ""),
    )


def _partial(content: bytes, url: str) -> tuple[int, str]:
    """Read how much of an export was refused in an answer that says success, and why."""
    try:
        if url.rstrip("/").endswith("metrics"):
            points = ExportMetricsServiceResponse.FromString(content).partial_success
            return points.rejected_data_points, _one_line(points.error_message)
        spans = ExportTraceServiceResponse.FromString(content).partial_success
    except ValueError:  # a DecodeError is one
        return 0, ""
    return spans.rejected_spans, _one_line(spans.error_message)


def _failure(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "tls"
    if isinstance(error, requests.exceptions.ProxyError):
        return "proxy"
    return "timeout" if isinstance(error, requests.Timeout) else "connection"


def _printable(content: bytes, sent: Mapping[str, str | bytes]) -> str:
    """Return what can be read of a body, text, JSON or a protobuf status, without what was sent."""
    text = " ".join(run.decode() for run in re.findall(rb"[ -~]{6,}", content[:4000]))
    credentials = str(sent.get("authorization", "")).rpartition(" ")[2]
    return _one_line(text.replace(credentials, "…") if credentials else text)


def _one_line(text: str) -> str:
    # before it is cut: half a credential would not be known for one
    text = without_secrets(" ".join(text.split()), os.environ)
    return text if len(text) <= _TEXT_LENGTH else f"{text[:_TEXT_LENGTH]}…"


def speaks_http2(host: str, port: int, timeout_s: float) -> bool | None:
    """Tell whether a port speaks HTTP/2 without TLS, as gRPC does; None where it says nothing."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            connection.sendall(_PREFACE)
            connection.settimeout(timeout_s)
            head = connection.recv(9)
    except OSError:
        return None
    return head[3] == _SETTINGS_FRAME if len(head) > 3 else None
