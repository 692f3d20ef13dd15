# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""Where the promise "nothing of ours ever raises into a call" is kept.

A failure inside a guard is logged once per place in production, and raised again under pytest:
silent for the caller on the line, loud for whoever changes this package.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

_logger = logging.getLogger("opentelemetry.instrumentation.livekit_agents")
_reported: set[str] = set()


@contextmanager
def guarded(place: str) -> Iterator[None]:
    """Contain any exception raised in the block.

    Args:
        place: What was being done, for the log line, e.g. ``"writing call attributes"``. Also
            the key under which a second failure is not logged again.
    """
    try:
        yield
    except Exception:
        if "PYTEST_CURRENT_TEST" in os.environ:
            raise
        if place not in _reported:
            _reported.add(place)
            _logger.exception(
                "telemetry failed while %s; the call goes on, further failures here are not logged",
                place,
            )
