# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A provider set globally in the entrypoint, flushed in a shutdown callback."""

from __future__ import annotations

from livekit.agents import JobContext
from opentelemetry import trace

from callspan import instrument
from own_provider import own_provider
from short_call import make_server, serve, take_call

instrument()


async def entrypoint(ctx: JobContext) -> None:
    provider = own_provider()
    trace.set_tracer_provider(provider)

    async def flush() -> None:
        provider.force_flush()

    ctx.add_shutdown_callback(flush)
    await take_call(ctx)


server = make_server(entrypoint)

if __name__ == "__main__":
    serve(server)
