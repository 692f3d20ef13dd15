# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls in which happens what their room is called after: a scenario, or something of this file.

The models are LiveKit's plugins against scripted servers, under names that have a price, in the
packaged prices and in Langfuse's own table.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from livekit.agents import Agent, JobContext, llm
from livekit.plugins import openai

from business_outcomes import JOB, make_server
from callspan import business, instrument
from kit.behaviours import scenarios
from kit.behaviours.environment import Environment, words
from kit.call_gate import serve
from kit.realtime.script import RealtimeReply, RealtimeScript
from kit.realtime.server import ScriptedRealtimeServer
from offline.llm_server import Rule, Script, ScriptedChatServer

instrument()
business.declare_label("intent", ("booking", "billing", "complaint"))


class PricedLLM(openai.LLM):
    provider = property(lambda _: "openai")


class PricedRealtimeModel(openai.realtime.RealtimeModel):
    provider = property(lambda _: "openai")


class LateRealtimeModel(PricedRealtimeModel):
    """Says what an answer took when it is asked, not when the answer is over."""

    def session(self, **options: Any) -> openai.realtime.RealtimeSession:
        session = super().session(**options)
        emit = session.emit
        self.held: list[Callable[[], object]] = []

        def hold(event: str, *args: Any) -> None:
            if event == "metrics_collected":
                self.held.append(partial(emit, event, *args))
            else:
                emit(event, *args)

        session.emit = hold
        return session


class PricedEnvironment(Environment):
    """Models under the names that they have where they are paid for."""

    realtime_type = PricedRealtimeModel

    async def llm(self, *rules: Rule) -> openai.LLM:
        server = await self._stack.enter_async_context(ScriptedChatServer(Script(rules)))
        return PricedLLM(model="gpt-4o-mini", base_url=server.base_url, api_key="none")

    async def realtime_model(self, script: RealtimeScript) -> openai.realtime.RealtimeModel:
        server = self._stack.enter_context(ScriptedRealtimeServer(script))
        model = self.realtime_type(
            model="gpt-4o-realtime-preview", base_url=server.base_url, api_key="none"
        )
        self._stack.push_async_callback(model.aclose)
        return model


async def changing_label(env: Environment) -> None:
    """The intent is another in each turn, and another still when the last of them is over."""
    model = await env.llm(scenarios.ANSWER)
    async with env.chat(scenarios.Receptionist(), llm=model) as session:
        for intent in ("booking", "billing"):
            business.label("intent", intent)
            await session.generate_reply(user_input="Hello?")
        business.label("intent", "complaint")


async def second_model(env: Environment) -> None:
    """The application asks a model beside the session's: its use is in no cost of ours."""
    model, beside = await env.llm(scenarios.ANSWER), await env.llm(scenarios.ANSWER)

    class Asking(Agent):
        async def on_enter(self) -> None:
            context = llm.ChatContext.empty()
            context.add_message(role="user", content="Is this a complaint?")
            async with beside.chat(chat_ctx=context) as stream:
                async for _ in stream:
                    pass

    async with env.chat(Asking(instructions=""), llm=model) as session:
        await session.generate_reply(user_input="Hello?")


async def unpriced_model(env: Environment) -> None:
    """A model that nobody here has a price for."""
    model = await Environment.llm(env, scenarios.ANSWER)
    async with env.chat(scenarios.Receptionist(), llm=model) as session:
        await session.generate_reply(user_input="Hello?")


async def unheard_end(env: Environment) -> None:
    """After its last turn the caller makes a noise that is recognised for no words, and paid."""
    hello, noise = await words("hello"), await words("yes")
    model = await env.llm(scenarios.ANSWER)
    async with env.call(scenarios.Receptionist(), llm=model, hears=["Hello.", ""]) as call:
        await call.says(hello)
        await call.is_answered()
        recognised = call.next_event(
            "metrics_collected", wanted=lambda event: event.metrics.type == "stt_metrics"
        )
        await call.says(noise)
        await recognised


async def late_usage(env: PricedEnvironment) -> None:
    """What a realtime model took is known when its turn is over, and its span with it."""
    hello = await words("hello")
    env.realtime_type = LateRealtimeModel
    model = await env.realtime_model(
        RealtimeScript(hears=["Hello."], replies=[RealtimeReply("Yes.")])
    )
    assert isinstance(model, LateRealtimeModel)
    async with env.call(scenarios.Receptionist(), llm=model, turn_handling={}) as call:
        await call.says(hello)
        await call.is_answered()
        for emit in model.held:
            emit()


OWN = (changing_label, second_model, unpriced_model, unheard_end, late_usage)


async def take_call(ctx: JobContext) -> None:
    room = ctx.job.room.name
    print(f"{JOB} {room} {ctx.job.id}\n", end="", flush=True)
    scenario = {each.__name__: each for each in OWN}.get(room) or getattr(scenarios, room)
    async with PricedEnvironment() as env:
        await scenario(env)
    ctx.shutdown("the call is over")


if __name__ == "__main__":
    serve(make_server(take_call))
