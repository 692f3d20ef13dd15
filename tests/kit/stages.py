# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the picture of a call says the caller waited for, to hold against the metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from callspan import semconv
from callspan.waterfall.layout import layout
from callspan.waterfall.span_record import SpanRecord
from callspan.waterfall.wait import Origin
from offline.received import ReceivedSpan

AGREEMENT_S: Final = 0.1
"""By how much a stage in the picture may differ from the metric.

LiveKit rounds nothing. Of the same step it notes one instant in the record that the metric is made
of and another in the span: a turn of the event loop apart, which a machine whose cores are all
taken can delay so far. The shortest wait that tests script is half as long again."""


def every_stage(stages: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of all stages, 0 for those that are not there."""
    return {**dict.fromkeys(semconv.STAGES, 0.0), **stages}


def received_record(span: ReceivedSpan) -> SpanRecord:
    """Return a span as pictures are drawn from it."""
    return SpanRecord(
        name=span.name,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_span_id or None,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        attributes=span.attributes,
        events=span.events,
    )


def drawn_stages(spans: Iterable[SpanRecord]) -> list[dict[str, float]]:
    """Return the seconds of all stages of each wait whose length LiveKit measured, in order."""
    picture = layout(list(spans))
    assert picture is not None
    waits = [turn.wait for turn in picture.turns if turn.wait is not None]
    return [
        every_stage({part.stage: part.seconds for part in wait.parts})
        for wait in waits
        if wait.origin is Origin.MEASURED
    ]
