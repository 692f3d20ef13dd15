# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A worker that takes its calls when a test says so, and stays up until it has been looked at.

Both ends of the one connection that this takes: :class:`CallGate` in the test, :func:`serve` in the
worker, which is told the port in GATE and the names of its rooms in ROOMS.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from types import TracebackType
from typing import Self

from livekit.agents import AgentServer

AT_A_TIME = 4
"""How many calls the worker has at most."""

_GO = b"g"
_DONE = b"d"
_TIMEOUT_S = 300.0
"""What a worker takes at most to come up, or to take its calls, on a busy machine."""


class CallGate:
    """The test's end; leaving it lets the worker end.

    Args:
        timeout_s: What the worker takes at most to come up, and to take its calls.

    Attributes:
        port: What to put into GATE.
    """

    def __init__(self, timeout_s: float = _TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(timeout_s)
        self._worker: socket.socket | None = None
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._worker is not None:
            self._worker.close()
        self._listener.close()

    def wait_until_up(self) -> None:
        """Wait until the worker runs; it has taken no call yet."""
        self._worker, _ = self._listener.accept()
        self._worker.settimeout(self._timeout_s)

    def take_calls(self) -> None:
        """Have the worker take its calls, and wait until their processes have ended."""
        assert self._worker is not None
        self._worker.sendall(_GO)
        assert self._worker.recv(1) == _DONE, "the worker ended without having taken its calls"


def serve(server: AgentServer) -> None:
    """Run the worker until the gate is left."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    asyncio.run(_serve(server, os.environ["ROOMS"].split(",")))


async def _serve(server: AgentServer, rooms: list[str]) -> None:
    started = asyncio.Event()
    server.once("worker_started", started.set)
    running = asyncio.create_task(server.run(unregistered=True, devmode=False))
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    reading = asyncio.create_task(_read_messages(server))
    test, to_test = await asyncio.open_connection("127.0.0.1", int(os.environ["GATE"]))
    if await test.read(1) == _GO:
        for first in range(0, len(rooms), AT_A_TIME):
            await _take(server, rooms[first : first + AT_A_TIME])
        to_test.write(_DONE)
        await test.read()
    to_test.close()
    await server.aclose()
    await running
    await reading


async def _read_messages(server: AgentServer) -> None:
    """Read what a worker has to say to LiveKit's server, which is not there.

    A hundred messages later it could not end: it waits until they are sent.
    """
    async for _ in server._msg_chan:
        pass


async def _take(server: AgentServer, rooms: list[str]) -> None:
    """Take some calls at once, until each of their processes, or threads, is gone."""
    await asyncio.gather(*(server.simulate_job(room, fake_job=True) for room in rooms))
    pool = server._proc_pool
    await asyncio.gather(*(each.join() for each in pool.processes if each.running_job))
