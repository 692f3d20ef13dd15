# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Content: whether what is said leaves the worker, where to, and who else records the call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from ...environment_variables import OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT
from ...providers import exporters
from .verdict import Setup, Verdict, ok, warning

_WHAT: Final = (
    "prompts, transcripts, what the agent says, arguments and results of tools, room names and "
    "participants' identities"
)
_LOG_EXPORT: Final = "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED"
_CLOUDS: Final = (".livekit.cloud", ".livekit.run")


def check(setup: Setup) -> Iterator[Verdict]:
    """Say what of a call's content is exported."""
    variable = OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT
    if setup.has_own_provider:
        yield warning(
            "your own TracerProvider exports content by its own policy, which by LiveKit's default "
            f"is all of it: {_WHAT}",
            "leave the provider out and name the destination in the variables, or set it with "
            "livekit.agents.telemetry.set_tracer_provider(provider, allow_pii=False)",
        )
    elif not setup.settings.content:
        yield ok(f"off, nothing of it is exported: {_WHAT}")
    else:
        in_code = setup.worker is not None and setup.worker.content is not None
        said = "capture_content=True" if in_code else f"{variable}={setup.environ.get(variable)}"
        where = ", ".join(
            str(exporters.destination(name, "TRACES", setup.settings))
            for name in setup.settings.trace_exporters
        )
        yield warning(
            f"{said}: on, these are exported to {where or 'nobody'}: {_WHAT}",
            "if callers have not agreed to that, take capture_content=True out"
            if in_code
            else f"if callers have not agreed to that, write {variable}=NO_CONTENT",
        )
    yield from _log_records(setup)


def _log_records(setup: Setup) -> Iterator[Verdict]:
    """Say what LiveKit's own log records take along, where log records are exported."""
    what = "LiveKit's own log records hold what is said, and what tools are given"
    if setup.worker is not None and setup.worker.own_log_handler:
        yield warning(
            f"{what}: a log handler at the top of agent.py exports them as they are",
            "leave it off the root logger and LiveKit's, and add it to your own loggers",
        )
    if setup.environ.get(_LOG_EXPORT, "").strip().lower() == "true":
        if setup.settings.event_content:
            yield warning(f"{what}: {_LOG_EXPORT}=true exports them with content, as you asked")
        else:
            yield ok(
                f"{_LOG_EXPORT}=true exports LiveKit's own log records without content; those of "
                "other loggers as they are"
            )


def check_livekit_cloud(setup: Setup) -> Iterator[Verdict]:
    """Say what LiveKit Cloud's recording does beside this package."""
    url = setup.environ.get("LIVEKIT_URL", "")
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    if not setup.environ.get("LIVEKIT_OBSERVABILITY_URL") and not host.endswith(_CLOUDS):
        yield ok(f"not in use (LIVEKIT_URL={host or 'not set'})")
        return
    yield ok(
        "where recording is on for the project it goes on beside this: it uploads content by its "
        "own setting, and keeps its own metrics"
    )
    if setup.worker is not None and setup.worker.own_meter_provider:
        yield warning(
            "a MeterProvider is set at the top of agent.py: LiveKit Cloud then records no metrics",
            "leave it out: the worker exports metrics by OTEL_METRICS_EXPORTER",
        )
