# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The demo's callers and speech with a receptionist that says what its calls were worth.

Each room is called after who rings in it, and a number. The language model is the real OpenAI
plugin against the scripted server in OPENAI_BASE_URL.
"""

from __future__ import annotations

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    ToolError,
    function_tool,
    inference,
)
from livekit.plugins import openai

from callspan import business, instrument
from kit import call_gate
from kit.agents.speech import warm_up
from offline.callers import CALLERS, place_call
from offline.tts import EspeakTTS

INTENTS = {
    "call-books": "booking",
    "call-tool-fails": "booking",
    "call-hangs-up": "change",
    "call-asks": "question",
    "call-interrupts": "question",
}
"""What each caller rings for."""
SCORES = {"call-books": 5, "call-asks": 4, "call-tool-fails": 2}
"""What those say who stay for the question how it was; each caller always the same."""
PRICE = 90
"""Dollars; what a cleaning brings."""

instrument()
business.declare_conversion("bookings", outcome="booking", description="Appointments booked.")
business.declare_label("intent", sorted(set(INTENTS.values())))


class Receptionist(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are a dental receptionist.")

    async def on_enter(self) -> None:
        await self.session.generate_reply()

    @function_tool
    async def check_availability(self, day: str) -> str:
        """Look up the free times of a day."""
        return "free: nine, ten, eleven" if day == "tomorrow" else "free: three"

    @function_tool
    async def book_appointment(self, day: str, time: str) -> str:
        """Book a free time."""
        if day == "friday":
            raise ToolError("the branch office does not answer")
        business.convert("bookings", value=PRICE, currency="USD")
        return f"booked: {day} at {time}"


async def answer(ctx: JobContext) -> None:
    who, _, _ = ctx.job.room.name.rpartition("-")
    business.label("intent", INTENTS[who])

    async def ask_how_it_was() -> None:
        if who in SCORES:
            business.feedback(SCORES[who])

    ctx.add_shutdown_callback(ask_how_it_was)
    session = AgentSession(
        stt=ctx.proc.userdata["stt"],
        llm=openai.LLM(model="gpt-4o-mini", api_key="none"),
        tts=EspeakTTS(),
        vad=inference.VAD(),
        turn_handling={"turn_detection": inference.TurnDetector()},
    )
    place_call(ctx, session, CALLERS[who])
    await session.start(agent=Receptionist())


server = AgentServer(
    setup_fnc=warm_up, num_idle_processes=0, initialize_process_timeout=180, port=0
)
server.rtc_session(agent_name="dental-receptionist")(answer)

if __name__ == "__main__":
    call_gate.AT_A_TIME = 2  # beside another worker: on more, callers would wait for the machine
    call_gate.serve(server)
