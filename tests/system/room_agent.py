# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""An agent as a user would deploy it; only its models are ones that need no account.

Run by ``python -m livekit.agents start``. The address of the chat server is in
``OPENAI_BASE_URL``, the name to register under in ``LIVEKIT_AGENT_NAME``.
"""

from __future__ import annotations

import math

from callspan import instrument

instrument()

from livekit import rtc  # noqa: E402  instrument() stands first, as the README says
from livekit.agents import (  # noqa: E402
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    JobProcess,
    room_io,
)
from livekit.plugins import openai  # noqa: E402

from offline.stt import PocketsphinxSTT  # noqa: E402
from offline.tts import EspeakTTS  # noqa: E402

GREETING = "Dental clinic, good morning."
CONFIRMATION = "You pressed the pound key."
"""What the agent says, without a model, when the caller ends an entry with that key."""
END_OF_ENTRY = "#"
NOTED = "the language was noted"
"""The answer to a page that says which language its visitor speaks."""

# A machine that also runs the callers and the server is busier than a worker's defaults allow.
server = AgentServer(
    host="127.0.0.1",
    port=0,
    num_idle_processes=1,
    load_threshold=math.inf,
    initialize_process_timeout=180,
)


def load_models(process: JobProcess) -> None:
    """Load the recogniser before there is a caller who would have to wait for it."""
    process.userdata["stt"] = PocketsphinxSTT()
    process.userdata["stt"].prewarm()


server.setup_fnc = load_models


class Receptionist(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Answer questions about a dental clinic.")

    async def on_enter(self) -> None:
        self.session.say(GREETING)


@server.rtc_session()
async def answer(ctx: JobContext) -> None:
    """Take one call."""
    session: AgentSession[None] = AgentSession(
        stt=ctx.proc.userdata["stt"], llm=openai.LLM(), tts=EspeakTTS()
    )

    @ctx.room.on("sip_dtmf_received")
    def on_key(key: rtc.SipDTMF) -> None:
        if key.digit == END_OF_ENTRY:
            session.say(CONFIRMATION)

    await session.start(
        Receptionist(),
        room=ctx.room,
        room_options=room_io.RoomOptions(delete_room_on_close=True),
    )

    @ctx.room.local_participant.register_rpc_method("language")
    async def on_language(request: rtc.RpcInvocationData) -> str:
        return NOTED
