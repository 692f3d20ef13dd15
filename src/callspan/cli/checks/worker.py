# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The worker's set-up: whether agent.py is instrumented, and whose provider its spans come from."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from . import source
from .agent_inspection import Worker
from .source import Source
from .verdict import Setup, Verdict, ok, problem, warning

_TOP: Final = "the top of agent.py, outside of every function and of if __name__ == '__main__'"
_LINE: Final = "from callspan import instrument; instrument()"


def check(setup: Setup) -> Iterator[Verdict]:
    """Look at what importing agent.py showed, and at what stands in it besides."""
    worker = setup.worker
    if worker is None:
        yield ok("not looked at: no agent.py was given")
        return
    read = source.read(Path(worker.path), worker.setup_functions)
    name = Path(worker.path).name
    if worker.error:
        yield problem(
            f"{name} cannot be imported as a job process does it: {worker.error}",
            "put what runs the worker under if __name__ == '__main__', and see that "
            f"python -c 'import {Path(worker.path).stem}' works beside it",
        )
    elif not worker.uses_livekit:
        yield problem(
            f"{name} does not import livekit.agents",
            "give the file that makes the AgentServer and starts it",
        )
    yield from (problem(*logged) for logged in worker.logged)
    if not (worker.error and not worker.instrumented and not read.instruments):
        yield _instrumented(worker, read)
    yield from _providers(worker, read)
    for line in read.serves_at:
        yield problem(
            f"{name}:{line}: start_http_server() is run by every job process too, and only one "
            "gets the port; what the others count is not seen",
            "take it out, and write OTEL_METRICS_EXPORTER=prometheus: the worker serves its "
            "processes' numbers, and prometheus_client's registry with them",
        )


def _instrumented(worker: Worker, read: Source) -> Verdict:
    name = Path(worker.path).name
    if worker.instrumented:
        return ok(f"{name} calls instrument() at its import")
    for place in read.instruments:
        where = f"{name}:{place.line}: instrument() stands in {place.within}"
        if place.under_main and place.passes_provider:
            return problem(
                f"{where}, with a tracer_provider that no job process gets to see",
                f"move it to {_TOP}",
            )
        if place.under_main:
            return warning(
                f"{where}, which is not run where the worker is started by lk agent or "
                "python -m livekit.agents",
                f"move it to {_TOP}",
            )
        if place.in_setup:
            return problem(
                f"{where}, which runs in job processes only: nobody adds up their numbers, and no "
                "scrape is served",
                f"move it to {_TOP}",
            )
        return problem(
            f"{where}, which is not run before a call is under way", f"move it to {_TOP}"
        )
    if find_spec("opentelemetry.distro") is not None:
        return warning(
            f"{name} does not call instrument(): it is instrumented where it is started by "
            f"opentelemetry-instrument python {name} start, and not otherwise",
            f"start it that way, or write at {_TOP}: {_LINE}",
        )
    return problem(
        f"{name} does not call instrument(), and opentelemetry-instrument would configure nothing: "
        "opentelemetry-distro is not installed",
        f"write at {_TOP}: {_LINE}",
    )


def _providers(worker: Worker, read: Source) -> Iterator[Verdict]:
    name = Path(worker.path).name
    for second in worker.providers_refused:
        first = ", ".join(worker.providers_set)
        yield problem(
            f"{second}: a second TracerProvider is set; OpenTelemetry keeps the first one"
            f"{f', of {first}' if first else ''}, and the exporters of this one get nothing",
            "set one provider, and add the exporters of both to it as span processors",
        )
    for place in read.sets_provider:
        where = f"{name}:{place.line}: a TracerProvider is set in {place.within}"
        if place.under_main:
            yield problem(
                f"{where}, which no job process runs: calls never see it", f"move it to {_TOP}"
            )
        elif place.in_setup:
            yield ok(f"{where}, before the first call: it is used for the spans of calls")
        else:
            after = ", after one that is set at the import" if worker.own_provider else ""
            yield warning(
                f"{where}, too late{after}: spans that have ended by then do not reach it",
                f"move it to {_TOP}, or leave it out and name the destination in "
                "OTEL_EXPORTER_OTLP_ENDPOINT",
            )
    if worker.own_provider:
        places = ", ".join(worker.providers_set)
        yield ok(
            f"your own TracerProvider is used{f', of {places}' if places else ''}: it sends the "
            "spans, and OTEL_TRACES_EXPORTER is not looked at"
        )
