# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""An agent that is stopped while it speaks, with the PARTS left out where WHERE says.

``module`` and ``main`` pass them as an argument there, ``none`` has no line.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from livekit.agents import Agent, AgentSession, JobContext

from callspan import instrument
from short_call import make_server, serve

_where = os.environ["WHERE"]
_parts = [part for part in os.environ.get("PARTS", "").split(",") if part]

if _where == "module":
    instrument(disabled_parts=_parts)


async def entrypoint(ctx: JobContext) -> None:
    session = AgentSession()
    await session.start(Agent(instructions="Greet the caller."))
    speaking = asyncio.Event()

    async def ended() -> None:
        print(f"CALL ENDED {ctx.job.id}", flush=True)

    ctx.add_shutdown_callback(ended)

    async def endless_greeting() -> AsyncIterator[str]:
        yield "Hello. "
        speaking.set()
        await asyncio.Event().wait()

    speech = session.say(endless_greeting())
    await speaking.wait()
    speech.interrupt()
    await speech
    ctx.shutdown("the call is over")


server = make_server(entrypoint)

if __name__ == "__main__":
    if _where == "main":
        instrument(disabled_parts=_parts)
    serve(server)
