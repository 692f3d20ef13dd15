# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""An application that declares and reports business metrics, from many places; zero-code."""

from __future__ import annotations

from livekit.agents import Agent, AgentSession, JobContext, function_tool
from livekit.plugins import openai

from business_outcomes import JOB, make_server
from callspan import business
from kit.call_gate import serve

business.declare_outcomes("complaint")
business.declare_conversion("bookings", outcome="booking")
business.declare_label("intent", ("booking", "billing"))
business.declare_label("tier", ("gold", "basic"))
business.declare_counter("callbacks", labels={"reason": ("busy", "late")})
business.declare_histogram("party_size", bounds=(1, 2, 5), unit="{guest}")


@business.tracked_tool
def read_calendar() -> str:
    return "free"


class Receptionist(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Greet the caller.")

    async def on_enter(self) -> None:
        business.label("intent", "billing")

    async def on_exit(self) -> None:
        business.count("callbacks", 2, reason="late")

    @function_tool
    async def book_appointment(self, day: str) -> str:
        """Book an appointment."""
        read_calendar()
        business.convert("bookings", value=99.5, currency="EUR")
        business.convert("bookings", value=0.5, currency="EUR")
        return "booked"


async def take_call(ctx: JobContext) -> None:
    print(f"{JOB} {ctx.job.room.name} {ctx.job.id}\n", end="", flush=True)
    what, _, _ = ctx.job.room.name.partition("-")

    async def at_the_end() -> None:
        business.feedback(9, kind="nps")
        business.label("tier", "gold")
        if what == "complaint":
            business.outcome("complaint", reason="Zanzibar")

    ctx.add_shutdown_callback(at_the_end)
    session = AgentSession(llm=openai.LLM(model="gpt-4o-mini", api_key="none"))
    business.user("u-7")
    business.tenant("t-1")
    await session.start(Receptionist())
    business.record("party_size", 3)
    await session.generate_reply(user_input="book")
    if what == "wrong":
        business.label("intent", "a million values")
        business.convert("never declared")
        business.convert("bookings", value=-1, currency="EUR")
    ctx.shutdown("the call is over")


if __name__ == "__main__":
    serve(make_server(take_call))
