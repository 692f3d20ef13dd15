# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A function of the package raises in a real job process: the call in it goes on as if it did not.

A sample, of points that once ended calls or took tools out of conversations; ``make faults``
tries every function there is.
"""

from __future__ import annotations

import pytest

from callspan import semconv
from faults import points
from faults.campaign import WorkerRun, run_worker
from kit.scrape import attributes

DROPPING = (
    "export.delivery:DeliveringSpanProcessor.on_end",
    "export.content_filter:without_content",
)
"""Without these no span is sent: each that is made is counted as dropped."""
POINTS = (
    *DROPPING,
    "instrumentor:_enter_job_process",
    "livekit.session:_turns.<locals>.on_tools",
    "livekit.session_listener:SessionListener.watching_tools.<locals>.on_completed",
    "livekit.job:_noting_failure.<locals>.note",
    "livekit.job:patch.<locals>.run_job_task",
    "livekit.session:_speeches.<locals>.cancel_speech",
    "livekit.session:_transcripts.<locals>.on_stt_event",
    "export.delivery:DeliveringSpanProcessor.on_start",
    "export.span_buffer:SpanBuffer.add",
    "tracing.enrichment:EnrichingSpanProcessor.on_end",
    "export.span_filter:SpanFilter.started",
    "metrics.job.repair:FittingBounds._create_aggregation",
    "metrics.job.repair:_NotPerCall.__contains__",
    "metrics.job.repair:unit_of",
)


@pytest.fixture(scope="module")
def run() -> WorkerRun:
    run = run_worker("spoken", ["", *POINTS], timeout_s=300)
    assert run.exit == 0, run.log
    assert run.calls[0].said, run.log
    return run


@pytest.mark.parametrize("point", POINTS)
def test_a_call_goes_on_as_if_nothing_had_failed(run: WorkerRun, point: str) -> None:
    """The same is said and done in it, and its process ends as well."""
    assert points.exists(point), "renamed: name it here as it is called now"
    unarmed, *armed = run.calls
    assert armed[POINTS.index(point)].lost(unarmed) == ""


def test_the_spans_that_were_lost_are_counted(run: WorkerRun) -> None:
    """Each once, and as what it is: the backend was there all the time."""
    dropped = {
        (labels[semconv.L_SIGNAL], labels[semconv.L_REASON]): point.as_int
        for resource in run.metrics.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == semconv.M_TELEMETRY_DROPPED.name
        for point in metric.sum.data_points
        if (labels := attributes(point.attributes))
    }
    # two destinations, and some sixty spans a call go to the lesser of them
    assert dropped[semconv.SIGNAL_TRACES, semconv.REASON_FAILED] > 2 * 2 * 60
