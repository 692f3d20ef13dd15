# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the user asked for: the standard variables and our own, read once, in one place.

Resolving never raises: an agent takes calls with telemetry half configured rather than not at
all. What could not be understood is kept as a problem, in words that name the variable, the
value and what to write instead, and is logged when the worker starts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from .. import environment_variables as ours
from .. import semconv
from ..call.outcome import OutcomeRules
from ..call.tail_sampling import TailSamplingRules
from ..diagnostics.problem import InvalidValueError, Problem
from ..package import ORIGINAL_METRICS_EXPORTER
from . import business_variables, otlp
from .parsers import entries

PROMETHEUS: Final = "prometheus"
"""In OTEL_METRICS_EXPORTER: the worker serves its metrics itself."""
PARTS: Final = frozenset({"attributes", "stt_request", "interruptions", "flush", "span_filter"})
"""What can be left out, one by one."""

_CONTENT_ON_SPANS: Final = frozenset({"SPAN_ONLY", "SPAN_AND_EVENT", "TRUE", "1", "YES", "ON"})
_CONTENT_IN_EVENTS: Final = frozenset({"EVENT_ONLY", "SPAN_AND_EVENT"})
_CONTENT_OFF: Final = frozenset({"", "NO_CONTENT", "FALSE", "0", "NO", "OFF"})
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_DEFAULT_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The resolved configuration; plain data, so that it can travel to a job process.

    Attributes:
        trace_exporters: Names from OTEL_TRACES_EXPORTER, without ``none``. Default: ``otlp``.
        metric_exporters: Names from OTEL_METRICS_EXPORTER, without ``none``. Default: ``otlp``.
        log_exporters: Names from OTEL_LOGS_EXPORTER, without ``none``. Default: ``otlp``.
        traces_protocol: ``http/protobuf`` or ``grpc``.
        metrics_protocol: The same for metrics.
        logs_protocol: The same for logs.
        destination_named: Whether a variable says where traces go; without one, the default
            destination gives way to a provider that the user sets.
        content: Whether content is exported on spans.
        event_content: Whether content is exported in log events.
        session_report: ``summary`` or ``full``; empty for none.
        flush_timeout_s: Seconds that the end of a call may wait for delivery.
        hook_timeout_s: Seconds that a hook may take with one record.
        disabled_parts: Parts left out.
        counted_kinds: Kinds of calls that count; of the others only the number is kept.
        dispatch_name: The agent name that the worker registers under, where known.
        provider_in_code: Whether a provider was passed in code, which cannot travel.
        rules: How the outcome of a call is found, and what was declared.
        tool_conversions: What the success of a tool converts a call to, by the tool's name.
        prices: The user's own.
        keep: Whose traces are sent; None for all, as calls go.
        development: Whether wrong words of the application are refused loudly.
        problems: What could not be understood, in plain words.
    """

    trace_exporters: tuple[str, ...] = ("otlp",)
    metric_exporters: tuple[str, ...] = ("otlp",)
    log_exporters: tuple[str, ...] = ("otlp",)
    traces_protocol: str = "http/protobuf"
    metrics_protocol: str = "http/protobuf"
    logs_protocol: str = "http/protobuf"
    destination_named: bool = False
    content: bool = False
    event_content: bool = False
    session_report: str = semconv.REPORT_OFF
    flush_timeout_s: float = _DEFAULT_TIMEOUT_S
    hook_timeout_s: float = _DEFAULT_TIMEOUT_S
    disabled_parts: frozenset[str] = frozenset()
    counted_kinds: frozenset[str] = frozenset({semconv.KIND_PRODUCTION})
    dispatch_name: str = ""
    provider_in_code: bool = False
    rules: OutcomeRules = field(default_factory=OutcomeRules)
    tool_conversions: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, Any] = field(default_factory=dict)
    keep: TailSamplingRules | None = None
    development: bool = False
    problems: tuple[Problem, ...] = ()

    def has(self, part: str) -> bool:
        """Tell whether a part is on."""
        return part not in self.disabled_parts

    @property
    def sends_log_events(self) -> bool:
        """Whether calls are to be sent as log events."""
        return self.event_content or self.session_report != semconv.REPORT_OFF

    def for_worker(self, dispatch_name: str, *, development: bool = False) -> Settings:
        """Return these settings as they travel to the job processes of a worker."""
        development = development or self.development
        return replace(self, dispatch_name=dispatch_name, development=development)


def resolve(
    environ: Mapping[str, str] | None = None,
    *,
    capture_content: bool | None = None,
    disabled_parts: frozenset[str] = frozenset(),
    provider_in_code: bool = False,
    prices: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the configuration.

    Args:
        environ: The variables. Default: those of this process, without what the
            ``opentelemetry-instrument`` command filled in itself.
        capture_content: Overrides the content variable.
        disabled_parts: Added to the parts that the variable names.
        provider_in_code: Whether a provider was passed in code.
        prices: Overrides the price file.

    Returns:
        The settings; what could not be understood is in their ``problems``.
    """
    environ = _as_the_user_set_it() if environ is None else environ
    problems: list[Problem] = []
    exporters = {}
    protocols = {}
    for signal in otlp.SIGNALS:
        protocols[signal] = otlp.protocol(environ, signal, problems)
        exporters[signal] = otlp.exporters(environ, signal, protocols[signal], problems)
    content, event_content = _content(environ, problems)
    if capture_content is not None:
        content, event_content = capture_content, event_content and capture_content
    flush_timeout_s, hook_timeout_s = (
        _timeout(environ, variable, problems)
        for variable in (
            ours.CALLSPAN_FLUSH_TIMEOUT,
            ours.CALLSPAN_HOOK_TIMEOUT,
        )
    )
    session_report = _session_report(environ, problems)
    named_parts = _disabled_parts(environ, problems)
    counted_kinds = _counted_kinds(environ, problems)
    problems += otlp.header_problems(environ)
    rules, tool_conversions = business_variables.read(environ, problems)
    return Settings(
        trace_exporters=exporters["TRACES"],
        metric_exporters=exporters["METRICS"],
        log_exporters=exporters["LOGS"],
        traces_protocol=protocols["TRACES"],
        metrics_protocol=protocols["METRICS"],
        logs_protocol=protocols["LOGS"],
        destination_named=otlp.is_destination_named(environ),
        content=content,
        event_content=event_content,
        session_report=session_report,
        flush_timeout_s=flush_timeout_s,
        hook_timeout_s=hook_timeout_s,
        disabled_parts=disabled_parts | named_parts,
        counted_kinds=counted_kinds,
        provider_in_code=provider_in_code,
        rules=rules,
        tool_conversions=tool_conversions,
        keep=_keep(environ, problems),
        prices=business_variables.read_prices(environ, problems) if prices is None else prices,
        problems=tuple(dict.fromkeys(problems)),
    )


def _as_the_user_set_it() -> Mapping[str, str]:
    """Return this process's variables less the protocol that a distro put there by default.

    ``opentelemetry-instrument`` writes ``OTEL_EXPORTER_OTLP_PROTOCOL=grpc`` (and exporter
    names) into os.environ before any instrumentation is loaded. Taking that for the user's word
    would give the same variables another protocol through the other door.
    """
    environ = dict(os.environ)
    if (set_aside := environ.get(ORIGINAL_METRICS_EXPORTER)) is not None:
        environ["OTEL_METRICS_EXPORTER"] = set_aside
    if environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc" and _has_distro():
        at_start = _environ_at_start()
        if at_start is not None and "OTEL_EXPORTER_OTLP_PROTOCOL" not in at_start:
            del environ["OTEL_EXPORTER_OTLP_PROTOCOL"]
            for name in ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"):
                if name not in at_start and environ.get(name) == "otlp":
                    del environ[name]
    return environ


def _has_distro() -> bool:
    return "opentelemetry.distro" in sys.modules


def _environ_at_start() -> frozenset[str] | None:
    """Return the names of the variables this process was started with, or None if not told."""
    import psutil

    try:
        return frozenset(psutil.Process().environ())
    except (psutil.Error, OSError):
        return None


def _content(environ: Mapping[str, str], problems: list[Problem]) -> tuple[bool, bool]:
    """Return whether content is exported on spans, and in events."""
    variable = ours.OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT
    value = environ.get(variable, "").strip()
    where = (value.upper() in _CONTENT_ON_SPANS, value.upper() in _CONTENT_IN_EVENTS)
    if not any(where) and value.upper() not in _CONTENT_OFF:
        problems.append(
            Problem(
                f"{variable}={value}: no such value, content stays off",
                "write NO_CONTENT, SPAN_ONLY, EVENT_ONLY or SPAN_AND_EVENT",
            )
        )
    return where


def _session_report(environ: Mapping[str, str], problems: list[Problem]) -> str:
    variable = ours.CALLSPAN_SESSION_REPORT
    value = environ.get(variable, "").strip()
    if value in (semconv.REPORT_SUMMARY, semconv.REPORT_FULL):
        return value
    if value not in ("", "off"):
        problems.append(
            Problem(
                f"{variable}={value}: no such report, none is sent", "write summary, full or off"
            )
        )
    return semconv.REPORT_OFF


def _timeout(environ: Mapping[str, str], variable: str, problems: list[Problem]) -> float:
    value = environ.get(variable, "").strip()
    if not value:
        return _DEFAULT_TIMEOUT_S
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    # LiveKit kills a job that is not gone 10 s after it said that it shuts down
    if not 0 < seconds <= 8:
        problems.append(
            Problem(
                f"{variable}={value}: not a number of seconds above 0 and up to 8, "
                f"{_DEFAULT_TIMEOUT_S:g} is used",
                "write for example 2",
            )
        )
        return _DEFAULT_TIMEOUT_S
    return seconds


def _disabled_parts(environ: Mapping[str, str], problems: list[Problem]) -> frozenset[str]:
    variable = ours.CALLSPAN_DISABLED_PARTS
    given = frozenset(entries(environ.get(variable, "")))
    if unknown := sorted(given - PARTS):
        problems.append(
            Problem(
                f"{variable}={','.join(unknown)}: no such part, it is passed over",
                f"use any of {', '.join(sorted(PARTS))}",
            )
        )
    return given & PARTS


def _counted_kinds(environ: Mapping[str, str], problems: list[Problem]) -> frozenset[str]:
    variable = ours.CALLSPAN_COUNTED_KINDS
    given = frozenset(entries(environ.get(variable, "")))
    if unknown := sorted(given.difference(semconv.KINDS)):
        problems.append(
            Problem(
                f"{variable}={','.join(unknown)}: no such kind of call, it is passed over",
                f"use any of {', '.join(semconv.KINDS)}",
            )
        )
    return given.intersection(semconv.KINDS) or frozenset({semconv.KIND_PRODUCTION})


def _keep(environ: Mapping[str, str], problems: list[Problem]) -> TailSamplingRules | None:
    variable = ours.CALLSPAN_KEEP_CALLS
    value = environ.get(variable, "").strip()
    try:
        return TailSamplingRules.parse(value) if value else None
    except InvalidValueError as error:
        problems.append(error.problem.of(variable, "all calls are kept"))
        return None
