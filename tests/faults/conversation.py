# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The calls that faults are tried on, each a conversation that goes the same way every time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from livekit import api
from livekit.agents import (
    Agent,
    AgentSession,
    JobContext,
    ToolError,
    function_tool,
    telemetry,
)
from livekit.agents.voice import SpeechHandle
from opentelemetry import metrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from callspan import business
from kit.instant_models import LONG, REFUSED, InstantLLM, InstantSTT, InstantTTS
from offline.telephone_line import TelephoneLine

Conversation = list[dict[str, Any]]
"""What was said, and which tools were called with what result, in order."""


@business.tracked_tool
async def look_up(day: str) -> str:
    return f"times on {day}"


@business.tracked_tool
def note(day: str) -> str:
    return f"noted {day}"


class Accountant(Agent):
    def __init__(self) -> None:
        super().__init__(id="accountant", instructions="You explain invoices.")

    async def on_enter(self) -> None:
        await self.session.say("Accounts.")
        self.session.userdata.set()


class Receptionist(Agent):
    def __init__(self) -> None:
        super().__init__(id="receptionist", instructions="You answer the telephone.")

    @function_tool
    async def book(self, day: str) -> str:
        """Book an appointment."""
        if day == "friday":
            raise ToolError("friday is full")
        # an instrument of the application's own, on the provider that is set globally
        metrics.get_meter("application").create_histogram("party.size").record(
            2, {"day": day, "room_id": "42"}
        )
        return f"booked, {await look_up(day)}, {note(day)}"

    @function_tool
    async def pass_on(self) -> tuple[Agent, str]:
        """Pass the caller on to accounts."""
        return Accountant(), "passed on"


def _read(session: AgentSession) -> Conversation:
    """Read what a session came to, without what differs from call to call."""
    read: Conversation = []
    for item in session.history.items:
        match item.type:
            case "message":
                fields = {"role": item.role, "text": item.text_content, "cut": item.interrupted}
            case "function_call":
                fields = {"tool": item.name, "arguments": item.arguments}
            case "function_call_output":
                fields = {"tool": item.name, "output": item.output, "error": item.is_error}
            case _:
                fields = {"to": getattr(item, "new_agent_id", "")}
        read.append({"type": item.type, **fields})
    return read


async def spoken(ctx: JobContext) -> Conversation:
    """A call with ears and a voice: tools, interruptions, a handoff, an error, a transfer."""
    recogniser, line = InstantSTT(), TelephoneLine(on_sound=lambda _: None)
    states: list[str] = []
    passed_on = asyncio.Event()
    session: AgentSession = AgentSession(
        userdata=passed_on,
        stt=recogniser,
        llm=InstantLLM(),
        tts=InstantTTS(),
        vad=None,
        turn_handling={
            "turn_detection": "stt",
            "endpointing": {"min_delay": 0.0, "max_delay": 0.0},
            "preemptive_generation": {"enabled": False},
            "interruption": {"resume_false_interruption": False},
        },
        session_close_transcript_timeout=0.1,
        aec_warmup_duration=None,
    )
    session.input.audio, session.output.audio = line.microphone, line.earpiece

    async def is_answered(text: str) -> None:
        answers: asyncio.Queue[SpeechHandle] = asyncio.Queue()

        def created(event: Any) -> None:
            answers.put_nowait(event.speech_handle)

        session.on("speech_created", created)
        recogniser.hear(text)
        await (await answers.get())
        session.off("speech_created", created)

    session.on("agent_state_changed", lambda event: states.append(event.new_state))
    await session.start(Receptionist())
    business.user("caller-1")
    business.label("intent", "booking")
    await session.say("Hello.")
    for text in ("book", "friday", "fly", REFUSED):
        await is_answered(text)
    business.convert("bookings", value=120, currency="EUR")
    business.outcome("booked", reason="in so many words")
    business.feedback(4)
    business.count("callbacks")
    for stop in (lambda: is_answered("wait"), session.interrupt):
        line.earpiece.started.clear()
        speech = session.say(LONG)
        await line.agent_starts_speaking()
        await stop()
        await speech
    await is_answered("accounts")
    await passed_on.wait()
    await session.run(user_input="thanks")
    await _transfer(ctx)
    return [*_read(session), {"type": "heard", "times": states.count("speaking")}]


async def _transfer(ctx: JobContext) -> None:
    """Pass the caller on to a human, through the real client."""
    request = api.TransferSIPParticipantRequest(
        room_name=ctx.job.room.name, participant_identity="caller", transfer_to="tel:+15550100"
    )
    service = os.environ["SIP_SERVICE"]
    async with api.LiveKitAPI(service, "key", "a secret of thirty-two characters") as client:
        await client.sip.transfer_sip_participant(request)


async def chat(ctx: JobContext) -> Conversation:
    """A chat with one tool."""
    session: AgentSession = AgentSession(llm=InstantLLM(), vad=None)
    await session.start(Receptionist())
    await session.run(user_input="hello")
    await session.run(user_input="book")
    return _read(session)


async def provider_set_late(ctx: JobContext) -> Conversation:
    """A chat in which user code gives LiveKit a provider of its own in mid-call."""
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{os.environ['OWN_ENDPOINT']}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    telemetry.set_tracer_provider(provider)
    said = await chat(ctx)
    provider.force_flush()
    return said


CONVERSATIONS: dict[str, Callable[[JobContext], Awaitable[Conversation]]] = {
    each.__name__: each for each in (spoken, chat, provider_set_late)
}
