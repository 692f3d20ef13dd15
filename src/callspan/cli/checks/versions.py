# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Versions: what livekit-agents and the parts of OpenTelemetry ask of each other."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib import metadata
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement

from ...livekit.install import MINIMUM
from .verdict import Setup, Verdict, ok, problem

_OURS: Final = "callspan"
_LIVEKIT: Final = "livekit-agents"


def check(_: Setup) -> Iterator[Verdict]:
    """Look whether what is installed fits together."""
    installed = {
        _canonical(distribution.metadata["Name"]): distribution
        for distribution in metadata.distributions()
        if distribution.metadata["Name"]
    }
    if _LIVEKIT not in installed:
        yield problem(
            f"{_LIVEKIT} is not installed for this Python",
            "run the doctor with the worker's own Python, or pip install livekit-agents",
        )
        return
    livekit = installed[_LIVEKIT].version
    if _numbers(livekit) < MINIMUM:
        yield problem(
            f"{_LIVEKIT} {livekit} is too old",
            f"pip install '{_LIVEKIT}>={'.'.join(map(str, MINIMUM))}'",
        )
    yield from _conflicts(installed)
    opentelemetry = installed["opentelemetry-sdk"].version
    ours = installed[_OURS].version if _OURS in installed else "from its source"
    yield ok(
        f"Python {platform.python_version()}, {_LIVEKIT} {livekit}, OpenTelemetry "
        f"{opentelemetry}, {_OURS} {ours}"
    )


def _conflicts(installed: dict[str, metadata.Distribution]) -> Iterator[Verdict]:
    """Say which requirements on parts of OpenTelemetry what is installed does not meet."""
    for name, distribution in sorted(installed.items()):
        if name != _LIVEKIT and not name.startswith("opentelemetry-"):
            continue
        for text in distribution.requires or ():
            try:
                wanted = Requirement(text)
            except InvalidRequirement:
                continue
            part = _canonical(wanted.name)
            if not part.startswith("opentelemetry-"):
                continue
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
                continue
            there = installed.get(part)
            if there is not None and wanted.specifier.contains(there.version, prereleases=True):
                continue
            has = "it is not installed" if there is None else f"{there.version} is installed"
            yield problem(
                f"{name} {distribution.version} wants {part}{wanted.specifier}, {has}",
                f"pip install -U {_LIVEKIT} {_OURS} '{part}{wanted.specifier}'",
            )


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
