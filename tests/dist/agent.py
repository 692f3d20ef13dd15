# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""An agent as a user writes one, with a model that needs no account; its worker takes one call.

Run by call.py from a folder that has nothing else of the repository.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from typing import Any

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, llm

from callspan import instrument

instrument()

server = AgentServer(num_idle_processes=0, port=0)


class Model(llm.LLM[Any]):
    """A language model with one answer."""

    @property
    def model(self) -> str:
        return "scripted"

    @property
    def provider(self) -> str:
        return "test"

    def chat(self, **arguments: Any) -> llm.LLMStream:
        kept = {name: arguments[name] for name in ("chat_ctx", "conn_options")}
        return Answer(self, tools=arguments.get("tools") or [], **kept)


class Answer(llm.LLMStream):
    async def _run(self) -> None:
        delta = llm.ChoiceDelta(role="assistant", content="We open at nine.")
        usage = llm.CompletionUsage(prompt_tokens=11, completion_tokens=5, total_tokens=16)
        self._event_ch.send_nowait(llm.ChatChunk(id=uuid.uuid4().hex, delta=delta, usage=usage))


@server.rtc_session(agent_name="receptionist")
async def entrypoint(ctx: JobContext) -> None:
    session: AgentSession[None] = AgentSession(llm=Model())
    await session.start(Agent(instructions="Tell callers when you open."))
    result = await session.run(user_input="When do you open?")
    result.expect.next_event().is_message(role="assistant")
    print(f"CALL in process {os.getpid()}", flush=True)
    ctx.shutdown("the call is over")


async def serve() -> None:
    """Run the worker until it has taken one call."""
    started = asyncio.Event()
    server.once("worker_started", started.set)
    running = asyncio.create_task(server.run(unregistered=True, devmode=False))
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        print(f"WORKER in process {os.getpid()}", flush=True)
        await server.simulate_job("room", fake_job=True)
        await server.drain()
        await server.aclose()
    await running


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    asyncio.run(serve())
