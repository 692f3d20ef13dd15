# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A real worker whose job processes each have one function of the package that raises.

FAULTS names a folder with ``plan.json``: the conversation, the point of each call, and the point
of this process, the worker's main one. What became of each call is written there.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

FOLDER = Path(os.environ["FAULTS"])
PLAN = json.loads((FOLDER / "plan.json").read_text())

if __name__ == "__main__":
    from faults import job, points

    if PLAN["main"] == job.RECORD:
        recorder = points.Recorder()
    elif PLAN["main"]:
        points.arm(PLAN["main"])

from callspan import business, instrument  # noqa: E402

instrument()

import asyncio  # noqa: E402
import logging  # noqa: E402
from typing import Any  # noqa: E402

from livekit.agents import AgentServer, JobContext, JobExecutorType  # noqa: E402
from livekit.agents.ipc.job_proc_executor import ProcJobExecutor  # noqa: E402

from faults import job  # noqa: E402
from faults.conversation import CONVERSATIONS  # noqa: E402

AT_A_TIME = 4
PATIENCE_S = 60.0
"""Seconds after which a call, or the end of its process, counts as hanging."""

business.declare_outcomes("booked")
business.declare_conversion("bookings", outcome="booked")
business.declare_label("intent", ("booking", "billing"))
business.declare_counter("callbacks")


@business.on_call_start
@business.on_turn
@business.on_tool
@business.on_call_end
async def hook(_: object) -> None:
    """Be told."""


async def take_call(ctx: JobContext) -> None:
    async with asyncio.timeout(PATIENCE_S):
        said = await CONVERSATIONS[PLAN["conversation"]](ctx)

    async def over() -> None:
        job.write("said", said)

    ctx.add_shutdown_callback(over)
    ctx.shutdown("the call is over")


class _Pool:
    """Sends each job process on its way with the point that is next."""

    def __init__(self, server: AgentServer) -> None:
        self._server = server
        self._waiting: list[tuple[int, str]] = []
        self._launched: list[ProcJobExecutor] = []
        self._launching = asyncio.Lock()

    def prepare(self) -> None:
        """Follow the creation of processes, from the outside of whoever else does."""
        create, pool = ProcJobExecutor._create_process, self

        def create_process(executor: ProcJobExecutor, *args: Any) -> Any:
            process = create(executor, *args)
            # LiveKit tries again where a process did not come up: nothing is armed in that one
            number, point = pool._waiting.pop() if pool._waiting else (-1, "")
            given = (number, point, str(FOLDER), process._target, process._args)
            process._target, process._args = job.main, given
            return process

        ProcJobExecutor._create_process = create_process
        self._server._proc_pool.on("process_job_launched", self._launched.append)

    async def take(self, number: int, point: str) -> None:
        """Have one call taken, and write down how its process ended."""
        async with self._launching:
            self._waiting = [(number, point)]
            await self._server.simulate_job(f"room-{number}", fake_job=True)
            executor = self._launched.pop()
        try:
            await asyncio.wait_for(asyncio.shield(executor.join()), PATIENCE_S)
        except TimeoutError:
            await executor.kill()
        (FOLDER / f"{number}.exit").write_text(json.dumps(executor.exitcode))


async def run(server: AgentServer) -> None:
    started = asyncio.Event()
    server.once("worker_started", started.set)
    running = asyncio.create_task(server.run(unregistered=True, devmode=False))
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    reading = asyncio.create_task(_read_messages(server))
    pool, slots = _Pool(server), asyncio.Semaphore(AT_A_TIME)
    pool.prepare()

    async def take(number: int, point: str) -> None:
        async with slots:
            await pool.take(number, point)

    await asyncio.gather(*(take(number, point) for number, point in enumerate(PLAN["jobs"])))
    await server.aclose()
    await running
    await reading


async def _read_messages(server: AgentServer) -> None:
    """Read what a worker has to say to LiveKit's server, which is not there."""
    async for _ in server._msg_chan:
        pass


def make_server() -> AgentServer:
    server = AgentServer(
        job_executor_type=JobExecutorType.PROCESS,
        num_idle_processes=0,
        initialize_process_timeout=180,
        port=0,
        preload_modules=["faults.conversation", "faults.points"],
    )
    server.rtc_session(agent_name="receptionist")(take_call)
    return server


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    asyncio.run(run(make_server()))
    if PLAN["main"] == job.RECORD:
        import atexit

        # the handlers that were registered before this one still have to run
        atexit._run_exitfuncs()
        (FOLDER / "main.points").write_text(json.dumps(recorder.stop()))
    sys.exit(0)
