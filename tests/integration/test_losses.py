# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What is lost is counted, and nothing else: against a ledger that each job keeps of its spans."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.scrape import attributes
from kit.workers import run_agent
from offline.receiver import Mode, OtlpReceiver

_CALLS = 3


@dataclass(frozen=True)
class Losses:
    """What became of the spans of some calls.

    Attributes:
        made: How many ended, by the jobs' own ledger.
        arrived: How many the receiver has.
        counted: How many the worker counted as dropped, by reason.
    """

    made: int
    arrived: int
    counted: Counter[str]


def _lose(directory: Path, mode: Mode = "ok", **variables: str) -> Losses:
    """Have some calls send their spans to a backend, and their metrics to one that is well."""
    ledger = directory / "ledger"
    with OtlpReceiver() as healthy:
        run = run_agent(
            "span_ledger",
            {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "{endpoint}/v1/traces",
                "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{healthy.endpoint}/v1/metrics",
                "CALLS": str(_CALLS),
                "LEDGER": str(ledger),
                **variables,
            },
            mode=mode,
        )
        counted: Counter[str] = Counter()
        for resource in healthy.metric_requests[-1].resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == "agent.telemetry.dropped":
                        for point in metric.sum.data_points:
                            counted[attributes(point.attributes)["reason"]] += point.as_int
    made = sum(line.startswith("span ") for line in ledger.read_text().splitlines())
    return Losses(made, len(run.spans), +counted)


def test_nothing_is_counted_where_nothing_is_lost(tmp_path: Path) -> None:
    """All spans arrive, with the batches as with the end of the process."""
    losses = _lose(tmp_path)

    assert losses.arrived == losses.made > 0
    assert losses.counted == {}


@pytest.mark.parametrize("mode", ["refuse", "503", "hang"])
def test_what_a_sick_backend_does_not_take_is_counted(tmp_path: Path, mode: Mode) -> None:
    """To the span; what was under way may have arrived, and is told apart."""
    losses = _lose(tmp_path, mode)

    assert losses.arrived == 0
    assert losses.counted.total() == losses.made > 0
    # the SDK tries again for as long as the process lives: nothing was refused for good
    assert losses.counted["unconfirmed"] > 0
    assert losses.counted.keys() <= {"not_delivered", "unconfirmed"}


def test_what_a_killed_process_held_is_counted(tmp_path: Path) -> None:
    """Its last batch was on its way to nowhere; what left before is not counted."""
    losses = _lose(tmp_path, KILL="1", OTEL_BSP_SCHEDULE_DELAY="600000")

    assert losses.arrived == 0
    assert losses.counted == {"killed": losses.made}
    assert losses.made > 0


def test_what_left_before_a_kill_is_not_counted(tmp_path: Path) -> None:
    """The batches go every half second here, and the process is killed five seconds later."""
    losses = _lose(tmp_path, KILL="1", OTEL_BSP_SCHEDULE_DELAY="500")

    assert losses.arrived == losses.made > 0
    assert losses.counted == {}
