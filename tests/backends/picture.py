# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The README's trace picture: a call of the demo as Phoenix's own page shows it.

Run as a program it makes the calls, and writes the picture to the file it is given.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backends import chromium, phoenix
from backends.demo_calls import PROJECT, make_calls
from backends.phoenix import Phoenix, StoredSpan

_TRACE: Final = "[role=dialog]"
"""Phoenix shows a trace in a pane over the list of traces."""
_SCROLL_TO_CALLER: Final = f"""
for (const each of document.querySelectorAll("{_TRACE} *"))
  if (each.scrollTop > 0) each.scrollTop -= 300;
"""
"""Brings the caller's turn into sight, above the agent's that Phoenix has scrolled to."""
_LAST_OF_TRACE: Final = "room_disconnect"
_LAST_OF_TURN: Final = "lk.e2e_latency"


@dataclass(frozen=True)
class Shown:
    """What Phoenix's pages show of a call.

    Attributes:
        trace: The text of the pane with its trace; one turn of it is selected.
        picture: The pane, as a PNG.
        sessions: The text of the page with the list of sessions.
        requested: Every address that the browser asked for.
    """

    trace: str
    picture: bytes
    sessions: str
    requested: list[str]


def booking(spans: Iterable[StoredSpan]) -> StoredSpan:
    """Return the agent's turn in which an appointment was booked."""
    spans = list(spans)
    booked = next(
        span
        for span in spans
        if span.attributes.get("gen_ai.tool.name") == "book_appointment"
        and not span.attributes["lk.function_tool.is_error"]
    )
    return next(span for span in spans if span.key == (booked.trace_id, booked.parent_id))


async def show(program: str, server: Phoenix, turn: StoredSpan) -> Shown:
    """Look at a turn's call, and at the list of sessions, in a browser.

    Args:
        program: Chromium's executable.
        server: Has the call.
        turn: A turn of the agent.
    """
    trace = server.address(PROJECT, f"traces/{turn.trace_id}?selectedSpanNodeId={turn.node_id}")
    async with chromium.open_page(program, width=1500, height=1200) as page:
        await page.go(trace, shows=[_LAST_OF_TRACE, _LAST_OF_TURN])
        text = await page.run(f"document.querySelector('{_TRACE}').innerText")
        await page.run(_SCROLL_TO_CALLER)
        picture = await page.photograph(_TRACE)
        session = str(turn.attributes["session.id"])
        sessions = await page.go(server.address(PROJECT, "sessions"), shows=[session])
        return Shown(text, picture, sessions, page.requested)


def main() -> int:
    """Write the picture, and return the exit status."""
    if len(sys.argv) != 2:
        print("name the file to write: python -m backends.picture docs/phoenix.png")
        return 2
    try:
        server_program, browser_program = phoenix.find(), chromium.find()
    except (phoenix.PhoenixUnavailableError, chromium.ChromiumUnavailableError) as problem:
        print(f"no picture was made: {problem}", file=sys.stderr)
        return 2
    with (
        tempfile.TemporaryDirectory(prefix="phoenix-") as data,
        tempfile.TemporaryDirectory(prefix="calls-") as calls,
        Phoenix(server_program, Path(data)) as server,
    ):
        server.start()
        made = make_calls(server.url, Path(calls))
        spans = server.wait_for_spans(PROJECT, set(made))
        shown = asyncio.run(show(browser_program, server, booking(spans)))
    Path(sys.argv[1]).write_bytes(shown.picture)
    print(f"{sys.argv[1]}: {len(shown.picture) / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
