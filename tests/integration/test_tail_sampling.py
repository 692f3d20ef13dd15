# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Traces chosen at hang-up, on a real worker: whole ones of the calls that matter, and no others.

The calls are those of counted_calls: one is killed, in three something failed, the others
end well.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

from integration.counted_calls import EXPECTED, IN_PROCESSES, Counted, count
from kit.scrape import scraped_totals
from offline.received import ReceivedSpan

KEPT = {"tools-1", "sessionless-1", "broken-1"}
"""Rooms in which something failed: a tool, the entrypoint, the session's model."""


@pytest.fixture(scope="module")
def counted() -> Counted:
    """Twelve calls of which those with an error are to be kept."""
    variables = {"CALLSPAN_KEEP_CALLS": "errors"}
    return count(IN_PROCESSES, "prometheus,otlp", by_command=False, variables=variables)


def traces_of(spans: list[ReceivedSpan]) -> dict[str, list[ReceivedSpan]]:
    traces: defaultdict[str, list[ReceivedSpan]] = defaultdict(list)
    for span in spans:
        traces[span.trace_id].append(span)
    return traces


def test_traces_of_calls_with_an_error_arrive_and_no_others(counted: Counted) -> None:
    traces = traces_of(counted.spans)
    assert len(traces) == len(KEPT)
    failed = [
        spans
        for spans in traces.values()
        if any(
            span.attributes.get("agent.outcome") == "error"
            or span.attributes.get("lk.function_tool.is_error")
            or span.attributes.get("error.type")
            for span in spans
        )
    ]
    assert len(failed) == len(traces)


def test_what_arrives_is_whole(counted: Counted) -> None:
    """One root, and every parent is there: nothing had gone out before the decision."""
    for spans in traces_of(counted.spans).values():
        ids = {span.span_id for span in spans}
        assert [span.name for span in spans if not span.parent_span_id] == ["job_entrypoint"]
        assert {span.parent_span_id for span in spans if span.parent_span_id} <= ids


def test_no_metric_changes(counted: Counted) -> None:
    assert scraped_totals(counted.scraped) == EXPECTED[IN_PROCESSES]


def test_the_spans_that_a_killed_call_held_are_counted(counted: Counted) -> None:
    [line] = [
        line
        for line in counted.text.splitlines()
        if line.startswith("agent_telemetry_dropped_total{") and 'reason="killed"' in line
    ]
    assert 'signal="traces"' in line
    assert float(line.rsplit(" ", 1)[1]) > 0
