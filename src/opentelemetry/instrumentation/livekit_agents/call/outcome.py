# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""Which of the closed set of outcomes a finished call had."""

from __future__ import annotations

from typing import Final

from .. import semconv
from .record import Call

_CALLER_LEFT: Final = "participant_disconnected"
_HEARD_AT_LEAST: Final = 2
"""A caller who left before the agent had spoken twice heard no answer, only the greeting."""


def outcome_of(call: Call) -> str:
    """Return the outcome of a finished call: the first rule that applies.

    ``error`` if the session or the entrypoint failed; ``abandoned`` if the caller left before
    the agent was heard twice; otherwise ``completed``.
    """
    if call.failed:
        return semconv.OUTCOME_ERROR
    if call.close_reason == _CALLER_LEFT and call.times_heard < _HEARD_AT_LEAST:
        return semconv.OUTCOME_ABANDONED
    return semconv.OUTCOME_COMPLETED
