# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls whose data hooks write down what they are given, one line of JSON for each record.

FAULTY names hooks that go wrong, besides: any of hang, hang_async, raise, raise_async, exit,
hang_at_end. LINE=1 instruments in code. HELD is how many records of a call are written
down before it ends. USERS_LOGS is where a LoggerProvider of the application sends. LIVEKITS_LEVEL
is the level of LiveKit's own loggers. The room's name says what happens in a call.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import threading
from pathlib import Path

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    JobExecutorType,
    function_tool,
)
from livekit.plugins import openai
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

from callspan import business, instrument
from kit.call_gate import serve

if os.environ.get("LINE") == "1":
    instrument()

LEDGER = Path(os.environ["LEDGER"])
FAULTY = os.environ.get("FAULTY", "").split(",")
HELD = int(os.environ.get("HELD", "0"))
written: dict[str, threading.Semaphore] = {}
"""Released for each record of a call, by its id."""

application = logging.getLogger("application")
logging.getLogger("livekit").setLevel(os.environ.get("LIVEKITS_LEVEL", "NOTSET"))

if users_logs := os.environ.get("USERS_LOGS"):
    provider = LoggerProvider()
    exporter = OTLPLogExporter(endpoint=f"{users_logs}/v1/logs")
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    set_logger_provider(provider)


class Witness(logging.Handler):
    """Prints which span each record says that it was logged in."""

    def emit(self, record: logging.LogRecord) -> None:
        ids = [getattr(record, name, "none") for name in ("otelTraceID", "otelSpanID")]
        print("LOGGED", *ids, record.getMessage(), flush=True)


business.declare_conversion("bookings", outcome="booking")
business.declare_label("intent", ("booking", "billing"))


Record = business.CallStart | business.Turn | business.Tool | business.CallSummary


def note(hook: str, record: Record) -> None:
    """Write a record down; in one piece, as several calls do."""
    thread = threading.current_thread().name
    text = json.dumps({"hook": hook, "thread": thread, **json.loads(record.to_json())})
    with LEDGER.open("a") as file:
        file.write(text + "\n")
    written[record.call_id].release()


@business.on_call_start
async def started(start: business.CallStart) -> None:
    await asyncio.sleep(0)
    note("on_call_start", start)


@business.on_turn
def turned(turn: business.Turn) -> None:
    note("on_turn", turn)


@business.on_tool
def used(tool: business.Tool) -> None:
    note("on_tool", tool)


@business.on_call_end
async def ended(summary: business.CallSummary) -> None:
    await asyncio.sleep(0)
    application.info("summary of %s", summary.call_id)
    await asyncio.to_thread(note, "on_call_end", summary)


def hang(_: object) -> None:
    threading.Event().wait()


async def hang_async(_: object) -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue  # as code does that catches too much


def fail(_: object) -> None:
    raise LookupError("the database is gone")


async def fail_async(_: object) -> None:
    raise LookupError("the database is gone")


def leave(_: object) -> None:
    raise SystemExit(3)


for name, hook in {
    "hang": hang,
    "hang_async": hang_async,
    "raise": fail,
    "raise_async": fail_async,
    "exit": leave,
}.items():
    if name in FAULTY:
        for register in (
            business.on_call_start,
            business.on_turn,
            business.on_tool,
            business.on_call_end,
        ):
            register(hook)
if "hang_at_end" in FAULTY:
    business.on_call_end(hang)
    business.on_call_end(hang_async)


class Receptionist(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Greet the caller.")

    @function_tool
    async def look_up(self, name: str) -> str:
        """Look the caller up."""
        application.info("looking up")
        return "a patient from Timbuktu"

    @function_tool
    async def book(self) -> str:
        """Book an appointment."""
        business.convert("bookings", value=120, currency="EUR")
        raise RuntimeError("the calendar is gone")

    @function_tool
    async def crash(self) -> str:
        """End as a process that runs out of memory does."""
        os.kill(os.getpid(), signal.SIGKILL)
        return "never"


async def take_call(ctx: JobContext) -> None:
    """One call: its room is called after what happens in it, and a number."""
    what, _, _ = ctx.job.room.name.partition("-")
    if what == "sessionless":
        raise ValueError("this job fails before its session")
    of_call = written[ctx.job.id] = threading.Semaphore(0)
    session = AgentSession(llm=openai.LLM(model="gpt-4o-mini", api_key="none"))
    await session.start(Receptionist())
    await session.say("Hello from Zanzibar.")
    if what in ("tools", "killed"):
        business.label("intent", "booking")
        business.feedback(4)
        ctx.tagger.add("intent:billing")
        ctx.tagger.add("judge:Marmaduke", metadata={"who": "Marmaduke"})
        ctx.tagger.add("wants a call back from Timbuktu")
        ctx.tagger.success(reason="Marmaduke was pleased")
        await session.generate_reply(user_input=what)

    async def last_word() -> None:
        business.user("caller-1")
        business.label("intent", "billing")
        print(f"CALL ENDED {ctx.job.id}", flush=True)

    for _ in range(HELD):
        await asyncio.to_thread(of_call.acquire)
    ctx.add_shutdown_callback(last_word)
    ctx.shutdown("the call is over")


server = AgentServer(
    job_executor_type=JobExecutorType(os.environ.get("EXECUTOR", "process")),
    num_idle_processes=0,
    # LiveKit waits for ever for a thread that came up late on a busy machine
    initialize_process_timeout=180,
    port=0,
)
server.rtc_session(agent_name="receptionist")(take_call)

if __name__ == "__main__":
    # records of jobs come here, to the worker, by LiveKit's own way
    application.addHandler(Witness())
    if users_logs:
        application.addHandler(LoggingHandler(logger_provider=provider))
    serve(server)
