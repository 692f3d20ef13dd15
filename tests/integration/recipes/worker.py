# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""A worker that runs a recipe in each of its calls, and says what came of it.

The room is called after a file in the folder RECIPES. Its code finds ``session``, ``ctx`` and
``logger``; ``use()``, if it has one, is awaited before the session starts. The call is real: one
sentence of speech, a tool that takes its time, the answer.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
from pathlib import Path
from typing import Any

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, function_tool, inference
from livekit.plugins import openai
from prometheus_client import REGISTRY

from kit.behaviours.environment import SHORT_TURNS, Call, ScriptedSTT, words
from kit.call_gate import serve
from offline.telephone_line import TelephoneLine
from offline.tts import EspeakTTS

RESULT = "RECIPE"
"""Begins the line in which a call says what came of its recipe."""
TOOL_S = 0.5
"""Seconds that the tool takes."""

_folder = Path(os.environ["RECIPES"])

# what stands at the top of agent.py, where the test wants the worker instrumented
if (top := _folder / "top-of-agent.py").exists():
    exec(compile(top.read_text(), top.name, "exec", dont_inherit=True), {"__name__": "top"})


class Receptionist(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Help the caller.")

    @function_tool
    async def look_up(self) -> str:
        """Look the caller up."""
        await asyncio.sleep(TOOL_S)
        return "a patient"


async def answer(ctx: JobContext) -> None:
    session = AgentSession(
        stt=ScriptedSTT("it is me"),
        llm=openai.LLM(model="gpt-4o-mini", api_key="none"),
        tts=EspeakTTS(),
        vad=inference.VAD(),
        turn_handling=SHORT_TURNS,
        aec_warmup_duration=None,
    )
    said: dict[str, Any] = {"recipe": ctx.job.room.name, "job": ctx.job.id, "errors": []}
    names = {"session": session, "ctx": ctx, "logger": logging.getLogger("recipe")}
    names |= {"JobContext": JobContext, "said": said}
    ctx.proc.userdata["names"] = names

    async def report() -> None:
        said["counted"] = _counted()
        # in one piece: other processes print, too
        print(f"{RESULT} {json.dumps(said)}\n", end="", flush=True)

    try:
        text = (_folder / f"{ctx.job.room.name}.py").read_text()
        # annotations are evaluated in the recipe, as they are not in this file
        exec(compile(text, ctx.job.room.name, "exec", dont_inherit=True), names)
        if inspect.iscoroutinefunction(use := names.get("use")):
            await use()
        await _converse(session, names.get("DentalReceptionist", Receptionist)(), said)
    except Exception as error:  # noqa: BLE001  what it raises is the result
        said["errors"].append(f"{type(error).__name__}: {error}")
    ctx.add_shutdown_callback(report)
    ctx.shutdown("the call is over")


async def _converse(session: AgentSession, agent: Agent, said: dict[str, Any]) -> None:
    line = TelephoneLine(on_sound=lambda _: None)
    session.input.audio, session.output.audio = line.microphone, line.earpiece

    @session.on("conversation_item_added")
    def note_latency(event: Any) -> None:
        if (latency := getattr(event.item, "metrics", {}).get("e2e_latency")) is not None:
            said["latency"] = latency

    question = await words("it is me")
    await session.start(agent)
    call = Call(session, line)
    async with asyncio.timeout(30):
        await call.says(question)
        await call.is_answered()
    line.hang_up()


def _counted() -> dict[str, float]:
    """Return what prometheus_client has in this process, buckets aside."""
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.startswith("agent_") and not sample.name.endswith(("_bucket", "_created"))
    }


async def at_session_end(ctx: JobContext) -> None:
    """Run the callback that the recipe registered with a server of its own."""
    if "on_session_end" in (names := ctx.proc.userdata["names"]):
        await names["on_session_end"](ctx)


server = AgentServer(num_idle_processes=0, initialize_process_timeout=180, port=0)
server.rtc_session(agent_name="dental-receptionist", on_session_end=at_session_end)(answer)

if __name__ == "__main__":
    serve(server)
