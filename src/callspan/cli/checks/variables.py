# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The variables: what could not be understood, what is not read, what turns telemetry off."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from ...config import env
from ...config.switches import is_disabled
from . import verdict
from .verdict import Setup, Verdict, ok, problem, warning

_OFF: Final = ("always_off", "parentbased_always_off")
_RATIO: Final = ("traceidratio", "parentbased_traceidratio")
_PREFIX: Final = "CALLSPAN_"


def check(setup: Setup) -> Iterator[Verdict]:
    """Look at what the variables say apart from destinations."""
    reported = [*_switches(setup), *_sampler(setup), *_resource(setup), *_misspelt(setup)]
    reported += map(verdict.of, setup.settings.problems)
    yield from reported or [ok("all are understood, and nothing is switched off")]


def _switches(setup: Setup) -> Iterator[Verdict]:
    if is_disabled(setup.environ):
        yield problem(
            "OTEL_SDK_DISABLED or OTEL_PYTHON_DISABLED_INSTRUMENTATIONS turns this package off: "
            "calls are taken without telemetry",
            "unset OTEL_SDK_DISABLED, and take livekit_agents and * out of the list",
        )
    names = ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER")
    if all(setup.environ.get(name, "").strip() == "none" for name in names):
        yield problem(
            "OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER are none: nothing is sent",
            "set at least one of them, for example to otlp",
        )


def _sampler(setup: Setup) -> Iterator[Verdict]:
    sampler = setup.environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    ratio = setup.environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip()
    if sampler in _OFF:
        yield problem(
            f"OTEL_TRACES_SAMPLER={sampler}: no trace is recorded",
            "unset it, or write OTEL_TRACES_SAMPLER=parentbased_always_on",
        )
    elif sampler in _RATIO:
        try:
            share = float(ratio or 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            yield problem(
                f"OTEL_TRACES_SAMPLER_ARG={ratio}: not a number from 0 to 1",
                "write the share of calls to keep, for example 0.1",
            )
        elif share < 1:
            yield warning(
                f"OTEL_TRACES_SAMPLER={sampler}: {share:g} of all calls has a trace; the numbers "
                "count all of them",
                "unset it if each call is to be seen",
            )


def _resource(setup: Setup) -> Iterator[Verdict]:
    attributes = setup.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if setup.environ.get("OTEL_SERVICE_NAME", "").strip() or "service.name=" in attributes:
        return
    if not setup.has_own_provider:
        yield warning(
            "OTEL_SERVICE_NAME is not set: backends show this worker as unknown_service",
            "write for example OTEL_SERVICE_NAME=dental-receptionist",
        )


def _misspelt(setup: Setup) -> Iterator[Verdict]:
    """Name variables that nothing reads, where it can be told which one was meant.

    Others are left alone: for a Service called callspan, Kubernetes sets CALLSPAN_PORT in each pod.
    """
    known = {variable.name.removeprefix(_PREFIX): variable.name for variable in env.VARIABLES}
    for name in sorted(setup.environ.keys() - known.values()):
        if name.startswith(_PREFIX):
            for close in get_close_matches(name.removeprefix(_PREFIX), known, n=1, cutoff=0.7):
                yield warning(
                    f"{name}: no such variable, it is not read", f"did you mean {known[close]}?"
                )
