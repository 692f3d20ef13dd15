# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Acts out scripts, and keeps a ledger of its own: one line for each thing when it is done.

Text only. The language models are stand-ins in this process, built on livekit's own classes: they
answer what the script says, and report the usage that the script says.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    Agent,
    AgentServer,
    AgentSession,
    APIConnectOptions,
    CloseReason,
    JobContext,
    JobExecutorType,
    NotGivenOr,
    RunContext,
    function_tool,
    llm,
)
from livekit.agents.evals import EvaluationResult, JudgmentResult

from callspan import business, instrument
from integration.reconciliation import script as scripts
from integration.reconciliation.script import AGENTS, Step, script_of
from kit.call_gate import serve

instrument()

business.declare_outcomes("inquiry", "complaint")
business.declare_conversion("upsells")
business.declare_conversion("payments", outcome="paid")
business.declare_label("intent", ("booking", "billing"))
business.declare_label("tier", ("gold", "basic"))
business.declare_label("language", ("en", "es"))
business.declare_label("judge_manners", ("pass", "fail"))
business.declare_counter("callbacks", labels={"reason": ("busy", "late")})
business.declare_histogram("party_size", bounds=(1, 2, 5, 10))


class Ledger:
    """What was done in this process's call; each entry is with the operating system at once."""

    def __init__(self) -> None:
        self._file = -1

    def open(self, room: str) -> None:
        path = Path(os.environ["LEDGER"]) / f"{room}.jsonl"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)

    def enter(self, what: str, **fields: Any) -> None:
        os.write(self._file, json.dumps({"what": what, **fields}).encode() + b"\n")


ledger = Ledger()
hanging = asyncio.Event()
"""Set when a model has begun to answer and will not end."""
arrived = asyncio.Event()
"""Set while the agent that the caller was last passed on to has them."""


class StandInLLM(llm.LLM):
    """Answers what the last message of the user says, which is a step of a script."""

    def __init__(self, provider: str, model: str) -> None:
        super().__init__()
        self._names = provider, model

    @property
    def provider(self) -> str:
        return self._names[0]

    @property
    def model(self) -> str:
        return self._names[1]

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        return StandInStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class StandInStream(llm.LLMStream):
    async def _run(self) -> None:
        items = self.chat_ctx.items
        said = [item for item in items if item.type == "message" and item.role == "user"][-1]
        is_follow_up = items[-1].type == "function_call_output"
        answer = json.loads(said.text_content)["answers"][is_follow_up]
        prompt, cached, written, completion, reasoning = answer["usage"]
        usage = llm.CompletionUsage(
            prompt_tokens=prompt,
            prompt_cached_tokens=cached,
            cache_creation_tokens=written,
            completion_tokens=completion,
            reasoning_tokens=reasoning,
            total_tokens=prompt + completion,
        )
        calls = [
            llm.FunctionToolCall(
                name=name, arguments=json.dumps(arguments), call_id=uuid.uuid4().hex
            )
            for name, arguments in answer["tools"]
        ]
        request_id = uuid.uuid4().hex
        delta = llm.ChoiceDelta(role="assistant", content="Well.", tool_calls=calls)
        self._event_ch.send_nowait(llm.ChatChunk(id=request_id, delta=delta))
        if answer["stopped"] != "before":
            self._event_ch.send_nowait(llm.ChatChunk(id=request_id, usage=usage))
        provider, model = self._llm.provider, self._llm.model
        reported = None if answer["stopped"] == "before" else answer["usage"]
        ledger.enter("generation", provider=provider, model=model, usage=reported)
        if answer["stopped"]:
            hanging.set()
            await asyncio.Event().wait()


class Colleague(Agent):
    def __init__(self, name: str, *, sent_by: str = "") -> None:
        super().__init__(id=name, instructions="Follow the script.", llm=StandInLLM(*AGENTS[name]))
        self._sent_by = sent_by

    async def on_enter(self) -> None:
        if self._sent_by:
            ledger.enter("handoff", from_agent=self._sent_by, to_agent=self.id)
        arrived.set()

    @function_tool
    async def look_up(self, how: str) -> str:
        """Look the caller up."""
        return await perform("look_up", how)

    @function_tool
    async def book_appointment(self, how: str) -> str:
        """Book an appointment."""
        return await perform("book_appointment", how)

    @function_tool
    async def pay(self, amount: str, currency: str) -> str:
        """Take a payment."""
        report(Step("convert", {"name": "payments", "value": amount, "currency": currency}))
        return await perform("pay", "success")

    @function_tool
    async def hand_over(self, context: RunContext, to: str) -> Agent | str:
        """Pass the caller on to a colleague."""
        await perform("hand_over", "success")
        if to == self.id:
            return "that is me"
        arrived.clear()
        return Colleague(to, sent_by=self.id)


async def perform(tool: str, how: str) -> str:
    """What every tool does: take some time, and end as it is told to."""
    since = time.perf_counter()
    try:
        await asyncio.sleep(0.002)
        if how == "error":
            raise RuntimeError("the calendar is gone")
        return "done"
    finally:
        ledger.enter("tool", name=tool, status=how, at_least_s=time.perf_counter() - since)


@business.tracked_tool
async def tracked(how: str) -> str:
    if how == "cancelled":
        with suppress(TimeoutError):
            try:
                await asyncio.Event().wait()
            finally:
                ledger.enter("tool", name="tracked", status=how, at_least_s=0.0)
    return await perform("tracked", how)


@business.on_call_end
def keep(summary: business.CallSummary) -> None:
    (Path(os.environ["SUMMARIES"]) / f"{summary.call_id}.json").write_text(summary.to_json())


def report(step: Step) -> None:
    """Report what the step says, as an application would, and enter it."""
    given = step.arguments
    match step.what:
        case "convert":
            business.convert(given["name"], float(given["value"]), given["currency"])
        case "label":
            business.label(given["name"], given["value"])
        case "outcome":
            business.outcome(given["name"], reason="the caller's own words")
        case "feedback":
            business.feedback(given["score"], kind=given["kind"])
        case "count":
            business.count("callbacks", given["amount"], reason=given["reason"])
        case "record":
            business.record("party_size", given["value"])
        case "transfer":
            business.transfer()
        case what:
            raise AssertionError(what)
    ledger.enter(step.what, **given)


def tag(ctx: JobContext, step: Step) -> None:
    """Tell LiveKit, as an application that knows nothing of this package would."""
    given = step.arguments
    if step.what == "judge":
        judgment = JudgmentResult(verdict=given["verdict"], reasoning="", instructions="")
        ctx.tagger._evaluation(EvaluationResult(judgments={"manners": judgment}))
    elif given["tag"] in ("success", "fail"):
        getattr(ctx.tagger, given["tag"])(reason="the caller's own words")
    else:
        ctx.tagger.add(given["tag"])
    ledger.enter(step.what, **given)


async def play(ctx: JobContext, session: AgentSession, step: Step) -> None:
    """Do one step."""
    if step.what in ("tag", "judge"):
        tag(ctx, step)
    elif step.what == "tracked":
        task = asyncio.create_task(tracked(step.arguments["how"]))
        await asyncio.sleep(0)
        if step.arguments["how"] == "cancelled":
            task.cancel()
        await asyncio.wait([task])
    elif step.what == "talk":
        ledger.enter("turn")
        said = json.dumps(scripts.as_data(step))
        if step.answers[0].stopped:
            speech = session.generate_reply(user_input=said)
            await hanging.wait()
            hanging.clear()
            speech.interrupt()
            ledger.enter("interruption")
            await speech
        else:
            await session.run(user_input=said)
            # LiveKit calls a handoff off if the session is closed at once
            await arrived.wait()
    else:
        report(step)


async def take_call(ctx: JobContext) -> None:
    """Act out the script of the call's room: its number, and how it ends if that is fixed."""
    number, _, end = ctx.job.room.name.partition("-")
    script = script_of(int(os.environ["SEED"]), int(number), end=end)
    ledger.open(ctx.job.room.name)
    session: AgentSession = AgentSession()
    begun = [time.time()]

    async def at_the_end() -> None:
        for step in script.at_the_end:
            if step.what in ("tag", "judge", "tracked"):
                await play(ctx, session, step)
            else:
                report(step)
        ledger.enter("end", how=script.end, job=ctx.job.id, at_most_s=time.time() - begun[0])

    ctx.add_shutdown_callback(at_the_end)
    await session.start(Colleague(script.agent))
    since = time.time()
    for step in script.steps:
        await play(ctx, session, step)
    if script.end == scripts.KILLED:
        # the worker has it all by then: a crash takes what is younger
        await asyncio.sleep(2)
        os.kill(os.getpid(), signal.SIGKILL)
    ledger.enter("ending", at_least_s=time.time() - since)
    if script.end == scripts.HUNG_UP:
        session._close_soon(reason=CloseReason.PARTICIPANT_DISCONNECTED)
        await session._closing_task
    if script.end == scripts.BROKEN:
        raise RuntimeError("the entrypoint fails")
    ctx.shutdown("the call is over")


def make_server() -> AgentServer:
    server = AgentServer(
        job_executor_type=JobExecutorType.PROCESS,
        # LiveKit hangs if it is closed while a process that waits for a call is coming up
        num_idle_processes=0,
        initialize_process_timeout=180,
        port=0,
    )
    server.rtc_session(agent_name="receptionist")(take_call)
    return server


if __name__ == "__main__":
    serve(make_server())
