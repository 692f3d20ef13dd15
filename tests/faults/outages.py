# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a sick backend costs: four calls of a real worker against each way to be sick.

``make outages`` prints a line for each. Made is what the jobs' own ledger has, read is what the
backend had in its hands, counted is what the worker says was dropped. Fails if a call does not
end in time, if a span is neither read nor counted, or if one is counted that was answered for.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from faults.sick_backend import MISBEHAVIOURS, SickBackend
from kit.scrape import attributes
from kit.workers import run_agent
from offline.receiver import OtlpReceiver

_CALLS = 4
_END_S = 4.0
"""Seconds that a job may take from its root's end to its own: two are the flush's."""


@dataclass(frozen=True)
class Cost:
    """What a run came to.

    Attributes:
        made: Spans that ended in jobs.
        read: Spans that the backend read.
        counted: Spans that the worker counted as dropped, by reason.
        slowest_end_s: From a root's end to its process's, at most.
        worker_end_s: From the end of the last job to that of the worker.
    """

    made: int
    read: int
    counted: Counter[str]
    slowest_end_s: float
    worker_end_s: float

    @property
    def problem(self) -> str:
        """What is wrong; empty for nothing."""
        if self.slowest_end_s > _END_S:
            return f"a job ended {self.slowest_end_s:.1f} s after its root"
        if self.read + self.counted.total() < self.made:
            return "spans are neither read nor counted"
        if self.counted.total() > self.made:
            return "more is counted than was made"
        return ""


def run(misbehaviour: str) -> Cost:
    """Take calls against a backend that misbehaves; metrics go to one that is well."""
    with (
        TemporaryDirectory() as directory,
        OtlpReceiver() as healthy,
        SickBackend(misbehaviour) as backend,
    ):
        ledger = Path(directory) / "ledger"
        run_agent(
            "span_ledger",
            {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{backend.endpoint}/v1/traces",
                "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{healthy.endpoint}/v1/metrics",
                "CALLS": str(_CALLS),
                "LEDGER": str(ledger),
            },
        )
        ended_at = time.time()
        roots: dict[str, float] = {}
        gone: defaultdict[str, float] = defaultdict(float)
        made = 0
        for line in ledger.read_text().splitlines():
            what, pid, at, name = line.split()
            made += what == "span"
            if name == "job_entrypoint":
                roots[pid] = float(at)
            elif what == "process":
                gone[pid] = float(at)
        assert len(roots) == len(gone) == _CALLS
        return Cost(
            made,
            len(backend.read),
            _counted(healthy),
            max(gone[pid] - at for pid, at in roots.items()),
            ended_at - max(gone.values()),
        )


def _counted(receiver: OtlpReceiver) -> Counter[str]:
    counted: Counter[str] = Counter()
    for resource in receiver.metric_requests[-1].resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name == "agent.telemetry.dropped":
                    for point in metric.sum.data_points:
                        labels = attributes(point.attributes)
                        if labels["signal"] == "traces":
                            counted[labels["reason"]] += point.as_int
    return +counted


def main(names: Sequence[str]) -> int:
    """Try each; return how many went wrong."""
    problems = 0
    print("| the backend | made | read | counted | job's end | worker's end | |")
    print("|---|---|---|---|---|---|---|")
    for name in names or MISBEHAVIOURS:
        cost = run(name)
        counted = ", ".join(f"{count} {reason}" for reason, count in sorted(cost.counted.items()))
        problems += bool(cost.problem)
        print(
            f"| {name} | {cost.made} | {cost.read} | {counted or 0} | {cost.slowest_end_s:.2f} s "
            f"| {cost.worker_end_s:.2f} s | {cost.problem} |",
            flush=True,
        )
    return problems


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
