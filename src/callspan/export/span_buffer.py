# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Finished spans of calls in progress, held back until it is decided whether they are sent."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan

MOST_SPANS: Final = 20_000
"""Spans held at once, some tens of megabytes; the call that brings one more is sent."""
_REMEMBERED: Final = 1000


class SpanBuffer:
    """Holds spans by trace.

    Args:
        send: Takes the spans that are sent.
        most: Spans held at once. A call that exceeds it is kept: it is long, and so of interest.
            Default: 20,000.
    """

    def __init__(self, send: Callable[[ReadableSpan], None], *, most: int = MOST_SPANS) -> None:
        self._send = send
        self._most = most
        self._lock = threading.Lock()
        self._held: dict[int, list[ReadableSpan]] = {}
        self._kept: OrderedDict[int, bool] = OrderedDict()

    def add(self, trace_id: int, span: ReadableSpan) -> None:
        """Hold a span, or treat it as its call was treated that is decided on already."""
        with self._lock:
            kept = self._kept.get(trace_id)
            if kept is None:
                self._held.setdefault(trace_id, []).append(span)
                if self.count() <= self._most:
                    return
        if kept is None:
            self.decide(trace_id, keep=True)
        elif kept:
            self._send(span)

    def decide(self, trace_id: int, *, keep: bool) -> None:
        """Send the spans of a call, or let them go; a decision is not taken back."""
        with self._lock:
            keep = self._kept.setdefault(trace_id, keep)
            while len(self._kept) > _REMEMBERED:
                self._kept.popitem(last=False)
            spans = self._held.pop(trace_id, [])
        if keep:
            for span in spans:
                self._send(span)

    def release(self) -> None:
        """Send whatever is held: the process ends, and with it the calls that are open."""
        for trace_id in list(self._held):
            self.decide(trace_id, keep=True)

    def count(self, trace_id: int | None = None) -> int:
        """Return how many spans are held, of a trace or of all."""
        if trace_id is not None:
            return len(self._held.get(trace_id, ()))
        return sum(len(spans) for spans in list(self._held.values()))
