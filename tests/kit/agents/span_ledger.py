# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""An agent that keeps a ledger, in the file LEDGER, of what ends in its jobs: spans and processes.

With KILL=1 its call ends as a process does that runs out of memory, some seconds after its last
span: by then its worker is to know what it holds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from multiprocessing.util import Finalize
from pathlib import Path

from livekit.agents import Agent, AgentSession, JobContext, telemetry
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from callspan import instrument
from short_call import make_server, serve, take_call

instrument()


def _enter(what: str, name: str) -> None:
    with Path(os.environ["LEDGER"]).open("a") as ledger:
        ledger.write(f"{what} {os.getpid()} {time.time()} {name}\n")


class _Ledger(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        _enter("span", span.name)


async def entrypoint(ctx: JobContext) -> None:
    # the lowest priority runs last: after it the process is gone
    Finalize(None, _enter, ("process", ctx.job.id), exitpriority=-100)
    telemetry.tracer._tracer_provider.add_span_processor(_Ledger())
    if os.environ.get("KILL") != "1":
        await take_call(ctx)
        return
    session = AgentSession()
    await session.start(Agent(instructions="Greet the caller."))
    await session.say("Hello.")
    await asyncio.sleep(5)
    os.kill(os.getpid(), signal.SIGKILL)


server = make_server(entrypoint)

if __name__ == "__main__":
    serve(server)
