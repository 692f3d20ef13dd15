# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The SDK's OTLP exporter, for a preset's target and for nothing else that the variables say."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ..deadline_session import DeadlineSession
from .preset import TRACES, Target

_OTHERS: Final = ("OTEL_EXPORTER_OTLP_", "OTEL_PYTHON_EXPORTER_OTLP_")
_KEPT: Final = ("_TIMEOUT",)
_environ_lock: Final = threading.Lock()


def make(target: Target, signal: str) -> Any:
    """Make the exporter of a signal.

    Args:
        target: Where the signal goes.
        signal: ``TRACES`` or ``METRICS``.
    """
    from opentelemetry.exporter.otlp.proto.http import Compression

    exporter_class: Any
    if signal == TRACES:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter_class = OTLPSpanExporter
    else:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        exporter_class = OTLPMetricExporter
    with _without_the_other_destination():
        # without a preference for a temporality the SDK's is cumulative, which every backend takes
        return exporter_class(
            endpoint=target.url,
            headers=dict(target.headers),
            compression=Compression.Gzip,
            session=DeadlineSession(),
        )


@contextmanager
def _without_the_other_destination() -> Iterator[None]:
    """Hide the OTLP destination's variables: the SDK adds their headers to those it is given."""
    with _environ_lock:
        hidden = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(_OTHERS) and not name.endswith(_KEPT)
        }
        for name in hidden:
            del os.environ[name]
        try:
            yield
        finally:
            os.environ.update(hidden)
