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
from urllib.parse import urlsplit

from .. import environment_variables as ours
from .. import semconv
from ..call.outcome import OutcomeRules
from ..call.tail_sampling import TailSamplingRules
from ..diagnostics.problem import InvalidValueError, Problem
from ..package import ORIGINAL_METRICS_EXPORTER
from . import business_variables

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
    for signal in ("TRACES", "METRICS", "LOGS"):
        exporters[signal] = _exporters(environ, f"OTEL_{signal}_EXPORTER")
        protocols[signal] = _protocol(environ, signal, problems)
        unusable = _unusable_endpoint(environ, signal, protocols[signal])
        if unusable and _without_otlp(exporters[signal]) != exporters[signal]:
            exporters[signal] = _without_otlp(exporters[signal])
            problems.append(unusable)
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
    problems += _header_problems(environ)
    rules, tool_conversions = business_variables.read(environ, problems)
    return Settings(
        trace_exporters=exporters["TRACES"],
        metric_exporters=exporters["METRICS"],
        log_exporters=exporters["LOGS"],
        traces_protocol=protocols["TRACES"],
        metrics_protocol=protocols["METRICS"],
        logs_protocol=protocols["LOGS"],
        destination_named=any(
            environ.get(name, "").strip()
            for name in (
                "OTEL_TRACES_EXPORTER",
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            )
        ),
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


def _names(value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


def _exporters(environ: Mapping[str, str], variable: str) -> tuple[str, ...]:
    names = _names(environ.get(variable, "")) or ["otlp"]
    return tuple(dict.fromkeys(name for name in names if name != "none"))


def endpoint_variable(environ: Mapping[str, str], signal: str) -> tuple[str, str]:
    """Return the variable that says where a signal goes, and its value (empty: the default).

    Args:
        environ: The variables.
        signal: ``TRACES``, ``METRICS`` or ``LOGS``.
    """
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        if value := environ.get(name, "").strip():
            return name, value
    return "OTEL_EXPORTER_OTLP_ENDPOINT", ""


def without_credentials(url: str) -> str:
    """Return an address as it may be logged: without user, password, query and fragment."""
    scheme, separator, rest = url.rpartition("://")
    # up to the last @: a password that was not percent-encoded can hold anything
    host_and_path = rest.rpartition("@")[2]
    return f"{scheme}{separator}{host_and_path.partition('?')[0].partition('#')[0]}"


def _protocol(environ: Mapping[str, str], signal: str, problems: list[Problem]) -> str:
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        value = environ.get(name, "").strip()
        if value in ("grpc", "http/protobuf"):
            return value
        if value:
            problems.append(
                Problem(
                    f"{name}={value}: no such protocol here, http/protobuf is used",
                    "write http/protobuf or grpc",
                )
            )
            return "http/protobuf"
    # 4317 is the port registered for OTLP over gRPC; everything else is taken to be HTTP
    _, endpoint = endpoint_variable(environ, signal)
    return "grpc" if endpoint.rstrip("/").endswith(":4317") else "http/protobuf"


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
    given = frozenset(_names(environ.get(variable, "")))
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
    given = frozenset(_names(environ.get(variable, "")))
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


def _unusable_endpoint(environ: Mapping[str, str], signal: str, protocol: str) -> Problem | None:
    """Say what is wrong with the address of a signal; None where nothing is."""
    name, value = endpoint_variable(environ, signal)
    shown = without_credentials(value)
    if not value or (protocol == "grpc" and "://" not in value):
        return None
    if not value.startswith(("http://", "https://")):
        return Problem(
            f"{name}={shown}: no scheme, nothing can be sent there",
            f"write http://{shown} or https://{shown}",
        )
    try:
        _ = urlsplit(value).port
    except ValueError as error:
        return Problem(
            f"{name}={shown}: {error}, nothing can be sent there",
            "write for example http://localhost:4318",
        )
    return None


def _without_otlp(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if not name.startswith("otlp"))


def _header_problems(environ: Mapping[str, str]) -> list[Problem]:
    """Say which entries have no value; nothing of an entry is shown: it may be a credential."""
    return [
        Problem(
            f"{name}: entry {position} is not name=value, it is not sent",
            "write name=value, comma-separated and percent-encoded, "
            "e.g. authorization=Basic%20dXNlcjpw",
        )
        for name in (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
        )
        for position, entry in enumerate(environ.get(name, "").split(","), start=1)
        if entry.strip() and "=" not in entry
    ]
