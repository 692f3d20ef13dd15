# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the agents beside this file have in common: one short call, and a worker that takes it.

No word of telemetry here: each agent shows one way to set it up, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, JobExecutorType
from livekit.protocol import models
from opentelemetry import metrics

_everybody = threading.Barrier(int(os.environ.get("CALLS", "1")))


async def meet() -> None:
    """Wait, in the thread executor, until all calls are under way at once."""
    if os.environ.get("EXECUTOR") == "thread":
        await asyncio.to_thread(_everybody.wait, 10)


async def take_call(ctx: JobContext, *, record: bool = False) -> None:
    """A call without models: the agent says one sentence as text and hangs up."""

    async def ended() -> None:
        print(f"CALL ENDED {ctx.job.id}", flush=True)

    ctx.add_shutdown_callback(ended)
    # a metric of the application's own, through whatever provider is set globally
    metrics.get_meter("application").create_counter("greetings").add(1)
    session = AgentSession()
    await session.start(Agent(instructions="Greet the caller."), record=record)
    await session.say("Hello from Zanzibar.")
    ctx.shutdown("the call is over")


def make_server(
    entrypoint: Callable[[JobContext], object] = take_call,
    setup: Callable[[object], object] | None = None,
) -> AgentServer:
    """A worker for an entrypoint; EXECUTOR=thread runs its calls in one process.

    LIVEKITS_PROMETHEUS_PORT is the port of LiveKit's own metrics endpoint.
    """
    executor = JobExecutorType(os.environ.get("EXECUTOR", "process"))
    own_port = os.environ.get("LIVEKITS_PROMETHEUS_PORT")
    server = AgentServer(
        job_executor_type=executor,
        num_idle_processes=0,
        port=0,
        prometheus_port=int(own_port) if own_port else None,
    )
    if setup is not None:
        server.setup_fnc = setup
    server.rtc_session(agent_name="receptionist")(entrypoint)
    return server


def serve(server: AgentServer) -> None:
    """Run the worker until it has taken as many calls at once as CALLS says (default: 1).

    With REAL_JOBS=1 the jobs are not marked as fake: LiveKit then prepares its Cloud telemetry
    as it does for a dispatched job. Nobody connects to a room in either case.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    asyncio.run(_serve(server, int(os.environ.get("CALLS", "1"))))


async def _serve(server: AgentServer, calls: int) -> None:
    started = asyncio.Event()
    server.once("worker_started", started.set)
    running = asyncio.create_task(server.run(unregistered=True, devmode=False))
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    await asyncio.gather(*(_dispatch(server, f"room-{number}") for number in range(calls)))
    await server.drain()
    await server.aclose()
    await running


async def _dispatch(server: AgentServer, room: str) -> None:
    if os.environ.get("REAL_JOBS") == "1":
        await server.simulate_job(
            room, agent_identity="receptionist", room_info=models.Room(sid=f"RM_{room}", name=room)
        )
    else:
        await server.simulate_job(room, fake_job=True)
