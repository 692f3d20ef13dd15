# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""An OTLP receiver on the loopback that keeps what it was sent.

It stands where a Collector or a backend would and speaks their protocol (OTLP over HTTP with
protobuf, or over gRPC), so that what a worker really exported can be counted and read back. It
can also fail on purpose: hang, refuse connections, or answer that it is unavailable.
"""

from __future__ import annotations

import argparse
import gzip
import socket
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import SimpleNamespace, TracebackType
from typing import Any, Literal, Protocol, Self, get_args

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from offline.received import ReceivedRequest, ReceivedSpan, read_spans

Mode = Literal["ok", "hang", "refuse", "503"]
"""How a receiver treats a client: answer, read and never answer, refuse connections, answer 503."""

_HOST = "127.0.0.1"
_MESSAGES: dict[str, tuple[type[Message], type[Message]]] = {
    "/v1/traces": (ExportTraceServiceRequest, ExportTraceServiceResponse),
    "/v1/metrics": (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
    "/v1/logs": (ExportLogsServiceRequest, ExportLogsServiceResponse),
}


class OtlpReceiver:
    """A receiver that listens in threads of this process.

    Only requests that were answered with success add to `spans`, `metric_requests` and
    `log_requests`; every request that was read adds to `requests`.

    Args:
        protocol: "http" (protobuf bodies, gzip understood) or "grpc".
        port: The port to listen on; 0 takes a free one. It stays reserved until `stop()`, in mode
            "refuse" too.
        mode: How to treat clients at first; assign to `mode` to change it while running.
        on_span: Called with every span that is kept, on a thread of the receiver.

    Raises:
        ValueError: The protocol or the mode has no such value.
        OSError: The port is taken.
    """

    def __init__(
        self,
        *,
        protocol: Literal["http", "grpc"] = "http",
        port: int = 0,
        mode: Mode = "ok",
        on_span: Callable[[ReceivedSpan], None] | None = None,
    ) -> None:
        if protocol not in ("http", "grpc"):
            raise ValueError(f"protocol is {protocol!r}; say 'http' or 'grpc'")
        self._mode: Mode = _checked(mode)
        self._front_type = _HttpFront if protocol == "http" else _GrpcFront
        self._front: _Front | None = None
        self._wanted_port = port
        self._reserved: socket.socket | None = None
        self._on_span = on_span
        self._changed = threading.Condition(threading.RLock())
        self._released = threading.Event()
        self._spans: list[ReceivedSpan] = []
        self._metric_requests: list[ExportMetricsServiceRequest] = []
        self._log_requests: list[ExportLogsServiceRequest] = []
        self._requests: list[ReceivedRequest] = []

    def start(self) -> Self:
        """Takes the port and, unless in mode "refuse", listens on it."""
        # A bound socket that never listens refuses connections and keeps the port ours while
        # the listening one comes and goes.
        reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._wanted_port != 0:
            # SO_REUSEPORT would let a second receiver take every other request of a first one.
            _require_free(self._wanted_port)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind((_HOST, self._wanted_port))
        self._reserved = reserved
        self._apply(self._mode)
        return self

    def stop(self) -> None:
        """Ends every connection, hung ones without an answer, and gives the port back."""
        self._released.set()
        self._close_front()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port in use.

        Raises:
            RuntimeError: The receiver is not started.
        """
        if self._reserved is None:
            raise RuntimeError("the receiver has no port before start(); use it in a with block")
        return int(self._reserved.getsockname()[1])

    @property
    def endpoint(self) -> str:
        """What to put into `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        return f"http://{_HOST}:{self.port}"

    @property
    def mode(self) -> Mode:
        """How clients are treated; leaving "hang" drops the requests that hang, unanswered."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = _checked(mode)
        if self._reserved is not None:
            self._apply(mode)

    @property
    def spans(self) -> list[ReceivedSpan]:
        """The spans so far, in the order of arrival."""
        with self._changed:
            return list(self._spans)

    @property
    def metric_requests(self) -> list[ExportMetricsServiceRequest]:
        """The metrics requests so far, as protobuf messages."""
        with self._changed:
            return list(self._metric_requests)

    @property
    def log_requests(self) -> list[ExportLogsServiceRequest]:
        """The logs requests so far, as protobuf messages."""
        with self._changed:
            return list(self._log_requests)

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests so far, in the order of arrival."""
        with self._changed:
            return list(self._requests)

    def wait_for(self, predicate: Callable[[Self], bool], timeout: float | None = None) -> bool:
        """Waits until `predicate(receiver)` holds; it is asked again after every request.

        Args:
            predicate: Reads the receiver, for instance `lambda r: len(r.spans) >= 4`.
            timeout: Seconds to wait at most; None waits for ever.

        Returns:
            Whether it held in the end.
        """
        with self._changed:
            return bool(self._changed.wait_for(lambda: predicate(self), timeout))

    def _apply(self, mode: Mode) -> None:
        if mode == "hang":
            self._released.clear()
        else:
            self._released.set()
        if mode == "refuse":
            self._close_front()
        elif self._front is None:
            self._front = self._front_type(self)

    def _close_front(self) -> None:
        front, self._front = self._front, None
        if front is not None:
            front.close()

    def _admit(self, request: ReceivedRequest) -> Mode:
        """Notes a request that was read, hangs if that is the mode, and says how to answer."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
            mode = self._mode
        if mode == "hang":
            self._released.wait()
        return mode

    def _keep(self, message: Message) -> None:
        with self._changed:
            if isinstance(message, ExportTraceServiceRequest):
                spans = list(read_spans(message))
                self._spans.extend(spans)
                if self._on_span is not None:
                    for span in spans:
                        self._on_span(span)
            elif isinstance(message, ExportMetricsServiceRequest):
                self._metric_requests.append(message)
            elif isinstance(message, ExportLogsServiceRequest):
                self._log_requests.append(message)
            self._changed.notify_all()


class _Front(Protocol):
    def __init__(self, receiver: OtlpReceiver) -> None: ...

    def close(self) -> None: ...


class _HttpFront(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    allow_reuse_port = True
    request_queue_size = 128

    def __init__(self, receiver: OtlpReceiver) -> None:
        self.receiver = receiver
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__((_HOST, receiver.port), _HttpHandler)
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, name="otlp-receiver"
        )
        self._thread.daemon = True
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._open_lock:
            # Clients keep connections alive: one left open would still be answered.
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: a client that gives up on us is what several modes are for."""


class _HttpHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _HttpFront

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        mode = self.server.receiver._admit(
            ReceivedRequest("POST", self.path, headers, len(body)),
        )
        if mode == "hang":
            self.close_connection = True
        elif mode == "503":
            self._answer(503)
        # backends have a path of their own before the signal's, which comes once
        elif (signal := self.path[self.path.find("/v1/") :]) not in _MESSAGES:
            self._answer(404)
        elif headers.get("content-type") != "application/x-protobuf":
            self._answer(415)
        else:
            request_type, response_type = _MESSAGES[signal]
            try:
                if headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                message = request_type.FromString(body)
            except (DecodeError, OSError, EOFError, zlib.error):
                self._answer(400)
                return
            self.server.receiver._keep(message)
            self._answer(200, response_type().SerializeToString())

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keeps the terminal for what was received."""


class _GrpcFront:
    def __init__(self, receiver: OtlpReceiver) -> None:
        # Here, because OTLP over HTTP must work where grpcio is not installed.
        import grpc
        from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs
        from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as trace

        def servicer(service: str, response_type: type[Message]) -> SimpleNamespace:
            path = f"/opentelemetry.proto.collector.{service}/Export"

            def export(message: Message, context: Any) -> Message:
                headers = {name: str(value) for name, value in context.invocation_metadata()}
                mode = receiver._admit(ReceivedRequest("POST", path, headers, message.ByteSize()))
                if mode != "ok":
                    context.abort(grpc.StatusCode.UNAVAILABLE, f"the receiver's mode is {mode!r}")
                receiver._keep(message)
                return response_type()

            return SimpleNamespace(Export=export)

        self._server = grpc.server(ThreadPoolExecutor(32, thread_name_prefix="otlp-receiver"))
        trace.add_TraceServiceServicer_to_server(
            servicer("trace.v1.TraceService", ExportTraceServiceResponse), self._server
        )
        metrics.add_MetricsServiceServicer_to_server(
            servicer("metrics.v1.MetricsService", ExportMetricsServiceResponse), self._server
        )
        logs.add_LogsServiceServicer_to_server(
            servicer("logs.v1.LogsService", ExportLogsServiceResponse), self._server
        )
        self._server.add_insecure_port(f"{_HOST}:{receiver.port}")
        self._server.start()

    def close(self) -> None:
        self._server.stop(grace=None).wait()


def _checked(mode: Mode) -> Mode:
    if mode not in get_args(Mode):
        raise ValueError(f"mode is {mode!r}; say one of {', '.join(get_args(Mode))}")
    return mode


def _require_free(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((_HOST, port))


def _print_span(span: ReceivedSpan) -> None:
    milliseconds = (span.end_ns - span.start_ns) / 1e6
    print(f"{span.trace_id[:8]}  {span.name:<24} {milliseconds:9.1f} ms", flush=True)


def _main() -> None:
    parser = argparse.ArgumentParser(description="Receives OTLP and prints a line per span.")
    parser.add_argument("--protocol", choices=("http", "grpc"), default="http")
    parser.add_argument("--port", type=int, default=4318)
    options = parser.parse_args()
    with OtlpReceiver(
        protocol=options.protocol, port=options.port, on_span=_print_span
    ) as receiver:
        print(f"OTLP over {options.protocol} at {receiver.endpoint}, Ctrl-C ends", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    _main()
