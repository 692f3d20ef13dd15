# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The process that imports agent.py and writes down what that showed; see ``agent_inspection``."""

from __future__ import annotations

import logging
import os
import runpy
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from ...config.arguments import Options
from ...diagnostics.log import logger
from ...diagnostics.problem import Problem
from ...instrumentor import LiveKitAgentsInstrumentor
from ...livekit import log_content
from ...livekit import tracer as livekit_tracer
from ...providers import tracer_provider
from . import models
from .agent_inspection import Worker
from .probe import send_through

_JOB_PROCESS = "__mp_main__"
"""The name that agent.py has in a job process, so that nothing under its guard is run."""


class _Log(logging.Handler):
    """Keeps what this package logs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.problems: list[Problem] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a problem, or what else was logged as one."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        known = (each for each in arguments if isinstance(each, Problem))
        self.problems.append(next(known, Problem(record.getMessage())))


def look(path: Path, answer_timeout_s: float) -> Worker:
    """Import agent.py into this process, and say what that showed.

    Args:
        path: Of agent.py.
        answer_timeout_s: Seconds to wait for the exporters of a provider that it set.
    """
    places: list[str] = []
    refused: list[str] = []
    _watch_providers(places, refused)
    log = _Log()
    logger.addHandler(log)
    sys.argv = [str(path)]
    sys.path[0] = str(path.resolve().parent)
    namespace: Mapping[str, Any] = {}
    error = ""
    try:
        namespace = runpy.run_path(str(path), run_name=_JOB_PROCESS)
    except SystemExit:
        error = "it runs when it is imported, and ends Python"
    except BaseException as raised:  # noqa: BLE001  whatever a module raises is the finding
        error = _one_line(raised, path)
    worker = Worker(
        str(path),
        error=error,
        instrumented=LiveKitAgentsInstrumentor().is_instrumented_by_opentelemetry,
        uses_livekit="livekit.agents" in sys.modules,
        own_meter_provider=isinstance(metrics.get_meter_provider(), MeterProvider),
        own_log_handler=log_content.has_own_handler(),
        providers_set=tuple(places),
        providers_refused=tuple(refused),
        models=tuple(models.in_source(path, namespace)),
        logged=tuple(map(astuple, log.problems)),
        environ=dict(os.environ),
    )
    return _with_servers(_with_options(worker, answer_timeout_s), namespace)


def _watch_providers(places: list[str], refused: list[str]) -> None:
    """Note from where global providers are set, and which of them do not come to be it."""
    wrapped = trace.set_tracer_provider

    def set_tracer_provider(tracer_provider: trace.TracerProvider) -> None:
        caller = sys._getframe(1)
        place = f"{Path(caller.f_code.co_filename).name}:{caller.f_lineno}"
        wrapped(tracer_provider)
        taken = trace.get_tracer_provider() is tracer_provider
        (places if taken else refused).append(place)

    trace.set_tracer_provider = set_tracer_provider


def _with_options(worker: Worker, answer_timeout_s: float) -> Worker:
    options = LiveKitAgentsInstrumentor._options or Options()
    providers: list[object] = [options.tracer_provider]
    if worker.uses_livekit:
        providers.append(livekit_tracer.provider())
    providers.append(trace.get_tracer_provider())
    own = next((one for one in providers if tracer_provider.is_user_provided(one)), None)
    answers = [] if not isinstance(own, TracerProvider) else send_through(own, answer_timeout_s)
    return replace(
        worker,
        content=options.capture_content,
        disabled_parts=tuple(sorted(options.disabled_parts)),
        prices=None if options.prices is None else dict(options.prices),
        own_provider=own is not None,
        own_answers=tuple(map(asdict, answers)),
    )


def _with_servers(worker: Worker, namespace: Mapping[str, Any]) -> Worker:
    servers = [value for value in namespace.values() if hasattr(value, "_prometheus_multiproc_dir")]
    setups = [setup for one in servers if (setup := getattr(one, "setup_fnc", None)) is not None]
    return replace(
        worker,
        setup_functions=tuple(_texts(setups, "__name__")),
        multiprocess_dir=next(_texts(servers, "_prometheus_multiproc_dir"), ""),
    )


def _texts(objects: list[Any], attribute: str) -> Iterator[str]:
    yield from (
        value
        for one in objects
        if isinstance(value := getattr(one, attribute, None), str) and value
    )


def _one_line(error: BaseException, path: Path) -> str:
    """Return an exception in one line, with the last place in agent.py that it came through."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).name == path.name
    ]
    place = f" (line {lines[-1]})" if lines else ""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}{': ' if text else ''}{text}{place}"


if __name__ == "__main__":
    agent, written, seconds = sys.argv[1:]
    Path(written).write_text(look(Path(agent), float(seconds)).to_json(), "utf-8")
    # what it set up may want to flush at exit, to a backend that does not answer
    os._exit(0)
