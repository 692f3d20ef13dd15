# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""A log of the spans that a worker's jobs made, written where they end and not where they arrive.

Each span is written to a file at the moment it ends, so the log knows of no batch, exporter or
flush, and survives a process that is killed.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

VARIABLE = "SPAN_LOG"
"""Names the file; each line holds a trace id, a span id and the span's name."""


class SpanLog(SpanProcessor):
    """Appends every span that ends to a file.

    Args:
        path: The file. Several processes may write to it.
    """

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is not None:
            line = f"{context.trace_id:032x} {context.span_id:016x} {span.name}\n"
            os.write(self._file, line.encode())


@functools.cache
def start() -> None:
    """Log the spans that this process makes from now on, if the variable asks for it.

    Raises:
        RuntimeError: The process has no tracer provider of the OpenTelemetry SDK.
    """
    path = os.environ.get(VARIABLE)
    if not path:
        return
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        raise RuntimeError(f"no spans can be logged: the tracer provider is {provider!r}")
    provider.add_span_processor(SpanLog(path))


def read_span_log(path: Path) -> list[tuple[str, str]]:
    """The trace id and span id of each span made so far."""
    if not path.exists():
        return []
    lines = (line.split(" ", 2) for line in path.read_text().splitlines())
    return [(trace_id, span_id) for trace_id, span_id, _ in lines]
