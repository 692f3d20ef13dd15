# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""A dental receptionist: a voice agent as anybody would write it, and one line of telemetry.

And what its calls are worth: the goal that they can reach, and what they are about.
"""

from __future__ import annotations

import asyncio

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    JobProcess,
    ToolError,
    cli,
    function_tool,
    inference,
)
from livekit.plugins import openai

from callspan import business, instrument
from offline.callers import CALLERS, place_call
from offline.stt import PocketsphinxSTT
from offline.tts import EspeakTTS

instrument()
business.declare_outcomes(default="inquiry")
business.declare_conversion("bookings", outcome="booking", description="Appointments booked.")
business.declare_label("intent", ("booking", "billing", "other"))

DOLLARS = {"cleaning": 90}
"""What the clinic charges."""


class AppointmentBook:
    """The clinic's calendar. Fridays are kept by the branch office, whose database is down."""

    def __init__(self) -> None:
        self._free = {"tomorrow": ["nine", "ten", "eleven"], "friday": ["three"]}

    async def look_up(self, day: str) -> list[str]:
        await asyncio.sleep(0.25)
        return self._free.get(day, [])

    async def enter(self, day: str, time: str) -> None:
        await asyncio.sleep(0.4)
        if day == "friday":
            raise ConnectionError("the branch office's database does not answer")


class DentalReceptionist(Agent):
    def __init__(self) -> None:
        super().__init__(
            instructions=(
                "You answer the telephone of Bright Smile Dental. Be friendly and brief. "
                "Look up free times before you offer them, and book only what the caller chose."
            )
        )
        self._book = AppointmentBook()

    async def on_enter(self) -> None:
        business.label("intent", "other")  # until the caller asks for something
        await self.session.generate_reply(instructions="Greet the caller and offer your help.")

    @function_tool
    async def check_availability(self, day: str) -> str:
        """Look up the free times of a day.

        Args:
            day: The day, such as "tomorrow" or "friday".
        """
        business.label("intent", "booking")
        times = await self._book.look_up(day)
        return f"free on {day}: {', '.join(times)}" if times else f"nothing is free on {day}"

    @function_tool
    async def book_appointment(self, day: str, time: str) -> str:
        """Book a free time.

        Args:
            day: The day, such as "tomorrow" or "friday".
            time: The hour that the caller chose.
        """
        try:
            await self._book.enter(day, time)
        except ConnectionError as error:
            raise ToolError(f"not booked: {error}") from error
        business.convert("bookings", value=DOLLARS["cleaning"], currency="USD")
        return f"booked: {day} at {time}"

    @function_tool
    async def look_up_price(self, treatment: str) -> str:
        """Look up what a treatment costs.

        Args:
            treatment: The treatment, such as "cleaning".
        """
        business.label("intent", "billing")
        return f"{DOLLARS[treatment]} dollars" if treatment in DOLLARS else "no price is known"


def prewarm(process: JobProcess) -> None:
    process.userdata["stt"] = PocketsphinxSTT()
    process.userdata["stt"].prewarm()


# on a busy machine a recogniser takes longer to load than the default of 10 s
server = AgentServer(setup_fnc=prewarm, initialize_process_timeout=60)


@server.rtc_session(agent_name="dental-receptionist")
async def answer(ctx: JobContext) -> None:
    session = AgentSession[None](
        stt=ctx.proc.userdata["stt"],
        llm=openai.LLM(model="gpt-4o-mini"),
        tts=EspeakTTS(),
        vad=inference.VAD(),
        turn_handling={"turn_detection": inference.TurnDetector()},
    )
    if ctx.job.room.name in CALLERS:  # the demo: a telephone line in place of a room's audio
        place_call(ctx, session)
    await session.start(agent=DentalReceptionist(), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
