# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The entry of every job process: importable, so that it can be named across processes."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from .config.settings import Settings
from .diagnostics.guard import contained


def main(
    resolved: Settings,
    set_globals: bool,
    channel: socket.socket | None,
    target: Callable[..., Any],
    args: tuple[Any, ...],
) -> None:
    """Instrument this process as its worker says, then run what LiveKit meant it to run.

    Args:
        resolved: The worker's configuration.
        set_globals: Whether a provider of ours may become the global one.
        channel: This process's end of a channel for metrics.
        target: LiveKit's own entry.
        args: The arguments of that entry, its channels among them.
    """
    _enter(resolved, set_globals, channel)
    target(*args)


@contained("entering a job process")
def _enter(resolved: Settings, set_globals: bool, channel: socket.socket | None) -> None:
    from .instrumentor import LiveKitAgentsInstrumentor

    LiveKitAgentsInstrumentor().enter_job_process(
        resolved, set_globals=set_globals, channel=channel
    )
