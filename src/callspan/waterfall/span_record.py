# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The neutral span that the waterfall is drawn from.

A call is drawn in the process that made it, from spans that a collector received, and from a file:
three shapes of one thing. All are turned into `SpanRecord` at the edge, so layout and drawing know
neither the SDK nor a wire format.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import StatusCode

from .. import semconv

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

NS_PER_S: Final = 1_000_000_000
_LONGEST_TEXT = 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class SpanRecord:
    """One finished span.

    Attributes:
        name: The span's name.
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        parent_id: 16 hex digits, or None for a root.
        start_ns: Nanoseconds since the Unix epoch.
        end_ns: Nanoseconds since the Unix epoch; read as `start_ns` where it lies before it.
        attributes: As on the span. Only names, numbers and states are ever drawn.
        events: Name, nanoseconds since the Unix epoch, attributes.
        error: Whether the span's status is an error.
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[tuple[str, int, Mapping[str, Any]]] = ()
    error: bool = False

    @classmethod
    def from_readable_span(cls, span: ReadableSpan) -> SpanRecord:
        """The record of a span of the OpenTelemetry SDK; it must have ended."""
        context = span.get_span_context()
        start_ns = span.start_time or 0
        return cls(
            name=span.name,
            trace_id=f"{context.trace_id:032x}" if context else "",
            span_id=f"{context.span_id:016x}" if context else "",
            parent_id=f"{span.parent.span_id:016x}" if span.parent else None,
            start_ns=start_ns,
            end_ns=span.end_time or start_ns,
            attributes=span.attributes or {},
            events=tuple((e.name, e.timestamp, e.attributes or {}) for e in span.events),
            error=span.status.status_code is StatusCode.ERROR,
        )

    @property
    def stop_ns(self) -> int:
        """The end, never before the start."""
        return max(self.start_ns, self.end_ns)

    @property
    def seconds(self) -> float:
        """How long the span lasted, at least 0."""
        return (self.stop_ns - self.start_ns) / NS_PER_S

    def number(self, key: str) -> float | None:
        """The attribute as a finite number that is not negative, or None.

        LiveKit writes -1 where a latency is unknown.
        """
        value = self.attributes.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        # An int can be too large for a float, and a latency is never that long.
        return float(value) if 0 <= value < 1e9 else None

    def text(self, key: str) -> str | None:
        """The attribute as printable text on one line, shortened, or None where it is empty."""
        value = self.attributes.get(key)
        return printable(value) or None if isinstance(value, str) else None

    def flag(self, key: str) -> bool:
        """Whether the attribute is True."""
        return self.attributes.get(key) is True


class SpanTree:
    """Who is whose parent among the spans of a call; knows its way around missing ones."""

    def __init__(self, spans: Iterable[SpanRecord]) -> None:
        self._by_id = {span.span_id: span for span in spans}

    def lineage(self, span: SpanRecord) -> Iterator[SpanRecord]:
        """The span, its parent, and so on as far as the spans are there."""
        seen: set[str] = set()
        current: SpanRecord | None = span
        while current and current.span_id not in seen:
            yield current
            seen.add(current.span_id)
            current = self._by_id.get(current.parent_id or "")

    def enclosing(self, span: SpanRecord, name: str) -> SpanRecord | None:
        """The nearest span of that name in the lineage, which may be the span itself."""
        return next((s for s in self.lineage(span) if s.name == name), None)


def printable(text: str) -> str:
    """The text on one line without control characters, which a terminal would obey."""
    line = "".join(c for c in text[: _LONGEST_TEXT * 4] if c.isprintable()).strip()
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"


def read_json(text: str) -> Iterator[SpanRecord]:
    """The spans in what the SDK's ConsoleSpanExporter wrote, one per line or indented.

    Whatever else stands between them, such as log lines, is passed over.
    """
    decoder = json.JSONDecoder()
    position = text.find("{")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(text, position)
            record = _from_json(value)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            end = position + 1
        else:
            yield record
        position = text.find("{", end)


def _from_json(value: Any) -> SpanRecord:
    context = value["context"]
    parent_id = value.get("parent_id")
    start_ns = _nanoseconds(value["start_time"])
    return SpanRecord(
        name=str(value["name"]),
        trace_id=context["trace_id"].removeprefix("0x"),
        span_id=context["span_id"].removeprefix("0x"),
        parent_id=parent_id.removeprefix("0x") if parent_id else None,
        start_ns=start_ns,
        end_ns=_nanoseconds(value["end_time"]),
        attributes=dict(value.get("attributes") or {}),
        events=tuple(
            (str(e["name"]), _nanoseconds(e["timestamp"]), dict(e.get("attributes") or {}))
            for e in value.get("events") or ()
        ),
        error=value.get("status", {}).get("status_code") == "ERROR",
    )


def _nanoseconds(iso: str) -> int:
    # Whole microseconds: a float of seconds since 1970 would round to a quarter of one.
    return (datetime.fromisoformat(iso) - _EPOCH) // timedelta(microseconds=1) * 1_000


def first_audio_ns(request: SpanRecord) -> tuple[int, int] | None:
    """When a speech synthesis was asked for its first audio, and when it gave it.

    Read from LiveKit's TTS metrics on the request: a streaming request opens before there is text
    to send, so its own start does not say it.
    """
    try:
        metrics = json.loads(request.attributes.get(semconv.LK_TTS_METRICS) or "null")
        asked = float(metrics["timestamp"]) - float(metrics["duration"])
        ttfb = float(metrics["ttfb"])
    except (TypeError, ValueError, KeyError, OverflowError, RecursionError):
        return None
    if not (math.isfinite(asked) and math.isfinite(ttfb) and ttfb >= 0):
        return None
    return int(asked * NS_PER_S), int((asked + ttfb) * NS_PER_S)
