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
from typing import Any, Final, TypeVar

from .. import semconv
from ..call.outcome import OutcomeRules
from ..call.tail_sampling import TailSamplingRules
from ..diagnostics.problem import Problem
from ..package import ORIGINAL_METRICS_EXPORTER
from . import env, otlp

PROMETHEUS: Final = "prometheus"
"""In OTEL_METRICS_EXPORTER: the worker serves its metrics itself."""

_T = TypeVar("_T")


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
    flush_timeout_s: float = 2.0
    hook_timeout_s: float = 2.0
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

    def read(variable: env.Variable[_T]) -> _T:
        return variable.read(environ, problems)

    protocols = {signal: otlp.protocol(environ, signal, problems) for signal in otlp.SIGNALS}
    exporters = {
        signal: otlp.exporters(environ, signal, protocols[signal], problems)
        for signal in otlp.SIGNALS
    }
    problems += otlp.header_problems(environ)
    content, event_content = read(env.CONTENT)
    if capture_content is not None:
        content, event_content = capture_content, event_content and capture_content
    declared, tool_conversions = read(env.CONVERSIONS)
    declared.merge(read(env.LABELS))
    declared.merge(read(env.OUTCOMES))
    if default_outcome := read(env.DEFAULT_OUTCOME):
        declared.add_outcomes([default_outcome])
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
        session_report=read(env.SESSION_REPORT),
        flush_timeout_s=read(env.FLUSH_TIMEOUT),
        hook_timeout_s=read(env.HOOK_TIMEOUT),
        disabled_parts=disabled_parts | read(env.DISABLED_PARTS),
        counted_kinds=read(env.COUNTED_KINDS),
        provider_in_code=provider_in_code,
        rules=OutcomeRules(
            default=default_outcome,
            heard_at_least=read(env.ABANDONED_HEARD),
            abandoned_within_s=read(env.ABANDONED_WITHIN),
            declared=declared,
        ),
        tool_conversions=tool_conversions,
        keep=read(env.KEEP_CALLS),
        prices=read(env.PRICES) if prices is None else prices,
        problems=tuple(dict.fromkeys(problems)),
    )


def _as_the_user_set_it() -> Mapping[str, str]:
    """Return this process's variables less the protocol that a distro put there by default.

    ``opentelemetry-instrument`` writes ``OTEL_EXPORTER_OTLP_PROTOCOL=grpc`` (and exporter
    names) into os.environ before any instrumentation is loaded. Taking that for the user's word
    would give the same variables another protocol in zero-code than in code.
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
