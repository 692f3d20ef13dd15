# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""What is scripted about the stand-in for a speech-to-speech model: its ears, wits and voice."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from offline.llm_server import ToolCall

SAMPLE_RATE = 24_000
"""Hertz, of all audio either way; it is 16 bit mono PCM."""

Voice = Callable[[str], bytes]
"""Makes speech of a text."""


@dataclass(frozen=True)
class RealtimeReply:
    """What the model answers once: words, tool calls, or both in that order.

    Attributes:
        text: The words; empty for none.
        tool_calls: The functions to call.
        first_token_delay: Seconds from the response's creation to the first of its output.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    first_token_delay: float = 0.1


class RealtimeScript:
    """One call, in order; a reconnection or another agent's session goes on where it was.

    Args:
        hears: The transcript of each turn of the user. Later turns are heard as nothing.
        replies: Each response of the model.
    """

    def __init__(self, *, hears: Iterable[str] = (), replies: Iterable[RealtimeReply] = ()) -> None:
        self._hears = iter(hears)
        self._replies = iter(replies)

    def next_heard(self) -> str:
        """The words of the user's next turn."""
        return next(self._hears, "")

    def next_reply(self) -> RealtimeReply | None:
        """The next response, or None where the script has come to its end."""
        return next(self._replies, None)


def tone(text: str) -> bytes:
    """Hums a text: a 220 Hz tone, 60 ms for each of its characters."""
    samples = np.arange(int(len(text) * 0.06 * SAMPLE_RATE))
    wave = 8000 * np.sin(samples * (2 * math.pi * 220 / SAMPLE_RATE))
    return bytes(wave.astype("<i2").tobytes())
