# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The worker's own scrape address, on the standard variables."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import REGISTRY, CollectorRegistry, make_wsgi_app
from prometheus_client.metrics_core import Metric as Family

from ...diagnostics.log import LogOnce
from ...diagnostics.problem import ProblemError
from ...package import SCRAPE_PORT, scrape_address
from .prometheus import StateFamily

MAX_CONNECTIONS: Final = 16
"""Connections that are served at a time; a Prometheus has one."""
CONNECTION_S: Final = 10.0
"""Seconds that a connection may take, all in all; Prometheus itself waits 10 by default."""


class EndpointError(ProblemError):
    """No scrape can be served; the message names the variable, the value and the remedy."""


class ScrapeEndpoint:
    """Serves a registry over HTTP, in text or OpenMetrics as the scraper asks.

    Args:
        registry: What to serve.
        environ: The variables for host and port. Default: those of this process; without
            them ``localhost`` and 9464.

    Attributes:
        address: Where it listens, e.g. ``http://localhost:9464/metrics``.

    Raises:
        EndpointError: If it cannot listen there.
    """

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        host, port = scrape_address(os.environ if environ is None else environ)
        self._server, self._thread = _listen(host, port, registry)
        if hasattr(os, "register_at_fork"):
            # a child would keep the port when its worker is gone
            this = weakref.ref(self._server)
            os.register_at_fork(after_in_child=lambda: _close_in_child(this()))
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _DeduplicatingRegistry(CollectorRegistry):
    """A registry as it is served: of families with one name, ours.

    A program that used to count for itself may still declare the same names with
    prometheus_client; in a worker those stay at zero, and twice the same name is no valid scrape.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._registry = registry
        self._log_once = LogOnce()

    def collect(self) -> Iterator[Family]:
        families: dict[str, Family] = {}
        for family in self._registry.collect():
            known = families.setdefault(family.name, family)
            if known is not family:
                if isinstance(family, StateFamily):
                    families[family.name] = family
                self._log_once(
                    family.name,
                    logging.WARNING,
                    "%s is registered with prometheus_client more than once in this process; the "
                    "worker's is served, which counts all of its calls. Remove the other",
                    family.name,
                )
        yield from families.values()


class _Server(ThreadingMixIn, WSGIServer):
    """Serves each connection on a thread, a few at a time and none for long.

    Nobody is asked who they are: whoever reaches the port could hold it with connections that say
    nothing.
    """

    daemon_threads = True

    def __init__(self, family: socket.AddressFamily, address: tuple[str, int]) -> None:
        self.address_family = family
        self._lock = threading.Lock()
        self._open: dict[socket.socket, float] = {}
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            has_room = len(self._open) < MAX_CONNECTIONS
            if has_room:
                self._open[request] = time.monotonic()
        if has_room:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut connections whose time is up; called twice a second while it serves."""
        with self._lock:
            late = [sock for sock, at in self._open.items() if time.monotonic() - at > CONNECTION_S]
        for sock in late:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name there
        """Log nothing: a scrape a few seconds is no news."""


def _listen(
    host: str, port: str, registry: CollectorRegistry
) -> tuple[WSGIServer, threading.Thread]:
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        server = _Server(family, (str(address[0]), int(port)))
    except (OSError, ValueError, OverflowError) as error:
        raise EndpointError(
            f"{SCRAPE_PORT}={port}: cannot serve metrics on {host}:{port} ({error}); calls are "
            "counted and go out by the other routes",
            "free the port or set another one",
        ) from error
    server.set_app(make_wsgi_app(_DeduplicatingRegistry(registry)))
    thread = threading.Thread(
        target=server.serve_forever, name="callspan-metrics-endpoint", daemon=True
    )
    thread.start()
    return server, thread


def _close_in_child(server: WSGIServer | None) -> None:
    if server is not None:
        server.socket.close()
