# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A worker under LiveKit's own command, ``start``: it takes two calls and waits for a signal."""

from __future__ import annotations

import asyncio

from livekit.agents import cli

from callspan import instrument
from short_call import make_server

instrument()

server = make_server()


@server.once("worker_started")
def take_calls() -> None:
    async def take() -> None:
        await asyncio.gather(*(server.simulate_job(f"room-{n}", fake_job=True) for n in range(2)))
        await asyncio.gather(*(each.join() for each in server._proc_pool.processes))
        print("CALLS OVER", flush=True)

    server.calls = asyncio.get_running_loop().create_task(take())


if __name__ == "__main__":
    cli.run_app(server)
