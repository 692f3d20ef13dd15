# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""For an application's own tests: what calls come to, in memory.

A test runs its agent in an AgentSession, in its own process, and asserts on what was recorded::

    from callspan.testing import record_calls


    async def test_booking() -> None:
        with record_calls() as recorder:
            async with AgentSession(llm=ScriptedLLM()) as session:
                await session.start(Receptionist())
                await session.run(user_input="a table for two at eight, please")

        call = recorder.call
        assert [(tool.name, tool.status) for tool in call.summary.tools] == [("book", "success")]
        assert call.summary.outcome == "booking"
        assert recorder.counter("agent.bookings") == 1

The fixture ``call_recorder`` does the same for a whole test; see ``callspan.testing.fixtures``.
"""

from __future__ import annotations

from .recorder import CallRecorder, RecordedCall, record_calls

__all__ = ["CallRecorder", "RecordedCall", "record_calls"]
