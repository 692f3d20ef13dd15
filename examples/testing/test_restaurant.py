# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""What callers get from the agent, what that is worth to the restaurant, and what it costs."""

from __future__ import annotations

import json

import pytest
from livekit.agents import AgentSession
from restaurant import Host
from scripted_llm import ScriptedLLM, ToolCall

from callspan.testing import CallRecorder, RecordedCall, record_calls

FOR_TWO = {"day": "friday", "guests": 2}
FOR_TWENTY = {"day": "friday", "guests": 20}
PRICES = {
    "llm": {
        "openai/gpt-4o-mini": {
            "per_million_input_tokens": 0.15,
            "per_million_output_tokens": 0.60,
        }
    }
}


async def call_with(*said: str, model: ScriptedLLM) -> None:
    """Have a caller say one thing after the other."""
    async with AgentSession(llm=model) as session:
        await session.start(Host())
        for text in said:
            await session.run(user_input=text)


def tools_of(call: RecordedCall, turn: int) -> list[tuple[str, str]]:
    """The tools that were called in a turn, and how they ended."""
    return [(tool.name, tool.status) for tool in call.summary.tools if tool.turn == turn]


def booking() -> ScriptedLLM:
    """The model of a call in which a table is booked."""
    return ScriptedLLM(
        ToolCall("find_table", FOR_TWO),
        "A table for two is free at eight. Shall I book it?",
        ToolCall("book_table", FOR_TWO),
        "Booked. See you on Friday!",
    )


async def test_a_table_is_booked(call_recorder: CallRecorder) -> None:
    await call_with("Have you a table for two on Friday?", "Yes, please.", model=booking())

    call = call_recorder.call
    assert tools_of(call, turn=1) == [("find_table", "success")]
    assert tools_of(call, turn=2) == [("book_table", "success")]
    assert json.loads(call.summary.tools[1].arguments or "") == FOR_TWO

    [conversion] = call.summary.conversions
    assert (conversion.name, conversion.values) == ("bookings", {"EUR": 80})
    assert call.summary.outcome == "booking"
    assert call.summary.labels == {"intent": "booking"}

    # what the dashboards of this agent are made of
    assert call_recorder.counter("agent.bookings", intent="booking") == 1
    assert call_recorder.counter("agent.tool_calls", tool_name="book_table", status="success") == 1
    assert call_recorder.counter("agent.conversion.value", currency="EUR") == 80


async def test_nothing_is_booked_for_too_many(call_recorder: CallRecorder) -> None:
    model = ScriptedLLM(
        ToolCall("find_table", FOR_TWENTY), "I am sorry, we have no table of that size."
    )
    await call_with("A table for twenty on Friday, please.", model=model)

    call = call_recorder.call
    assert tools_of(call, turn=1) == [("find_table", "error")]
    assert call.summary.tools[0].output == "no table has more than 6 seats"
    assert call.summary.outcome == "completed"
    assert call.summary.conversions == ()
    assert call_recorder.counter("agent.bookings") == 0


async def test_what_a_booking_costs() -> None:
    with record_calls(prices=PRICES) as recorder:
        await call_with("Have you a table for two on Friday?", "Yes, please.", model=booking())

    # four requests of 200 tokens in and 20 out
    dollars = 4 * (200 * 0.15 + 20 * 0.60) / 1_000_000
    assert recorder.call.summary.cost_dollars == pytest.approx(dollars, rel=1e-9)
    assert recorder.call.summary.unpriced == ()
    [request, *_] = recorder.call.spans_named("llm_request")
    assert request.attributes["agent.cost.dollars"] == pytest.approx(dollars / 4, rel=1e-9)
