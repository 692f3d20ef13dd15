# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a preset is, and how one reads its variables.

The ``OTEL_EXPORTER_OTLP_*`` variables describe one destination, which may stand beside a preset in
the same list. So no preset reads them: their headers are another backend's credentials.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan

from ...config.otlp import without_credentials
from ...diagnostics.problem import ProblemError

TRACES: Final = "TRACES"
METRICS: Final = "METRICS"


class PresetError(ProblemError):
    """A backend that cannot be used as it is set up; says which variable and what to write."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a backend takes one signal, and how it is told who sends.

    Attributes:
        variable: The variable that the address comes from.
        url: The address with the signal's path; no credentials in it.
        headers: What is sent with each request; never shown.
    """

    variable: str
    url: str
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Preset:
    """A backend by its name, which takes OTLP over HTTP.

    Attributes:
        name: Stands for it in OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER.
        title: Its name in messages.
        variables: Every variable that it reads.
        target: Returns where it takes a signal, by the variables; raises PresetError where one
            is missing or wrong.
        signals: What it takes. Default: traces and metrics.
        mapping: Returns, by the variables, what is done to each finished span on its way there;
            None where spans go as they are.
        calls_only: Whether it is spared spans that tell nothing of a call, because it bills each.
    """

    name: str
    title: str
    variables: tuple[str, ...]
    target: Callable[[str, Mapping[str, str]], Target]
    signals: tuple[str, ...] = (TRACES, METRICS)
    mapping: Callable[[Mapping[str, str]], Callable[[ReadableSpan], ReadableSpan]] | None = None
    calls_only: bool = False


def required(environ: Mapping[str, str], variable: str, preset: str, remedy: str) -> str:
    """Return the value of a variable without which a preset cannot be used.

    Raises:
        PresetError: If it is not set.
    """
    if value := environ.get(variable, "").strip():
        return value
    raise PresetError(f"{preset} is named as an exporter and {variable} is not set", remedy)


def base_address(variable: str, value: str, examples: str) -> str:
    """Return the address of a backend as a path can be added to it.

    Args:
        variable: Where it is from.
        value: The address.
        examples: What to write instead, in words.

    Raises:
        PresetError: If it is no address, or holds more than one.
    """
    shown = without_credentials(value)
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError as error:
        raise PresetError(
            f"{variable}={shown}: {error}, nothing can be sent there", f"write {examples}"
        ) from None
    if url.scheme not in ("http", "https") or not host:
        raise PresetError(
            f"{variable}={shown}: not an address that begins with https:// or http://, nothing "
            f"can be sent there",
            f"write {examples}",
        )
    if shown != value:
        raise PresetError(
            f"{variable}={shown}: holds more than host and path (not shown), nothing is sent there",
            "leave out user, password, query and fragment, the keys have their own variables",
        )
    return value.rstrip("/")


def signal_url(variable: str, base: str, signal: str) -> str:
    """Return where a signal is taken below the address of a backend.

    Raises:
        PresetError: If the address has the path of a signal in it already.
    """
    for path in ("/v1/traces", "/v1/metrics", "/v1/logs"):
        if base.endswith(path):
            raise PresetError(
                f"{variable}={base}: the path of each signal is added to it, nothing is sent there",
                f"write {variable}={base.removesuffix(path)}",
            )
    return f"{base}/v1/{signal.lower()}"


def basic_auth(user: str, password: str) -> str:
    """Return the value of an ``authorization`` header."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
