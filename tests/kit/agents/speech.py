# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The demo's receptionist on the demo's telephone line, and a witness of every span it makes.

Real speech, real VAD, real recogniser; the LLM is the real OpenAI plugin against the scripted
server whose address is in OPENAI_BASE_URL. No word of telemetry set-up here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from pathlib import Path

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    JobExecutorType,
    JobProcess,
    ToolError,
    function_tool,
    inference,
    telemetry,
)
from livekit.plugins import openai
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from offline.callers import CALLERS, place_call
from offline.stt import PocketsphinxSTT
from offline.tts import EspeakTTS

INSTRUCTIONS = "You are a receptionist called Marmaduke."
"""Marmaduke is only prompted: wherever the name is found, content is."""


class Receptionist(Agent):
    def __init__(self) -> None:
        super().__init__(instructions=INSTRUCTIONS)

    async def on_enter(self) -> None:
        await self.session.generate_reply()

    @function_tool
    async def check_availability(self, day: str) -> str:
        """Look up the free times of a day."""
        return "free: nine, ten, eleven" if day == "tomorrow" else "free: three"

    @function_tool
    async def book_appointment(self, day: str, time: str) -> str:
        """Book a free time."""
        if day == "friday":
            raise ToolError("no line to Timbuktu")
        return f"booked: {day} at {time}"


class Witness(SpanProcessor):
    """Writes down each span as it ends, at once and in the thread that ends it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_end(self, span: ReadableSpan) -> None:
        assert span.context is not None
        line = json.dumps({"name": span.name, "span_id": f"{span.context.span_id:016x}"})
        with self._path.open("a") as file:
            file.write(line + "\n")


async def answer(ctx: JobContext) -> None:
    folder = Path(os.environ["WITNESS"])
    telemetry.tracer._tracer_provider.add_span_processor(Witness(folder / f"{ctx.job.id}.spans"))
    (folder / f"{ctx.job.id}.room").write_text(ctx.job.room.name)
    session = AgentSession(
        stt=ctx.proc.userdata["stt"],
        llm=openai.LLM(model="gpt-4o-mini", api_key="none"),
        tts=EspeakTTS(),
        vad=inference.VAD(),
        turn_handling={"turn_detection": inference.TurnDetector()},
    )
    place_call(ctx, session)
    await session.start(agent=Receptionist())


def warm_up(process: JobProcess) -> None:
    process.userdata["stt"] = PocketsphinxSTT()
    process.userdata["stt"].prewarm()


def make_server() -> AgentServer:
    server = AgentServer(
        setup_fnc=warm_up,
        job_executor_type=JobExecutorType(os.environ.get("EXECUTOR", "process")),
        multiprocessing_context=os.environ.get("START_METHOD", "forkserver"),
        num_idle_processes=0,
        initialize_process_timeout=180,
        port=0,
    )
    server.rtc_session(agent_name="receptionist")(answer)
    return server


def serve(server: AgentServer) -> None:
    """Take the calls of the demo's callers, all at once, and end."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    asyncio.run(_serve(server))


async def _serve(server: AgentServer) -> None:
    started = asyncio.Event()
    server.once("worker_started", started.set)
    running = asyncio.create_task(server.run(unregistered=True, devmode=False))
    await started.wait()
    rooms = os.environ["ROOMS"].split(",")
    assert set(rooms) <= set(CALLERS)
    await asyncio.gather(*(server.simulate_job(room, fake_job=True) for room in rooms))
    await server.drain()
    await server.aclose()
    await running
