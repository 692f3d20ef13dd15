# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls that reach an outcome, each as its room's name says; zero-code.

The language model is the real OpenAI plugin against the scripted server in OPENAI_BASE_URL, the
API client the real one against the stand-in for the SIP service in SIP_SERVICE.
"""

from __future__ import annotations

import asyncio
import contextlib
import os

from livekit import api
from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    CloseReason,
    JobContext,
    JobExecutorType,
    ToolError,
    function_tool,
)
from livekit.plugins import openai

from kit.call_gate import serve

JOB = "JOB"
"""Begins a line that each call prints: its room and its job."""


class Receptionist(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Greet the caller.")

    @function_tool
    async def book_appointment(self, day: str) -> str:
        """Book an appointment."""
        if day == "friday":
            raise ToolError("friday is full")
        return "booked"


async def transfer(ctx: JobContext, identity: str) -> None:
    """Ask for a caller to be passed on; a refusal is lived with."""
    request = api.TransferSIPParticipantRequest(
        room_name=ctx.job.room.name, participant_identity=identity, transfer_to="tel:+15550100"
    )
    service = os.environ["SIP_SERVICE"]
    async with api.LiveKitAPI(service, "key", "a secret of thirty-two characters") as client:
        with contextlib.suppress(api.TwirpError):
            await client.sip.transfer_sip_participant(request)


def book_from_a_thread(session: AgentSession) -> None:
    """Have the agent answer what came in on a thread, which knows nothing of the call's context."""

    async def reply() -> None:
        await session.generate_reply(user_input="book")

    asyncio.run_coroutine_threadsafe(reply(), session._loop).result()


async def hang_up(session: AgentSession) -> None:
    """What the session does when its caller leaves the room."""
    session._close_soon(reason=CloseReason.PARTICIPANT_DISCONNECTED)
    assert session._closing_task is not None
    await session._closing_task


async def take_call(ctx: JobContext) -> None:
    """One call: its room is called after what happens in it, and a number."""
    print(f"{JOB} {ctx.job.room.name} {ctx.job.id}\n", end="", flush=True)
    what, _, _ = ctx.job.room.name.partition("-")
    session = AgentSession(llm=openai.LLM(model="gpt-4o-mini", api_key="none"))
    await session.start(Receptionist())
    await session.say("Hello.")
    match what:
        case "hung_up":
            await hang_up(session)
        case "heard":
            await session.say("We are closed.")
            await hang_up(session)
        case "moved" | "refused" | "busy" | "old":
            await transfer(ctx, what)
        case "machine" | "human":
            ctx.tagger.add({"machine": "lk.amd:machine-vm", "human": "lk.amd:human"}[what])
        case "success" | "fail":
            getattr(ctx.tagger, what)(reason="in so many words")
        case "tagged":
            ctx.tagger.add("complaint")
        case "spanish":
            ctx.tagger.add("language:es")
        case "thread":
            await asyncio.get_running_loop().run_in_executor(None, book_from_a_thread, session)
        case "broken":
            raise RuntimeError("the entrypoint fails")
        case _:
            await session.generate_reply(user_input=what)
    ctx.shutdown("the call is over")


def make_server(entrypoint: object = take_call) -> AgentServer:
    server = AgentServer(
        job_executor_type=JobExecutorType.PROCESS,
        num_idle_processes=0,
        initialize_process_timeout=180,
        port=0,
    )
    server.rtc_session(agent_name="receptionist")(entrypoint)
    return server


if __name__ == "__main__":
    serve(make_server())
