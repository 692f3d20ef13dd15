# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls drawn in the terminal as they end, for developers of agents with no backend at hand.

Switch it on with ``OTEL_TRACES_EXPORTER=waterfall``, or next to another with ``otlp,waterfall``.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, TextIO

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from ..diagnostics.guard import guarded
from .layout import is_call_root
from .span_record import SpanRecord
from .text import render
from .turn import is_of_turn

_MOST_TRACES: Final = 64
_MOST_SPANS: Final = 5_000
_MOST_DRAWN: Final = 1_000


class WaterfallSpanExporter(SpanExporter):
    """Draws each call to a stream when it has ended.

    Spans are kept until their call's root arrives, which ends last: ``job_entrypoint``, or
    ``agent_session`` outside of a job. Memory is bounded: of a call at most 5,000 spans are kept
    and the rest counted; with more than 64 traces open, the oldest is drawn as far as it came.
    Traces without any span of a call are dropped. Never raises.

    Args:
        stream: Where to draw; default is ``sys.stderr`` as it is at the time of drawing.
        width: Columns; default is the terminal's, or 100 where there is none.
        colour: Whether to colour; default is where the stream is a terminal and ``NO_COLOR`` is
            not set.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        width: int | None = None,
        colour: bool | None = None,
    ) -> None:
        self._stream = stream
        self._width = width
        self._colour = colour
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _OpenCall] = OrderedDict()
        self._drawn: OrderedDict[str, None] = OrderedDict()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take in finished spans, and draw the calls that they complete."""
        with guarded("drawing a waterfall"), self._lock:
            # A root may stand before other spans of its call in the same batch.
            for record in map(SpanRecord.from_readable_span, spans):
                self._keep(record)
            for trace_id in [t for t, call in self._open.items() if call.ended]:
                self._finish(trace_id)
            while len(self._open) > _MOST_TRACES:
                self._finish(next(iter(self._open)))
            return SpanExportResult.SUCCESS
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Draw what is left of calls whose root never came."""
        with guarded("drawing a waterfall"), self._lock:
            for trace_id in list(self._open):
                self._finish(trace_id)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back but calls that have not ended."""
        return True

    def _keep(self, record: SpanRecord) -> None:
        # What ends after its call was drawn, such as metrics that came late, is not drawn again.
        if record.trace_id not in self._drawn:
            self._open.setdefault(record.trace_id, _OpenCall()).add(record)

    def _finish(self, trace_id: str) -> None:
        call = self._open.pop(trace_id)
        self._drawn[trace_id] = None
        while len(self._drawn) > _MOST_DRAWN:
            self._drawn.popitem(last=False)
        if not call.of_livekit:
            return
        stream = self._stream or sys.stderr
        interactive = stream.isatty()
        colour = self._colour
        if colour is None:
            colour = interactive and not os.environ.get("NO_COLOR")
        columns = shutil.get_terminal_size((100, 0)).columns if interactive else 100
        text = render(
            call.spans,
            width=self._width or columns,
            colour=colour,
            ascii_only=not _encodes_blocks(stream),
        )
        if call.dropped:
            text += f"{call.dropped} spans more than the {_MOST_SPANS} kept of a call\n"
        # In one piece: other processes write to the same terminal.
        stream.write(f"\n{text}\n")
        stream.flush()


class _OpenCall:
    """The spans of a trace that has not ended."""

    def __init__(self) -> None:
        self.spans: list[SpanRecord] = []
        self.ended = False
        self.of_livekit = False
        self.dropped = 0

    def add(self, record: SpanRecord) -> None:
        root = is_call_root(record)
        self.ended = self.ended or root
        self.of_livekit = self.of_livekit or root or is_of_turn(record)
        if root or len(self.spans) < _MOST_SPANS:
            self.spans.append(record)
        else:
            self.dropped += 1


def _encodes_blocks(stream: TextIO) -> bool:
    try:
        # A stream in memory has no encoding: it takes any character.
        "█◀".encode(stream.encoding or "utf-8")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
