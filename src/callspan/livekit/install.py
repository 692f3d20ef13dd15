# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""All patches, in one place, and what this version of livekit-agents has no place for."""

from __future__ import annotations

from importlib import metadata

from ..diagnostics.problem import ProblemError
from . import job, log_content, log_records, session, tracer, transfers, worker
from .observer import Observer
from .patches import MissingError, Patches

MINIMUM = (1, 6, 10)


class UnsupportedError(ProblemError):
    """This livekit-agents cannot be instrumented; the message says why and what to install."""


def install(patches: Patches, observer: Observer) -> list[str]:
    """Patch livekit-agents.

    Returns:
        What is degraded in this version, in plain words.

    Raises:
        UnsupportedError: If the installed version lacks what everything else stands on.
    """
    try:
        tracer.patch(patches, observer)
        job.patch(patches, observer)
        degraded = [
            *job.missing(),
            *session.patch(patches, observer),
            *transfers.patch(patches, observer),
            *log_records.patch(patches),
            *log_content.patch(patches),
        ]
    except MissingError as error:
        patches.undo()
        installed = metadata.version("livekit-agents")
        raise UnsupportedError(
            f"livekit-agents {installed} is not supported ({error}): calls are taken without "
            "telemetry",
            f"pip install {_remedy(installed)}",
        ) from error
    try:
        worker.patch(patches, observer)
    except MissingError as error:
        degraded.append(
            f"job processes are not reached ({error}): call instrument() at the top of agent.py, "
            "outside of if __name__ == '__main__'"
        )
    return degraded


def _remedy(installed: str) -> str:
    """Return what to install: an older livekit-agents is to be newer, or else we are."""
    numbers = tuple(int(part) for part in installed.split(".")[:3] if part.isdigit())
    if numbers < MINIMUM:
        return f"'livekit-agents>={'.'.join(map(str, MINIMUM))}'"
    return "-U callspan"
