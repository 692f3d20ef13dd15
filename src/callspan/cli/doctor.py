# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The subcommand ``doctor``: run before going live, and when nothing arrives.

Each check is a function that returns verdicts; ``CHECKS`` lists them. A check that fails is a
verdict, and no verdict holds a credential.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from ..config import settings
from .checks import content, destinations, prices, scrape, variables, versions, worker
from .checks.agent_inspection import import_worker
from .checks.verdict import DEFAULT_TIMEOUT_S, Setup, Status, Verdict, problem, without_secrets

CHECKS: Final[tuple[tuple[str, Callable[[Setup], Iterable[Verdict]]], ...]] = (
    ("versions", versions.check),
    ("variables", variables.check),
    ("worker", worker.check),
    ("traces", destinations.check_traces),
    ("metrics", destinations.check_metrics),
    ("temporality", destinations.check_temporality),
    ("scrape", scrape.check),
    ("content", content.check),
    ("LiveKit Cloud", content.check_livekit_cloud),
    ("prices", prices.check),
)
"""What is looked at, in this order."""

_INDENT: Final = 9


def add_to(subparsers: Any) -> None:
    """Add the subcommand to a parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "doctor",
        help="look at the set-up before going live, and when nothing arrives",
        description="Look at the environment and, given agent.py, at the worker's set-up. A span "
        "and a sum of 0 are sent to each destination; agent.py is imported and not run. "
        "Exit status: 0 no problem, 1 a problem, 2 not understood.",
    )
    parser.add_argument("agent", nargs="?", type=_file, help="the worker's file, as agent.py")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        type=_model,
        metavar="COMPONENT:PROVIDER/MODEL",
        help="a model in use, to look for its price; can be given several times",
    )
    parser.add_argument("--prices", default="", metavar="FILE", help="your own prices")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=DEFAULT_TIMEOUT_S,
        metavar="SECONDS",
        help="how long to wait for each destination (%(default)g)",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    # what exporters and gRPC log of a failure is said once, as a verdict
    for name in ("opentelemetry", "callspan"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    setup = examine(
        arguments.agent,
        models=tuple(arguments.model),
        prices=arguments.prices,
        timeout_s=arguments.timeout,
    )
    reported = []
    for name, verdict in verdicts(setup):
        reported.append((name, verdict))
        if not arguments.json:
            print(_lines(name, verdict), flush=True)
    status = max((verdict.status for _, verdict in reported), key=list(Status).index)
    if arguments.json:
        print(_json(status, reported))
    else:
        counts = Counter(verdict.status for _, verdict in reported)
        print(
            f"\nproblems: {counts[Status.PROBLEM]}, warnings: {counts[Status.WARNING]}, "
            f"ok: {counts[Status.OK]}"
        )
    return int(status is Status.PROBLEM)


def examine(
    agent: Path | None = None,
    *,
    models: tuple[str, ...] = (),
    prices: str = "",
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> Setup:
    """Gather what the checks look at; agent.py's own variables become this process's.

    Args:
        agent: The worker's file, which is imported in another process.
        models: As ``--model``.
        prices: As ``--prices``.
        timeout_s: Seconds to wait for each destination.
    """
    worker = None if agent is None else import_worker(agent, answer_timeout_s=timeout_s)
    if worker is not None:
        # exporters read them from the process
        os.environ.update(worker.environ)
    resolved = settings.resolve(
        capture_content=None if worker is None else worker.content,
        disabled_parts=frozenset(() if worker is None else worker.disabled_parts),
        prices=None if worker is None else worker.prices,
    )
    return Setup(
        environ=dict(os.environ),
        settings=resolved,
        worker=worker,
        models=models,
        prices=prices,
        in_container=scrape.in_container(),
        timeout_s=timeout_s,
    )


def verdicts(setup: Setup) -> Iterator[tuple[str, Verdict]]:
    """Run every check; what one raises is a verdict, and credentials are left out of all."""
    for name, check in CHECKS:
        try:
            for verdict in check(setup):
                yield name, _clean(verdict, setup)
        except Exception as error:  # noqa: BLE001  a check that fails is a finding
            failed = problem(
                f"this check failed itself ({type(error).__name__}: {error})",
                "report it, with the versions above",
            )
            yield name, _clean(failed, setup)


def _clean(verdict: Verdict, setup: Setup) -> Verdict:
    return Verdict(
        verdict.status,
        without_secrets(verdict.finding, setup.environ),
        without_secrets(verdict.remedy, setup.environ),
    )


def _lines(name: str, verdict: Verdict) -> str:
    lines = [f"{verdict.status:<{_INDENT}}{name}: {verdict.finding}"]
    for number, line in enumerate(verdict.remedy.splitlines()):
        lines.append(f"{'':<{_INDENT}}{'   ' if number else '-> '}{line}")
    return "\n".join(lines)


def _json(status: Status, reported: list[tuple[str, Verdict]]) -> str:
    return json.dumps(
        {
            "status": status,
            "verdicts": [
                {
                    "check": name,
                    "status": verdict.status,
                    "finding": verdict.finding,
                    "remedy": verdict.remedy,
                }
                for name, verdict in reported
            ],
        },
        indent=2,
        ensure_ascii=False,
    )


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text}: no such file; give the path of agent.py")
    return path


def _model(text: str) -> str:
    try:
        prices.parsed(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 60:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds above 0 and up to 60, such as 5"
        )
    return value
