# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""A voice agent that books tables: the code under test, as it would run in production."""

from __future__ import annotations

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    ToolError,
    cli,
    function_tool,
    inference,
)
from livekit.plugins import openai

from callspan import business, instrument

instrument()
business.declare_conversion("bookings", outcome="booking", description="Tables booked.")
business.declare_label("intent", ("booking", "other"))

SEATS = 6
EUROS_PER_GUEST = 40


class Host(Agent):
    def __init__(self) -> None:
        super().__init__(
            instructions=(
                "You answer the telephone of a restaurant. Look for a table before you book it."
            )
        )

    async def on_enter(self) -> None:
        business.label("intent", "other")  # until the caller asks for a table

    @function_tool
    async def find_table(self, day: str, guests: int) -> str:
        """Look for a free table.

        Args:
            day: The day of the week.
            guests: How many will come.
        """
        business.label("intent", "booking")
        if guests > SEATS:
            raise ToolError(f"no table has more than {SEATS} seats")
        return f"a table for {guests} is free on {day} at eight"

    @function_tool
    async def book_table(self, day: str, guests: int) -> str:
        """Book a table that was found.

        Args:
            day: The day of the week.
            guests: How many will come.
        """
        business.convert("bookings", value=guests * EUROS_PER_GUEST, currency="EUR")
        return f"booked for {guests} on {day} at eight"


server = AgentServer()


@server.rtc_session(agent_name="restaurant")
async def answer(ctx: JobContext) -> None:
    session = AgentSession[None](
        stt=openai.STT(), llm=openai.LLM(model="gpt-4o-mini"), tts=openai.TTS(), vad=inference.VAD()
    )
    await session.start(agent=Host(), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
