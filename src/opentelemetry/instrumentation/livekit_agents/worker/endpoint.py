# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""The worker's own scrape address, on the standard variables."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from typing import Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
from prometheus_client.metrics_core import Metric as Family

from .prometheus import StateFamily

_logger = logging.getLogger("opentelemetry.instrumentation.livekit_agents")

HOST_VARIABLE: Final = "OTEL_EXPORTER_PROMETHEUS_HOST"
PORT_VARIABLE: Final = "OTEL_EXPORTER_PROMETHEUS_PORT"
_DEFAULT_HOST: Final = "localhost"
_DEFAULT_PORT: Final = "9464"


class EndpointError(Exception):
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
        environ = os.environ if environ is None else environ
        host = environ.get(HOST_VARIABLE, "").strip() or _DEFAULT_HOST
        port = environ.get(PORT_VARIABLE, "").strip() or _DEFAULT_PORT
        self._server, self._thread = _listen(host, port, registry)
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _OneOfEach(CollectorRegistry):
    """A registry as it is served: of families with one name, ours.

    A program that used to count for itself may still declare the same names with
    prometheus_client; in a worker those stay at zero, and twice the same name is no valid scrape.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._registry = registry
        self._told: set[str] = set()

    def collect(self) -> Iterator[Family]:
        families: dict[str, Family] = {}
        for family in self._registry.collect():
            known = families.setdefault(family.name, family)
            if known is not family:
                if isinstance(family, StateFamily):
                    families[family.name] = family
                self._tell(family.name)
        yield from families.values()

    def _tell(self, name: str) -> None:
        if name not in self._told:
            self._told.add(name)
            _logger.warning(
                "%s is registered with prometheus_client more than once in this process; the "
                "worker's is served, which counts all of its calls. Remove the other",
                name,
            )


def _listen(
    host: str, port: str, registry: CollectorRegistry
) -> tuple[WSGIServer, threading.Thread]:
    try:
        return start_http_server(int(port), host, _OneOfEach(registry))
    except (OSError, ValueError, OverflowError) as error:
        raise EndpointError(
            f"{PORT_VARIABLE}={port}: cannot serve metrics on {host}:{port} ({error}); calls are "
            "counted and go out by the other routes. Free the port or set another one"
        ) from error
