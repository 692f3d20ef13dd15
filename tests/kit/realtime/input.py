# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""The input audio buffer of a Realtime conversation, and when the user speaks in it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from kit.realtime.script import SAMPLE_RATE

BYTES_PER_SECOND = 2 * SAMPLE_RATE
_SPEECH_RMS = 300.0
"""-40 dBFS: between a quiet line and a quiet speaker."""
_PREFIX_S = 0.3


class InputAudio:
    """Audio that arrived and was not committed yet; finds speech in it by its loudness.

    Attributes:
        speaking: Whether the user speaks.
        started_at_s: Where in all the audio so far the latest speech began, in seconds.
        stopped_at_s: Where it ended.
    """

    def __init__(self) -> None:
        self.speaking = False
        self.started_at_s = 0.0
        self.stopped_at_s = 0.0
        self._buffered_s = 0.0
        self._position_s = 0.0

    def append(self, audio: bytes, *, silence_s: float) -> Literal["started", "stopped"] | None:
        """Takes audio in; says whether the user began to speak, or has been silent for long.

        Args:
            audio: PCM.
            silence_s: Seconds of silence that end a speech.
        """
        duration = len(audio) / BYTES_PER_SECOND
        began_at, self._position_s = self._position_s, self._position_s + duration
        self._buffered_s += duration
        if _rms(audio) > _SPEECH_RMS:
            self.stopped_at_s = self._position_s
            if not self.speaking:
                self.speaking, self.started_at_s = True, began_at
                self._buffered_s = min(self._buffered_s, _PREFIX_S + duration)
                return "started"
        elif self.speaking and self._position_s - self.stopped_at_s >= silence_s:
            self.speaking = False
            return "stopped"
        return None

    def take(self) -> float:
        """Empties the buffer; returns how many seconds were in it."""
        seconds, self._buffered_s = self._buffered_s, 0.0
        self.speaking = False
        return seconds


def _rms(audio: bytes) -> float:
    samples = np.frombuffer(audio, dtype="<i2").astype(np.float64)
    return float(np.sqrt(np.mean(samples**2))) if samples.size else 0.0
