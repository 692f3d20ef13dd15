# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the ``opentelemetry-instrument`` command makes of a preset's name.

Its configurator wants a class by each name, and loads no instrumentation where one raises: what is
wrong is said by the worker.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from . import http_exporter
from .preset import METRICS, TRACES, Preset, PresetError


class PresetSpanExporter(SpanExporter):
    """Sends spans to a backend as its variables say; nothing where they are wrong.

    To a backend that is sent calls only it sends nothing: this package sends these itself, and
    what else has spans belongs to none.

    Attributes:
        preset: The backend; a subclass sets it.
    """

    preset: ClassVar[Preset]

    def __init__(self) -> None:
        self._exporter = None if self.preset.calls_only else _exporter_or_none(self.preset, TRACES)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans."""
        if self.preset.calls_only:
            return SpanExportResult.SUCCESS
        if self._exporter is None:
            return SpanExportResult.FAILURE
        result: SpanExportResult = self._exporter.export(spans)
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        if self._exporter is not None:
            self._exporter.shutdown()


class PresetMetricExporter(MetricExporter):
    """Sends metrics, cumulative, to a backend as its variables say; nothing otherwise.

    Attributes:
        preset: The backend; a subclass sets it.
    """

    preset: ClassVar[Preset]

    def __init__(self) -> None:
        super().__init__()
        self._exporter = _exporter_or_none(self.preset, METRICS)

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Send metrics."""
        if self._exporter is None:
            return MetricExportResult.FAILURE
        result: MetricExportResult = self._exporter.export(metrics_data, timeout_millis, **kwargs)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Do nothing: it holds nothing."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Close the connection."""
        if self._exporter is not None:
            self._exporter.shutdown(timeout_millis, **kwargs)


def _exporter_or_none(preset: Preset, signal: str) -> Any:
    try:
        return http_exporter.make(preset.target(signal, os.environ), signal)
    except PresetError:
        return None
