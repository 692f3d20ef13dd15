# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""An agent whose sessions LiveKit Cloud records, with instrument() where LINE says.

``module``: at the top, so that we set up first. ``entrypoint``: LiveKit has already given its
tracer a provider of its own for the recording. ``none``: the recording alone.
"""

from __future__ import annotations

import json
import os

from livekit.agents import JobContext

from callspan import instrument
from short_call import make_server, serve, take_call

LINE = os.environ["LINE"]
RECORD = json.loads(os.environ.get("RECORD", "true"))

if LINE == "module":
    instrument()


async def entrypoint(ctx: JobContext) -> None:
    if LINE == "entrypoint":
        instrument()
    await take_call(ctx, record=RECORD)


server = make_server(entrypoint)

if __name__ == "__main__":
    serve(server)
