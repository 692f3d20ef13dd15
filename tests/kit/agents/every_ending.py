# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls that end in every way there is, each as its room's name says; zero-code.

The language model is the real OpenAI plugin against the scripted server in OPENAI_BASE_URL.
"""

from __future__ import annotations

import os
import signal

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    JobExecutorType,
    function_tool,
)
from livekit.plugins import openai

from kit.call_gate import serve

IDENTITIES = "IDENTITIES"
"""Begins a line that each call prints: the names of its own, which no series may carry."""


class Receptionist(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Greet the caller.")

    @function_tool
    async def look_up(self) -> str:
        """Look the caller up."""
        return "a patient"

    @function_tool
    async def book(self) -> str:
        """Book an appointment."""
        raise RuntimeError("the calendar is gone")

    @function_tool
    async def crash(self) -> str:
        """End as a process that runs out of memory does."""
        os.kill(os.getpid(), signal.SIGKILL)
        return "never"


async def take_call(ctx: JobContext) -> None:
    """One call: its room is called after what happens in it, and a number."""
    room = ctx.job.room
    names = (ctx.job.id, room.name, room.sid, ctx._info.accept_arguments.identity)
    # in one piece: other threads print, too
    print(f"{IDENTITIES} {' '.join(names)}\n", end="", flush=True)
    what, _, _ = room.name.partition("-")
    if what == "sessionless":
        raise ValueError("this job fails before its session")
    session = AgentSession(llm=openai.LLM(model="gpt-4o-mini", api_key="none"))
    await session.start(Receptionist())
    await session.say("Hello.")
    if what == "broken":
        raise ValueError("this job fails in its session")
    if what in ("tools", "killed"):
        await session.generate_reply(user_input=what)
    ctx.shutdown("the call is over")


def make_server() -> AgentServer:
    executor = JobExecutorType(os.environ.get("EXECUTOR", "process"))
    server = AgentServer(
        job_executor_type=executor,
        multiprocessing_context=os.environ.get("START_METHOD", "forkserver"),
        # there is always a process that waits for a call, and one in the end that never gets any;
        # not so of threads: LiveKit hangs if it is closed while one of those is coming up
        num_idle_processes=1 if executor is JobExecutorType.PROCESS else 0,
        initialize_process_timeout=180,
        port=0,
    )
    server.rtc_session(agent_name="receptionist")(take_call)
    return server


if __name__ == "__main__":
    serve(make_server())
