# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""Where the promise "nothing of ours ever raises into a call" is kept.

A failure inside a guard is logged once per place in production, and raised again under pytest:
silent for the caller on the line, loud for whoever changes this package.
"""

from __future__ import annotations

import logging
import os

_logger = logging.getLogger("opentelemetry.instrumentation.livekit_agents")
_reported: set[str] = set()


class guarded:  # noqa: N801 - reads as a verb where it is used, as the standard library's do
    """Contain any exception raised in the block.

    A class, since it is entered some forty times a turn: a generator costs four times as much.

    Args:
        place: What was being done, for the log line, e.g. ``"writing call attributes"``. Also
            the key under which a second failure is not logged again.
    """

    __slots__ = ("_place",)

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        """Enter the block."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        """Swallow an exception; say so at the first in this place."""
        if not isinstance(error, Exception) or "PYTEST_CURRENT_TEST" in os.environ:
            return False
        if self._place not in _reported:
            _reported.add(self._place)
            _logger.error(
                "telemetry failed while %s; the call goes on, further failures here are not logged",
                self._place,
                exc_info=error,
            )
        return True
