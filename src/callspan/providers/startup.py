# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a worker says when it starts: what goes where, what is wrong, and who does not answer.

A first look at the destinations, so that a typo is not found at 3 a.m.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

from ..config.settings import PROMETHEUS, Settings
from ..diagnostics.log import logger
from ..diagnostics.problem import Problem
from . import exporters
from .exporters import Destination

_CONNECT_TIMEOUT_S = 2.0


def log(
    settings: Settings,
    *,
    user_provided: bool,
    degraded: Sequence[str],
    log_records: str,
    problems: Sequence[Problem],
) -> None:
    """Log the start line, then one error for each thing in the configuration that is wrong.

    Args:
        settings: The worker's configuration.
        user_provided: Whether the user's own provider is used for traces.
        degraded: What does not work in this set-up, and why.
        log_records: How LiveKit's log records are exported; empty where they are not.
        problems: What else is wrong with the configuration.
    """
    wrong = [*settings.problems, *problems]
    destinations = []
    signals = {}
    for signal, names in (
        ("TRACES", () if user_provided else settings.trace_exporters),
        ("METRICS", settings.metric_exporters),
    ):
        targets = []
        for name in names:
            target = exporters.destination(name, signal, settings)
            try:
                # the worker serves that itself: there is no exporter to load
                if name != PROMETHEUS:
                    exporters.load(target, signal)
            except exporters.ExporterError as error:
                wrong.append(error.problem)
            else:
                targets.append(target)
        destinations += targets
        signals[signal] = ", ".join(map(str, targets)) or "none"
    if user_provided:
        signals["TRACES"] = "your own TracerProvider, which exports content by its own policy"
    wrong = list(dict.fromkeys(wrong))
    logger.info(
        "telemetry: role=worker; traces: %s; metrics: %s; content: %s; %sflush: up to %g s; "
        "degraded: %s",
        signals["TRACES"],
        signals["METRICS"],
        "on" if settings.content else "off",
        f"LiveKit's log records: {log_records}; " if log_records else "",
        settings.flush_timeout_s,
        "; ".join(map(str, [*degraded, *wrong])) or "nothing",
    )
    for problem in wrong:
        logger.error("%s", problem)
    check_soon(destinations)


def check_soon(destinations: Sequence[Destination]) -> threading.Thread | None:
    """Try to connect to each destination, on a daemon thread; log one line for each that fails.

    Returns:
        The thread, or None where no destination has an address.
    """
    with_address = list({one.host_and_port: one for one in destinations if one.address}.values())
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
        with socket.create_connection(target.host_and_port, timeout=_CONNECT_TIMEOUT_S):
            return
    except OSError as error:
        logger.warning(
            "%s: nothing answers at %s (%s); calls are taken, their telemetry is lost until it "
            "does. Start a collector there, correct the variable, or set "
            "OTEL_TRACES_EXPORTER=none and OTEL_METRICS_EXPORTER=none",
            target.variable,
            target.address,
            error,
        )
