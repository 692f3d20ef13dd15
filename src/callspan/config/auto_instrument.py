# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the ``opentelemetry-instrument`` command loads before it turns into the program.

Its configurator raises where the scrape port is taken or an exporter does not exist, and then no
instrumentation is loaded: the only code of ours that runs before that is this. It sets such an
exporter aside for the worker, which says so and counts on.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from importlib.metadata import entry_points
from typing import Final

from ..diagnostics.log import logger
from ..package import ORIGINAL_METRICS_EXPORTER, SCRAPE_PORT, scrape_address

_USUAL: Final = frozenset({"", "none", "otlp", "prometheus"})
"""Names that are not looked up among those installed, which takes a while."""


def set_aside(environ: MutableMapping[str, str]) -> None:
    """Take out of OTEL_METRICS_EXPORTER what the command's configurator would raise on."""
    value = environ.get("OTEL_METRICS_EXPORTER", "")
    names = [name.strip() for name in value.split(",")]
    if any(name not in _USUAL and _is_ours_for_traces_only(name) for name in names):
        # no such exporter of metrics: the worker says what to write, and serves what is left
        environ[ORIGINAL_METRICS_EXPORTER] = value
        environ["OTEL_METRICS_EXPORTER"] = "none"
    elif "prometheus" in names and not _can_listen(environ):
        environ[ORIGINAL_METRICS_EXPORTER] = value
        names = [name for name in names if name not in ("", "prometheus")]
        environ["OTEL_METRICS_EXPORTER"] = ",".join(names) or "none"
        logger.warning(
            "the port of OTEL_METRICS_EXPORTER=prometheus cannot be listened on, %s is used for "
            "this program; set another %s",
            environ["OTEL_METRICS_EXPORTER"],
            SCRAPE_PORT,
        )


def _is_ours_for_traces_only(name: str) -> bool:
    traces = entry_points(group="opentelemetry_traces_exporter", name=name)
    return any(point.module.startswith("callspan.") for point in traces) and not entry_points(
        group="opentelemetry_metrics_exporter", name=name
    )


def _can_listen(environ: MutableMapping[str, str]) -> bool:
    host, port = scrape_address(environ)
    try:
        family = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, int(port)), family=family).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


set_aside(os.environ)
