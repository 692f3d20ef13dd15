# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Interruptions as events on the agent's turn: what stopped it, and how much was heard."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from .. import semconv


def record(agent_turn: Span, kind: str, at_ns: int | None = None) -> None:
    """Add an interruption to a live ``agent_turn``.

    Args:
        agent_turn: The span of the speech.
        kind: One of the ``INTERRUPTION_*`` values.
        at_ns: When the speech was stopped, Unix nanoseconds. Default: now.
    """
    attributes: dict[str, AttributeValue] = {semconv.INTERRUPTION_KIND: kind}
    if isinstance(agent_turn, ReadableSpan) and agent_turn.attributes:
        position = agent_turn.attributes.get(semconv.LK_PLAYOUT_POSITION)
        if position is not None:
            attributes[semconv.PLAYOUT_POSITION] = position
    agent_turn.add_event(semconv.EVENT_INTERRUPTION, attributes, timestamp=at_ns)
