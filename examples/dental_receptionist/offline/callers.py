# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's five callers: what each one does, and the small runner that does it.

A caller listens, speaks, interrupts and hangs up as a person would, at the speed of a person, and
has no hold on the agent but the line. Which caller rings is known by the room's name.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from livekit.agents import AgentSession, CloseEvent, CloseReason, JobContext

from offline import span_log
from offline.telephone_line import Sound, TelephoneLine
from offline.tts import synthesise

LEDGER_VARIABLE = "CALLER_LEDGER"
"""Names a file to which each sound of a call is appended, as one JSON object per line."""

_REACTION_SECONDS = 0.4
_PATIENCE_SECONDS = 20.0

_logger = logging.getLogger("callers")


@dataclass(frozen=True)
class Listen:
    """Let the agent finish what it says.

    Attributes:
        seconds: How long to listen, from the agent's first word, if not to the end.
    """

    seconds: float | None = None

    async def perform(self, line: TelephoneLine) -> None:
        """Listen; a ``TimeoutError`` is a caller's lost patience."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            if self.seconds is None:
                await line.agent_stops_speaking()
            else:
                await line.agent_starts_speaking()
        await asyncio.sleep(self.seconds or _REACTION_SECONDS)


@dataclass(frozen=True)
class Say:
    """Say a sentence, which interrupts an agent that is speaking."""

    text: str

    async def perform(self, line: TelephoneLine) -> None:
        """Speak, to the end of the sentence."""
        await line.say(self.text, await synthesise(self.text))


@dataclass(frozen=True)
class Wait:
    """Be silent for so many seconds, whatever the agent does."""

    seconds: float

    async def perform(self, line: TelephoneLine) -> None:
        """Wait."""
        await asyncio.sleep(self.seconds)


@dataclass(frozen=True)
class Caller:
    """Somebody who rings, and what they do until they hang up.

    Attributes:
        room: The name of the room in which they ring.
        about: What the call is for, in a few words.
        steps: What the caller does, in order. After the last one they hang up.
    """

    room: str
    about: str
    steps: Sequence[Listen | Say | Wait]

    @property
    def sentences(self) -> list[str]:
        """What the caller says, in order."""
        return [step.text for step in self.steps if isinstance(step, Say)]


_BOOKS = Caller(
    "call-books",
    "books a cleaning",
    (
        Listen(),
        Say("i would like to book a cleaning for tomorrow morning"),
        Listen(),
        Say("ten in the morning please"),
        Listen(),
        Say("thank you very much goodbye"),
        Listen(),
    ),
)
_ASKS = Caller(
    "call-asks",
    "only asks",
    (
        Listen(),
        Say("when do you open"),
        Listen(),
        Say("how much does a cleaning cost"),
        Listen(),
        Say("that is all thank you"),
        Listen(),
    ),
)
_INTERRUPTS = Caller(
    "call-interrupts",
    "interrupts the agent",
    (
        Listen(),
        Say("what are your opening hours"),
        Listen(seconds=2.5),
        Say("sorry are you open on saturday"),
        Listen(),
        Say("thank you goodbye"),
        Listen(),
    ),
)
_TOOL_FAILS = Caller(
    "call-tool-fails",
    "asks for what a broken tool cannot give",
    (
        Listen(),
        Say("do you have any time on friday"),
        Listen(),
        Say("friday at three in the afternoon"),
        Listen(),
        Say("thank you goodbye"),
        Listen(),
    ),
)
_HANGS_UP = Caller(
    "call-hangs-up",
    "hangs up, tired of waiting for the answer",
    (
        Listen(),
        Say("i want to change my appointment"),
        Wait(seconds=3.0),
    ),
)

CALLERS = {caller.room: caller for caller in (_BOOKS, _ASKS, _INTERRUPTS, _TOOL_FAILS, _HANGS_UP)}
"""The callers, by the name of the room in which they ring."""


def place_call(ctx: JobContext, session: AgentSession[Any], caller: Caller | None = None) -> None:
    """Put a caller on a session's audio, in place of a room. Call it before the session starts.

    When the caller hangs up the session closes as it does when its participant leaves the room,
    and then the job ends.

    Args:
        ctx: The job of the call.
        session: The session that answers.
        caller: Who rings; by default the one of :data:`CALLERS` whose room the job has.

    Raises:
        LookupError: Nobody rings in that room.
    """
    room = ctx.job.room.name
    caller = caller or CALLERS.get(room)
    if caller is None:
        raise LookupError(f"nobody rings in room {room!r}; the rooms are: {', '.join(CALLERS)}")
    span_log.start()
    line = TelephoneLine(on_sound=_ledger(room))
    session.input.audio = line.microphone
    session.output.audio = line.earpiece
    conversation = asyncio.create_task(_converse(caller, line, session), name=f"caller-{room}")

    @session.on("close")
    def _end_job(event: CloseEvent) -> None:
        conversation.cancel()
        ctx.shutdown(reason=event.reason.value)


async def _converse(caller: Caller, line: TelephoneLine, session: AgentSession[Any]) -> None:
    try:
        for step in caller.steps:
            await step.perform(line)
    except TimeoutError:
        _logger.error(
            "the caller in room %s hung up: the agent was not done within %.0f s",
            caller.room,
            _PATIENCE_SECONDS,
        )
    except Exception:
        _logger.exception("the caller in room %s cannot go on", caller.room)
    line.hang_up()
    # what the room's input and output do when their participant leaves; there is no public way
    session._close_soon(reason=CloseReason.PARTICIPANT_DISCONNECTED)


def _ledger(room: str) -> Callable[[Sound], None]:
    name = os.environ.get(LEDGER_VARIABLE)

    def append(sound: Sound) -> None:
        if name:
            with Path(name).open("a") as file:
                file.write(json.dumps({"room": room, **asdict(sound)}) + "\n")

    return append
