# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A backend that reads what it is sent and then misbehaves on the wire, in one way at a time."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Final, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
_LATE_S: Final = 4.0
_DRIP_S: Final = 1.0

Misbehaviour = Callable[[socket.socket, threading.Event], object]


def _send(answer: bytes) -> Misbehaviour:
    return lambda client, _: client.sendall(answer)


def _status(status: str, *headers: str) -> Misbehaviour:
    lines = [f"HTTP/1.1 {status}", *headers, "Content-Length: 0", "", ""]
    return _send("\r\n".join(lines).encode())


def _drip(client: socket.socket, over: threading.Event) -> None:
    for byte in _OK:
        client.send(bytes([byte]))
        if over.wait(_DRIP_S):
            return


def _answer_late(client: socket.socket, over: threading.Event) -> None:
    over.wait(_LATE_S)
    client.sendall(_OK)


def _reset(client: socket.socket, _: threading.Event) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


MISBEHAVIOURS: Final[dict[str, Misbehaviour]] = {
    "answers": _send(_OK),
    "answers after 4 s": _answer_late,
    "accepts and hangs": lambda _, over: over.wait(),
    "one byte a second": _drip,
    "resets the connection": _reset,
    "answers garbage": _send(b"\x00\xff\x13 no HTTP at all\r\n\r\n"),
    "half a head": _send(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "half a body": _send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
    "503": _status("503 Service Unavailable"),
    "503, Retry-After 1 s": _status("503 Service Unavailable", "Retry-After: 1"),
    "503, Retry-After 30 s": _status("503 Service Unavailable", "Retry-After: 30"),
    "429, Retry-After 1 s": _status("429 Too Many Requests", "Retry-After: 1"),
    "400": _status("400 Bad Request"),
    "413": _status("413 Content Too Large"),
}


class SickBackend:
    """Listens on the loopback while it is entered.

    Args:
        misbehaviour: A key of ``MISBEHAVIOURS``.

    Attributes:
        read: Ids of the spans whose request was read whole, whatever was answered.
    """

    def __init__(self, misbehaviour: str) -> None:
        self.read: set[bytes] = set()
        self._over = threading.Event()
        backend, misbehave = self, MISBEHAVIOURS[misbehaviour]

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                backend._note(body)
                self.close_connection = True
                try:
                    misbehave(self.connection, backend._over)
                except OSError:
                    return  # whoever waited has given up

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        class Server(ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def _note(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.read |= {span.span_id for span in scope.spans}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
