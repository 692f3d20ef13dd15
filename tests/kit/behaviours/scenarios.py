# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""What can happen in a call, each as one short conversation with a real AgentSession."""

from __future__ import annotations

import asyncio

from livekit.agents import Agent, RunContext, TurnHandlingOptions, function_tool, llm
from livekit.agents.testing import fake_job_context

from kit.behaviours.environment import SHORT_TURNS, Environment, words
from kit.realtime.script import RealtimeReply, RealtimeScript
from offline.llm_server import Reply, Rule, ToolCall

ANSWER = Rule(Reply("Yes."))
"""The last rule of a script: whatever else is said."""

LONG_SPEECH = "We are open from eight to six."

RESUMING_TURNS: TurnHandlingOptions = {
    **SHORT_TURNS,
    "interruption": {
        "mode": "vad",
        "min_duration": 0.2,
        "resume_false_interruption": True,
        "false_interruption_timeout": 0.3,
    },
}
"""An agent that is interrupted holds its breath until it knows by what."""


class Receptionist(Agent):
    """An agent without tools."""

    def __init__(self) -> None:
        super().__init__(instructions="You answer the telephone of a dental clinic.")


async def handoff(env: Environment) -> None:
    """The first agent hands the caller over to a second one, which greets them."""

    class Accountant(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="You explain invoices.")

        async def on_enter(self) -> None:
            await self.session.say("Accounts.")

    class FrontDesk(Receptionist):
        @function_tool
        async def transfer_to_accounts(self) -> tuple[Agent, str]:
            """Transfer the caller to accounts."""
            return Accountant(), "transferred"

    model = await env.llm(
        Rule(Reply(tool_calls=(ToolCall("transfer_to_accounts"),)), user="invoice"), ANSWER
    )
    async with env.call(FrontDesk(), llm=model) as call:
        await call.session.run(user_input="I have a question about an invoice.")


async def failing_tool(env: Environment) -> None:
    """One tool refuses politely, the other raises what nobody expected."""

    class FrontDesk(Receptionist):
        @function_tool
        async def book(self, day: str) -> str:
            """Book an appointment."""
            raise llm.ToolError("that day is full")

        @function_tool
        async def look_up(self) -> str:
            """Look the caller up."""
            raise RuntimeError("the database is gone")

    model = await env.llm(
        Rule(
            Reply(tool_calls=(ToolCall("book", {"day": "Monday"}), ToolCall("look_up"))),
            user="Monday",
        ),
        ANSWER,
    )
    async with env.call(FrontDesk(), llm=model) as call:
        await call.session.run(user_input="Monday, please.")


async def failing_llm(env: Environment) -> None:
    """The language model's service refuses, and the agent says nothing."""
    model = await env.llm(Rule(Reply("no such model", status=400)))
    async with env.call(Receptionist(), llm=model) as call:
        await call.session.generate_reply(user_input="Hello?")


async def tool_with_progress(env: Environment) -> None:
    """A tool says what it does; the agent speaks of it while the tool goes on, and of its end."""
    update_spoken = asyncio.Event()

    class FrontDesk(Receptionist):
        @function_tool
        async def book(self, context: RunContext) -> str:
            """Book an appointment."""
            await context.update("Looking at the calendar.")
            await update_spoken.wait()
            return "booked"

    model = await env.llm(
        Rule(Reply(tool_calls=(ToolCall("book"),)), user="Monday"),
        Rule(Reply("Booked."), result="booked"),
        Rule(Reply("A moment."), result="calendar"),
    )
    async with env.call(FrontDesk(), llm=model) as call:
        run = call.session.run(user_input="Monday, please.")
        await call.line.agent_stops_speaking()
        update_spoken.set()
        await run


async def say_without_llm(env: Environment) -> None:
    """A session that has no language model speaks a given text."""
    async with env.call(Receptionist()) as call:
        await call.session.say("We are closed.")


async def text_only(env: Environment) -> None:
    """A chat: no ears, no voice, and one answer each by `run` and by `generate_reply`."""
    model = await env.llm(ANSWER)
    async with env.chat(Receptionist(), llm=model) as session:
        await session.run(user_input="Hello?")
        await session.generate_reply(user_input="Are you there?")


async def text_in_job(env: Environment) -> None:
    """The same chat in the job context that LiveKit offers for tests."""
    with fake_job_context(job_id="job-of-a-test"):
        await text_only(env)


async def spoken_turn(env: Environment) -> None:
    """The caller speaks, the agent answers."""
    hello = await words("hello")
    model = await env.llm(ANSWER)
    async with env.call(Receptionist(), llm=model, hears=["Hello."]) as call:
        await call.says(hello)
        await call.is_answered()


async def preemptive_generation(env: Environment) -> None:
    """The answer to a first transcript is begun early, and given up when more is said."""
    speech = await words("yes", "no")
    model = await env.llm(ANSWER)
    turns: TurnHandlingOptions = {
        **SHORT_TURNS,
        "endpointing": {"min_delay": 1.2, "max_delay": 1.2},
        "preemptive_generation": {"enabled": True},
    }
    async with env.call(
        Receptionist(), llm=model, hears=["Yes.", "No."], turn_handling=turns
    ) as call:
        await call.says(speech)
        await call.is_answered()


async def barge_in(env: Environment) -> None:
    """The caller talks over the agent, which stops and answers."""
    wait = await words("wait")
    model = await env.llm(ANSWER)
    async with env.call(Receptionist(), llm=model, hears=["Wait."]) as call:
        speech = call.session.say(LONG_SPEECH)
        await call.line.agent_starts_speaking()
        await call.says(wait)
        await speech
        await call.is_answered()


async def paused_barge_in(env: Environment) -> None:
    """The agent falls silent when the caller talks over it, and stops when words are heard."""
    wait = await words("wait")
    model = await env.llm(ANSWER)
    async with env.call(
        Receptionist(), llm=model, hears=["Wait."], turn_handling=RESUMING_TURNS
    ) as call:
        speech = call.session.say(LONG_SPEECH)
        await call.line.agent_starts_speaking()
        await call.says(wait)
        await speech
        await call.is_answered()


async def false_interruption(env: Environment) -> None:
    """The agent falls silent at a noise that turns out to be no words, and goes on."""
    noise = await words("yes")
    model = await env.llm(ANSWER)
    async with env.call(
        Receptionist(), llm=model, hears=[""], turn_handling=RESUMING_TURNS
    ) as call:
        speech = call.session.say(LONG_SPEECH)
        await call.line.agent_starts_speaking()
        resumed = call.next_event("agent_false_interruption")
        await call.says(noise)
        await resumed
        await speech


async def programmatic_interruption(env: Environment) -> None:
    """The application stops the agent in mid-sentence."""
    async with env.call(Receptionist()) as call:
        speech = call.session.say(LONG_SPEECH)
        await call.line.agent_starts_speaking()
        await call.session.interrupt()
        await speech


async def closed_mid_turn(env: Environment) -> None:
    """The call ends while the caller speaks."""
    speech = await words("i would like to book a cleaning")
    model = await env.llm(ANSWER)
    async with env.call(
        Receptionist(), llm=model, hears=["Hello."], session_close_transcript_timeout=5.0
    ) as call:
        speaking = call.next_event("user_state_changed", wanted=lambda e: e.new_state == "speaking")
        saying = asyncio.create_task(call.says(speech))
        await speaking
    saying.cancel()


async def closed_mid_speech(env: Environment) -> None:
    """The call ends while the agent speaks."""
    async with env.call(Receptionist()) as call:
        call.session.say(LONG_SPEECH)
        await call.line.agent_starts_speaking()


async def realtime(env: Environment) -> None:
    """Speech to speech: the model hears when the caller has ended, calls a tool, and answers."""
    monday = await words("monday")

    class FrontDesk(Receptionist):
        @function_tool
        async def book(self) -> str:
            """Book an appointment."""
            return "booked"

    model = await env.realtime_model(
        RealtimeScript(
            hears=["Monday."],
            replies=[RealtimeReply(tool_calls=(ToolCall("book"),)), RealtimeReply("Booked.")],
        )
    )
    async with env.call(FrontDesk(), llm=model, turn_handling={}) as call:
        await call.says(monday)
        await call.is_answered()


async def realtime_barge_in(env: Environment) -> None:
    """Speech to speech: the caller talks over the model, which stops and answers."""
    hello = await words("hello")
    wait = await words("wait")
    model = await env.realtime_model(
        RealtimeScript(
            hears=["Hello.", "Wait."],
            replies=[RealtimeReply(LONG_SPEECH), RealtimeReply("Yes.")],
        )
    )
    async with env.call(Receptionist(), llm=model, turn_handling={}) as call:
        await call.says(hello)
        await call.line.agent_starts_speaking()
        await call.says(wait)
        await call.is_answered()


async def realtime_with_own_turns(env: Environment) -> None:
    """Speech to speech, but VAD and turn detection are LiveKit's, not the model's."""
    hello = await words("hello")
    model = await env.realtime_model(
        RealtimeScript(hears=["Hello."], replies=[RealtimeReply("Yes.")])
    )
    async with env.call(Receptionist(), llm=model) as call:
        await call.says(hello)
        await call.is_answered()
