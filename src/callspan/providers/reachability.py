# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A first look at the destinations when the worker starts, so that a typo is not found at 3 a.m."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Sequence
from urllib.parse import urlsplit

from .exporters import Destination

_logger = logging.getLogger("callspan")
_CONNECT_TIMEOUT_S = 2.0


def check_soon(destinations: Sequence[Destination]) -> threading.Thread | None:
    """Try to connect to each destination, on a daemon thread; log one line for each that fails.

    Returns:
        The thread, or None where no destination has an address.
    """
    with_address = list({_socket_of(one): one for one in destinations if one.address}.values())
    if not with_address:
        return None
    thread = threading.Thread(
        target=_check_all,
        args=(with_address,),
        name="callspan-reachability",
        daemon=True,
    )
    thread.start()
    return thread


def _check_all(destinations: Sequence[Destination]) -> None:
    for one in destinations:
        _check(one)


def _check(target: Destination) -> None:
    try:
        with socket.create_connection(_socket_of(target), timeout=_CONNECT_TIMEOUT_S):
            return
    except OSError as error:
        _logger.warning(
            "%s: nothing answers at %s (%s); calls are taken, their telemetry is lost until it "
            "does. Start a collector there, correct the variable, or set "
            "OTEL_TRACES_EXPORTER=none and OTEL_METRICS_EXPORTER=none",
            target.variable,
            target.address,
            error,
        )


def _socket_of(target: Destination) -> tuple[str, int]:
    address = target.address if "://" in target.address else f"//{target.address}"
    url = urlsplit(address)
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
