# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""Metrics that a process pushes for itself, and the worker's scrape address."""

from __future__ import annotations

import os

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import start_http_server

from ..settings import Settings
from . import exporters

PROMETHEUS = "prometheus"


def build(settings: Settings, resource: Resource) -> tuple[MeterProvider | None, list[str]]:
    """Build a provider that pushes to every destination the variables name.

    Returns:
        The provider, or None where there is nothing to push to; and what could not be set up.
    """
    readers: list[MetricReader] = []
    problems = []
    for name in settings.metric_exporters:
        if name == PROMETHEUS:
            continue
        target = exporters.destination(name, "METRICS", settings)
        try:
            exporter = exporters.make(target, "METRICS")
        except exporters.ExporterError as problem:
            problems.append(str(problem))
        else:
            readers.append(PeriodicExportingMetricReader(exporter))
    if not readers:
        return None, problems
    return MeterProvider(readers, resource, shutdown_on_exit=False), problems


def serve_worker(settings: Settings) -> str:
    """Serve the worker's own gauges for a Prometheus scrape, if that is asked for.

    Returns:
        What went wrong, in plain words; empty where nothing did.
    """
    if PROMETHEUS not in settings.metric_exporters:
        return ""
    host = os.environ.get("OTEL_EXPORTER_PROMETHEUS_HOST", "").strip() or "localhost"
    port = os.environ.get("OTEL_EXPORTER_PROMETHEUS_PORT", "").strip() or "9464"
    try:
        start_http_server(int(port), addr=host)
    except (OSError, ValueError, OverflowError) as error:
        return (
            f"OTEL_EXPORTER_PROMETHEUS_PORT={port}: cannot serve metrics on {host}:{port} "
            f"({error}), there is no scrape; free the port or set another one"
        )
    return ""
