# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What application code says about a call: outcome, conversions, KPIs, labels, feedback.

Declare at the top of agent.py, so that the worker knows the closed sets before the first call::

    business.declare_conversion("bookings", outcome="booking")
    business.declare_label("intent", ("booking", "billing", "other"))

and say what happens from anywhere inside a call, a tool, a hook of the agent, the entrypoint, a
shutdown callback::

    business.label("intent", "billing")
    business.convert("bookings", value=120, currency="EUR")

and take what calls come to where you want it, in functions that get typed records::

    @business.on_call_end
    async def store(summary: business.CallSummary) -> None:
        await database.insert(summary.to_dict())

The call is found by context. Outside of one, and without instrumentation, all of it does nothing.

What was not declared never becomes a label. In production it is logged once and counted as
``other``; in development (``python agent.py dev`` or ``console``, and under pytest) it raises
ValueError, and so does any other value that is refused.
"""

from __future__ import annotations

from ..call.summary import CallStart, CallSummary, Tool, Turn
from .declare import (
    declare_conversion,
    declare_counter,
    declare_histogram,
    declare_label,
    declare_outcomes,
)
from .hooks import on_call_end, on_call_start, on_tool, on_turn
from .report import (
    convert,
    count,
    feedback,
    label,
    outcome,
    record,
    tenant,
    transfer,
    user,
)
from .tracked_tool import tracked_tool

__all__ = [
    "CallStart",
    "CallSummary",
    "Tool",
    "Turn",
    "convert",
    "count",
    "declare_conversion",
    "declare_counter",
    "declare_histogram",
    "declare_label",
    "declare_outcomes",
    "feedback",
    "label",
    "on_call_end",
    "on_call_start",
    "on_tool",
    "on_turn",
    "outcome",
    "record",
    "tenant",
    "tracked_tool",
    "transfer",
    "user",
]
