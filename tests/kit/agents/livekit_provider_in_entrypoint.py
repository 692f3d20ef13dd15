# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What vendors document: a provider set in the entrypoint, flushed in a shutdown callback."""

from __future__ import annotations

from livekit.agents import JobContext, telemetry

from callspan import instrument
from own_provider import own_provider
from short_call import make_server, meet, serve, take_call

instrument()


async def entrypoint(ctx: JobContext) -> None:
    provider = own_provider()
    telemetry.set_tracer_provider(provider, metadata={"tenant": ctx.room.name})

    async def flush() -> None:
        provider.force_flush()

    ctx.add_shutdown_callback(flush)
    await meet()
    await take_call(ctx)


server = make_server(entrypoint)

if __name__ == "__main__":
    serve(server)
