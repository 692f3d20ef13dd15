# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The one line at worker start: what goes where, how content is treated, what is missing."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..config.settings import Settings
from . import exporters, reachability

_logger = logging.getLogger("callspan")

_PROMETHEUS = "prometheus"
"""Served by the worker itself: there is no exporter to load."""


def log(
    settings: Settings,
    *,
    brought: bool,
    degraded: Sequence[str],
    log_records: str,
    problems: Sequence[str],
) -> None:
    """Log the start line, then one error for each thing in the configuration that is wrong.

    Args:
        settings: The worker's configuration.
        brought: Whether the user's own provider is used for traces.
        degraded: What does not work in this set-up, and why.
        log_records: How LiveKit's log records are exported; empty where they are not.
        problems: What else is wrong with the configuration.
    """
    wrong = [*settings.problems, *problems]
    destinations = []
    signals = {}
    for signal, names in (
        ("TRACES", () if brought else settings.trace_exporters),
        ("METRICS", settings.metric_exporters),
    ):
        found = []
        for name in names:
            target = exporters.destination(name, signal, settings)
            try:
                if name != _PROMETHEUS:
                    exporters.load(target, signal)
            except exporters.ExporterError as missing:
                wrong.append(str(missing))
            else:
                found.append(target)
        destinations += found
        signals[signal] = ", ".join(map(str, found)) or "none"
    if brought:
        signals["TRACES"] = "your own TracerProvider, which exports content by its own policy"
    wrong = list(dict.fromkeys(wrong))
    _logger.info(
        "telemetry: role=worker; traces: %s; metrics: %s; content: %s; %sflush: up to %g s; "
        "degraded: %s",
        signals["TRACES"],
        signals["METRICS"],
        "on" if settings.content else "off",
        f"LiveKit's log records: {log_records}; " if log_records else "",
        settings.flush_timeout_s,
        "; ".join([*degraded, *wrong]) or "nothing",
    )
    for problem in wrong:
        _logger.error("%s", problem)
    reachability.check_soon(destinations)
