# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A stand-in for a hosted backend's OTLP address: Langfuse's, or Grafana Cloud's.

Neither can be run here. This refuses what they document to refuse: another path, a wrong key, a
missing header, another protocol; Grafana Cloud also metrics that are not cumulative.
"""

from __future__ import annotations

import base64
import gzip
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from offline.received import ReceivedSpan, read_spans

_PROTOBUF: Final = "application/x-protobuf"


class OtlpBackend:
    """Takes OTLP over HTTP with protobuf, and keeps what it took.

    Args:
        prefix: What the path has before ``/v1/traces`` and ``/v1/metrics``.
        user: The first half of its key.
        password: The second half.
        headers: Headers that each request has to have, with these values.
        pages: What it answers to GET, by the path; no key is asked for.

    Attributes:
        basic_auth: What ``Authorization: Basic`` has to be followed by.
        refused: Why requests were refused, as they came.
    """

    def __init__(
        self,
        prefix: str,
        user: str,
        password: str,
        headers: Mapping[str, str] | None = None,
        *,
        pages: Mapping[str, bytes] | None = None,
    ) -> None:
        self.prefix = prefix
        self.basic_auth = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.refused: list[str] = []
        self.pages = dict(pages or {})
        self._headers = {"Authorization": f"Basic {self.basic_auth}", **(headers or {})}
        self._changed = threading.Condition()
        self._spans: list[ReceivedSpan] = []
        self._metrics: list[ExportMetricsServiceRequest] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def origin(self) -> str:
        """Its address without a path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def spans(self) -> list[ReceivedSpan]:
        """The spans so far."""
        with self._changed:
            return list(self._spans)

    @property
    def metrics(self) -> list[ExportMetricsServiceRequest]:
        """The requests with metrics so far."""
        with self._changed:
            return list(self._metrics)

    def wait_for(self, predicate: Callable[[Self], bool], timeout_s: float) -> None:
        """Wait until something holds; it is asked again after every request.

        Raises:
            AssertionError: If it did not within ``timeout_s`` seconds.
        """
        with self._changed:
            held = self._changed.wait_for(lambda: predicate(self), timeout_s)
        assert held, f"not within {timeout_s:g} s; {len(self._spans)} spans, {self.refused}"

    def _take(self, path: str, headers: Mapping[str, str], body: bytes) -> HTTPStatus:
        for name, wanted in self._headers.items():
            if headers.get(name) != wanted:
                return self._refuse(HTTPStatus.UNAUTHORIZED, f"{name}: {headers.get(name)}")
        if headers.get("Content-Type") != _PROTOBUF:
            return self._refuse(HTTPStatus.BAD_REQUEST, f"type {headers.get('Content-Type')}")
        payload = gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
        with self._changed:
            if path == f"{self.prefix}/v1/traces":
                self._spans += read_spans(ExportTraceServiceRequest.FromString(payload))
            elif path == f"{self.prefix}/v1/metrics":
                request = ExportMetricsServiceRequest.FromString(payload)
                if not _is_cumulative(request):
                    return self._refuse(HTTPStatus.BAD_REQUEST, "invalid temporality")
                self._metrics.append(request)
            else:
                return self._refuse(HTTPStatus.NOT_FOUND, f"path {path}")
            self._changed.notify_all()
        return HTTPStatus.OK

    def _refuse(self, status: HTTPStatus, why: str) -> HTTPStatus:
        with self._changed:
            self.refused.append(why)
            self._changed.notify_all()
        return status

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(backend._take(self.path, self.headers, body))
                self.send_header("Content-Type", _PROTOBUF)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                page = backend.pages.get(self.path)
                self.send_response(HTTPStatus.NOT_FOUND if page is None else HTTPStatus.OK)
                self.send_header("Content-Length", str(len(page or b"")))
                self.end_headers()
                self.wfile.write(page or b"")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Keeps the terminal for the tests."""

        return Handler


def _is_cumulative(request: ExportMetricsServiceRequest) -> bool:
    kinds = [
        getattr(metric, metric.WhichOneof("data"))
        for resource_metrics in request.resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
        if metric.WhichOneof("data") in ("sum", "histogram")
    ]
    return all(kind.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE for kind in kinds)
