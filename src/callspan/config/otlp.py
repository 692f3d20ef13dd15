# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The standard variables of exporters: which, where to, by which protocol, with which headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from ..diagnostics.problem import Problem
from .parsers import entries

SIGNALS: Final = ("TRACES", "METRICS", "LOGS")
"""As the names of variables have them."""


def exporters(
    environ: Mapping[str, str], signal: str, protocol: str, problems: list[Problem]
) -> tuple[str, ...]:
    """Return the names of a signal's exporters, less those whose address nothing can be sent to.

    Args:
        environ: The variables.
        signal: One of ``SIGNALS``.
        protocol: As ``protocol()`` returned it.
        problems: What is wrong with the address is added here.
    """
    names = entries(environ.get(f"OTEL_{signal}_EXPORTER", "")) or ["otlp"]
    wanted = tuple(dict.fromkeys(name for name in names if name != "none"))
    others = tuple(name for name in wanted if not name.startswith("otlp"))
    problem = _unusable_endpoint(environ, signal, protocol)
    if problem is None or wanted == others:
        return wanted
    problems.append(problem)
    return others


def is_destination_named(environ: Mapping[str, str]) -> bool:
    """Tell whether a variable says where traces go."""
    names = (
        "OTEL_TRACES_EXPORTER",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    )
    return any(environ.get(name, "").strip() for name in names)


def endpoint_variable(environ: Mapping[str, str], signal: str) -> tuple[str, str]:
    """Return the variable that says where a signal goes, and its value (empty: the default).

    Args:
        environ: The variables.
        signal: One of ``SIGNALS``.
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


def protocol(environ: Mapping[str, str], signal: str, problems: list[Problem]) -> str:
    """Return the protocol of a signal: the one that is set, else what the port stands for."""
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


def header_problems(environ: Mapping[str, str]) -> list[Problem]:
    """Say which entries have no value; nothing of an entry is shown: it may be a credential."""
    return [
        Problem(
            f"{name}: entry {position} is not name=value, it is not sent",
            "write name=value, comma-separated and percent-encoded, "
            "e.g. authorization=Basic%20dXNlcjpw",
        )
        for name in (
            "OTEL_EXPORTER_OTLP_HEADERS",
            *(f"OTEL_EXPORTER_OTLP_{signal}_HEADERS" for signal in SIGNALS),
        )
        for position, entry in enumerate(environ.get(name, "").split(","), start=1)
        if entry.strip() and "=" not in entry
    ]


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
