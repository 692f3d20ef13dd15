# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Listeners for LiveKit's event emitters, that raise nothing into a session and are cheap."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from ..diagnostics.guard import contained

_EVENT_SIGNATURE: Final = inspect.Signature(
    [inspect.Parameter("event", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
)


def listener(name: str, handle: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a listener for an event.

    Args:
        name: The event, for the log line of a failure.
        handle: Takes the event.
    """
    listen = contained(f"reading {name}")(handle)
    # livekit inspects a listener's signature at every emit: preset, it costs a third
    listen.__signature__ = _EVENT_SIGNATURE  # type: ignore[attr-defined]
    return listen
