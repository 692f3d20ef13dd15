# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Exporters by the names of OTEL_TRACES_EXPORTER, …METRICS_EXPORTER and …LOGS_EXPORTER."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import urlsplit

from ..config.otlp import endpoint_variable, without_credentials
from ..config.settings import Settings
from ..diagnostics.problem import ProblemError
from . import presets
from .deadline_session import DeadlineSession
from .presets import PRESETS
from .presets.preset import PresetError

_GRPC_PACKAGE = "opentelemetry-exporter-otlp-proto-grpc"
_GROUPS = {
    "TRACES": "opentelemetry_traces_exporter",
    "METRICS": "opentelemetry_metrics_exporter",
    "LOGS": "opentelemetry_logs_exporter",
}
_DEFAULT_ENDPOINTS = {"grpc": "http://localhost:4317", "http/protobuf": "http://localhost:4318"}


class ExporterError(ProblemError):
    """An exporter that cannot be had; the message names the variable, the value, the remedy."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one exporter sends to.

    Attributes:
        entry_point: The name under which the exporter is registered.
        variable: The variable that the address comes from; empty where there is no address.
        address: Host, port and path without credentials; empty for exporters without one.
        protocol: The OTLP protocol; empty for exporters without one.
        chosen_by: The setting that chose the protocol, as ``NAME=value``.
        remedy: What to write to have the other protocol.
    """

    entry_point: str
    variable: str = ""
    address: str = ""
    protocol: str = ""
    chosen_by: str = ""
    remedy: str = ""

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Where it connects to; without a scheme, as gRPC takes it, the port is that of TLS."""
        url = urlsplit(self.address if "://" in self.address else f"//{self.address}")
        return url.hostname or "", url.port or (443 if url.scheme in ("https", "") else 80)

    def __str__(self) -> str:
        if not self.address:
            return self.entry_point
        name = self.entry_point if self.entry_point in PRESETS else "otlp"
        return f"{name}({self.protocol} {self.address})"


def destination(
    name: str, signal: str, settings: Settings, environ: Mapping[str, str] | None = None
) -> Destination:
    """Say where the exporter of a name sends to.

    Args:
        name: As in the variable, e.g. ``otlp`` or ``console``.
        signal: ``TRACES``, ``METRICS`` or ``LOGS``.
        settings: For the protocol.
        environ: The variables. Default: those of this process.
    """
    environ = os.environ if environ is None else environ
    if name in PRESETS:
        try:
            target = presets.target_of(name, signal, environ)
        except PresetError:
            return Destination(entry_point=name)
        return Destination(name, target.variable, target.url, "http/protobuf")
    protocol = {
        "TRACES": settings.traces_protocol,
        "METRICS": settings.metrics_protocol,
        "LOGS": settings.logs_protocol,
    }[signal]
    if name == "otlp":
        name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    if name not in ("otlp_proto_grpc", "otlp_proto_http"):
        return Destination(entry_point=name)
    protocol = "grpc" if name == "otlp_proto_grpc" else "http/protobuf"
    variable, endpoint = endpoint_variable(environ, signal)
    address = without_credentials(endpoint or _DEFAULT_ENDPOINTS[protocol])
    if protocol == "http/protobuf" and variable == "OTEL_EXPORTER_OTLP_ENDPOINT":
        address = f"{address.rstrip('/')}/v1/{signal.lower()}"
    chosen = f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"
    if not environ.get(chosen):
        chosen = "OTEL_EXPORTER_OTLP_PROTOCOL"
    if environ.get(chosen):
        chosen_by, remedy = f"{chosen}={protocol}", "http/protobuf"
    else:
        chosen_by, remedy = f"{variable}={address}", f"{chosen}=http/protobuf"
    return Destination(name, variable, address, protocol, chosen_by, remedy)


def load(target: Destination, signal: str) -> Callable[[], Any]:
    """Return what makes the exporter of a destination.

    Raises:
        ExporterError: If no exporter of that name is installed, it cannot be imported, or a
            backend's own variables are missing or wrong.
    """
    if target.entry_point in PRESETS:
        try:
            return presets.exporter_of(target.entry_point, signal, os.environ)
        except PresetError as error:
            raise ExporterError(error.problem.finding, error.problem.remedy) from None
    group = _GROUPS[signal]
    entry_point = next(iter(entry_points(group=group, name=target.entry_point)), None)
    reason = "is not installed"
    if entry_point is not None:
        try:
            loaded: Callable[..., Any] = entry_point.load()
        except ImportError as error:
            reason = f"cannot be imported ({error})"
        else:
            if target.entry_point == "otlp_proto_http" and not _has_credential_provider():
                return partial(loaded, session=DeadlineSession())
            return loaded
    if target.protocol == "grpc":
        raise ExporterError(
            f"{target.chosen_by}: {_GRPC_PACKAGE} {reason}, no {signal.lower()} are sent",
            f"pip install {_GRPC_PACKAGE}, or write {target.remedy}",
        )
    if entry_point is not None:
        raise ExporterError(
            f"OTEL_{signal}_EXPORTER={target.entry_point}: the exporter {reason}, it is left out",
            "install it again, or take it out of the list",
        )
    known = sorted({point.name for point in entry_points(group=group)} | {"none", "otlp"})
    raise ExporterError(
        f"OTEL_{signal}_EXPORTER={target.entry_point}: no exporter of that name is installed, it "
        f"is left out",
        f"use any of {', '.join(known)}",
    )


def make(target: Destination, signal: str) -> Any:
    """Make the exporter of a destination; the SDK reads its address and headers itself.

    Raises:
        ExporterError: If it cannot be had.
    """
    loaded = load(target, signal)
    # said once when the worker starts, without the value: the SDK would log it whole
    logger = logging.getLogger("opentelemetry.util.re")
    logger.addFilter(_is_not_about_a_header)
    try:
        return loaded()
    except Exception as error:
        raise ExporterError(
            f"OTEL_{signal}_EXPORTER={target.entry_point}: cannot be set up, it is left out "
            f"({type(error).__name__})",
            "look at the OTEL_EXPORTER_* variables",
        ) from error
    finally:
        logger.removeFilter(_is_not_about_a_header)


def _has_credential_provider() -> bool:
    """Tell whether a variable names what is to make the session of the SDK's exporters."""
    return any(
        value and name.startswith("OTEL_PYTHON_EXPORTER_OTLP_") and name.endswith("_PROVIDER")
        for name, value in os.environ.items()
    )


def _is_not_about_a_header(record: logging.LogRecord) -> bool:
    return "eader" not in str(record.msg)
