# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the SDK exports, kept in memory: spans as they end."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from callspan import semconv


class SpanMemory:
    """A tracer provider whose spans are kept; ask for the fixture ``span_memory`` where one is.

    Args:
        provider: One that has a resource, or processors that see a span before it is kept.
            Default: one with nothing.

    Attributes:
        provider: The provider.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self.provider = provider or TracerProvider(shutdown_on_exit=False)
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def tracer(self, scope: str = semconv.LIVEKIT_SCOPE_NAME) -> Tracer:
        """Return a tracer, LiveKit's by its name unless another is given."""
        return self.provider.get_tracer(scope)

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in that order."""
        return list(self._exporter.get_finished_spans())
