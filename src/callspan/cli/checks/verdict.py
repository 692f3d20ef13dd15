# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What every check is given, and what it returns."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import unquote, urlsplit

from ...config.settings import Settings
from ...diagnostics.problem import Problem
from .agent_inspection import Worker

DEFAULT_TIMEOUT_S: Final = 5.0
"""Seconds to wait for a destination's answer."""

_SECRET_NAME: Final = re.compile("KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL|HEADERS")
_SHORTEST_SECRET: Final = 8


class Status(StrEnum):
    """How serious a verdict is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found.

    Attributes:
        status: How serious it is.
        finding: What is so, with the value it is read from.
        remedy: What to change, and to what; empty where nothing is to be changed.
    """

    status: Status
    finding: str
    remedy: str = ""


def ok(finding: str) -> Verdict:
    """Return a verdict on something that is as it should be."""
    return Verdict(Status.OK, finding)


def warning(finding: str, remedy: str = "") -> Verdict:
    """Return a verdict on something that is likely not meant."""
    return Verdict(Status.WARNING, finding, remedy)


def problem(finding: str, remedy: str = "") -> Verdict:
    """Return a verdict on something that costs telemetry."""
    return Verdict(Status.PROBLEM, finding, remedy)


def of(reported: Problem) -> Verdict:
    """Return a verdict on a problem that the package itself reports."""
    return problem(reported.finding, reported.remedy)


@dataclass(frozen=True, slots=True)
class Setup:
    """What is looked at.

    Attributes:
        environ: The variables, as they are once agent.py has been imported.
        settings: What the worker would make of them.
        worker: What importing agent.py showed; None where none was given.
        models: What ``--model`` named, as ``component:provider/model``.
        prices: The price file, or empty.
        in_container: Whether this is a container.
        timeout_s: Seconds to wait for each destination.
    """

    environ: Mapping[str, str] = field(repr=False)
    settings: Settings
    worker: Worker | None = None
    models: tuple[str, ...] = ()
    prices: str = ""
    in_container: bool = False
    timeout_s: float = DEFAULT_TIMEOUT_S

    @property
    def has_own_provider(self) -> bool:
        """Whether the worker's spans go to a provider of the application's own."""
        return self.worker is not None and self.worker.own_provider


def without_secrets(text: str, environ: Mapping[str, str]) -> str:
    """Return a text with every credential in it, as the variables hold them, left out."""
    # the longest first: one may be part of another
    for secret in sorted(set(_secrets(environ)), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def _secrets(environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in environ.items():
        secrets = [value] if _SECRET_NAME.search(name) else []
        if name.endswith("_HEADERS"):
            secrets += _in_headers(value)
        if "@" in value and "://" in value:
            secrets += _in_address(value)
        yield from (one for one in secrets if len(one) >= _SHORTEST_SECRET)


def _in_headers(value: str) -> Iterator[str]:
    for entry in value.split(","):
        sent = entry.partition("=")[2].strip()
        for form in (sent, unquote(sent)):
            yield form
            credentials = form.rpartition(" ")[2]
            yield credentials
            try:
                decoded = base64.b64decode(credentials, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                continue
            yield from (decoded, *decoded.split(":", 1))


def _in_address(value: str) -> Iterator[str]:
    try:
        url = urlsplit(value)
    except ValueError:
        return
    yield from (one for one in (url.username, url.password) if one)
