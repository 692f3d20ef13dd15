# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Has each function of the package that runs in a worker raise, one at a time: what is lost?

``make faults`` runs all of them; ``make faults POINTS='tracing livekit.job:'`` those whose names
begin like that. Prints a line for each point and fails if anything was lost.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from faults.campaign import SCENARIOS, Outcome, WorkerRun, run_worker
from faults.job import RECORD

_JOBS_A_WORKER = 100
_MAIN_SCENARIO = "content"
"""Its calls are the shortest: each point of the main process takes a worker of its own."""


class Row(NamedTuple):
    """A point and what was lost by it; empty for nothing."""

    process: str
    point: str
    lost: str


class Recorded(NamedTuple):
    """A worker without a fault, and the points that run in it."""

    unarmed: Outcome
    job_points: list[str]
    main_points: list[str]


def record(scenario: str) -> Recorded:
    """Find the points of a scenario.

    Raises:
        AssertionError: If its calls do not end, or do not go the same way each time.
    """
    run = run_worker(scenario, ["", "", RECORD], main=RECORD)
    assert run.exit == 0, run.log
    assert run.calls[0].said, run.log
    assert run.calls == 3 * run.calls[:1], f"{run.calls}\n{run.log}"
    return Recorded(run.calls[0], run.points, run.main_points)


def try_jobs(scenario: str, points: Sequence[str], unarmed: Outcome) -> Iterator[Row]:
    """Try points in job processes, many in each worker."""
    for first in range(0, len(points), _JOBS_A_WORKER):
        batch = points[first : first + _JOBS_A_WORKER]
        run = run_worker(scenario, batch)
        for point, outcome in zip(batch, run.calls, strict=True):
            yield Row(f"job, {scenario}", point, outcome.lost(unarmed))
        if run.exit != 0:
            yield Row(f"job, {scenario}", "(any)", f"the worker ended with {run.exit}: {run.log}")


def try_main(points: Sequence[str], unarmed: Outcome) -> Iterator[Row]:
    """Try points in the worker's main process, each in a worker that takes a call."""
    with ThreadPoolExecutor(2) as pool:
        runs = pool.map(lambda p: run_worker(_MAIN_SCENARIO, [""], main=p, timeout_s=120), points)
        for point, run in zip(points, runs, strict=True):
            yield Row("main", point, _lost(run, unarmed))


def _lost(run: WorkerRun, unarmed: Outcome) -> str:
    if run.exit != 0:
        lines = run.log.strip().splitlines() or [""]
        return f"the worker ended with {run.exit}: {lines[-1]}"
    return run.calls[0].lost(unarmed)


def rows(prefixes: Sequence[str]) -> Iterator[Row]:
    """Try every point whose name begins with one of the prefixes; with none, every point."""

    def wanted(points: Sequence[str], known: set[str]) -> list[str]:
        new = [point for point in points if point not in known]
        known.update(new)
        return [p for p in new if not prefixes or p.startswith(tuple(prefixes))]

    in_jobs: set[str] = set()
    in_main: set[str] = set()
    recorded = {scenario: record(scenario) for scenario in SCENARIOS}
    for scenario, (unarmed, job_points, _) in recorded.items():
        yield from try_jobs(scenario, wanted(job_points, in_jobs), unarmed)
    yield from try_main(
        wanted(recorded[_MAIN_SCENARIO].main_points, in_main), recorded[_MAIN_SCENARIO].unarmed
    )


def main() -> int:
    """Print the table; return 1 if something was lost."""
    tried = lost = 0
    for row in rows(sys.argv[1:]):
        tried += 1
        lost += bool(row.lost)
        print(f"{row.process:10} {row.point:80} {row.lost or 'survived'}", flush=True)
    print(f"{tried} points tried, {lost} with a loss")
    return 1 if lost or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
