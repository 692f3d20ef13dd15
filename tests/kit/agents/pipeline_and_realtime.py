# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Two spoken calls: a pipeline of models, and one that is spoken to and speaks.

Plugins of OpenAI against scripted servers in CHAT and REALTIME, real speech on a line in memory;
only what the recogniser hears is scripted.
"""

from __future__ import annotations

import os

from livekit.agents import Agent, JobContext
from livekit.plugins import openai

from business_outcomes import JOB, make_server
from callspan import instrument
from kit.behaviours.environment import Environment, words
from kit.call_gate import serve

instrument()


async def take_call(ctx: JobContext) -> None:
    print(f"{JOB} {ctx.job.room.name} {ctx.job.id}\n", end="", flush=True)
    hello = await words("hello")
    agent = Agent(instructions="You answer the telephone of a dental clinic.")
    async with Environment() as env:
        if ctx.job.room.name == "pipeline":
            model = openai.LLM(model="gpt-4o-mini", base_url=os.environ["CHAT"], api_key="none")
            call_up = env.call(agent, llm=model, hears=["Hello."])
        else:
            realtime = openai.realtime.RealtimeModel(
                base_url=os.environ["REALTIME"], api_key="none"
            )
            call_up = env.call(agent, llm=realtime, turn_handling={})
        async with call_up as call:
            await call.says(hello)
            await call.is_answered()
    ctx.shutdown("the call is over")


if __name__ == "__main__":
    serve(make_server(take_call))
