# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""A telephone line in memory: the two ends that a room would give to an ``AgentSession``.

Audio passes at the speed of a clock, as it does in a call, so that every duration a trace shows
is one that a caller would have waited. What the caller said, and what they heard, is recorded
with the time at which it sounded: the truth that a test holds a trace against.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from livekit import rtc
from livekit.agents.voice import io

SAMPLE_RATE = 16_000
"""Hertz, from the caller to the agent: what VAD, turn detector and recogniser work at."""

_FRAME_SECONDS = 0.02
_FRAME_SAMPLES = int(SAMPLE_RATE * _FRAME_SECONDS)

# A line is never digitally silent. The noise is at -58 dB of full scale: no VAD takes it for
# speech, and a recogniser, whose features are logarithms, hears badly without any.
_NOISE_AMPLITUDE = 40.0
_AUDIBLE_AMPLITUDE = 5 * _NOISE_AMPLITUDE


@dataclass(frozen=True)
class Sound:
    """A stretch of speech on the line.

    Attributes:
        speaker: ``caller`` or ``agent``.
        text: What was said; of the agent the line knows only the sound.
        started_at: Unix time in seconds at which it became audible.
        ended_at: Unix time in seconds at which it ceased to be.
        interrupted: Whether the agent was cut off.
    """

    speaker: str
    text: str
    started_at: float
    ended_at: float
    interrupted: bool = False


class TelephoneLine:
    """One call's line.

    Args:
        on_sound: Is told of each sound when it has ended.

    Attributes:
        microphone: For ``session.input.audio``.
        earpiece: For ``session.output.audio``.
    """

    def __init__(self, on_sound: Callable[[Sound], None]) -> None:
        self.microphone = Microphone(on_sound)
        self.earpiece = Earpiece(on_sound)

    async def say(self, text: str, speech: rtc.AudioFrame) -> None:
        """Speak into the line; returns when the last of it has been heard."""
        await self.microphone.play(text, speech)
        self.earpiece.started.clear()

    async def agent_starts_speaking(self) -> None:
        """Wait until the agent starts to speak after what the caller last said."""
        await self.earpiece.started.wait()

    async def agent_stops_speaking(self) -> None:
        """Wait until the agent has started to speak, as above, and is silent again."""
        await self.earpiece.started.wait()
        await self.earpiece.silent.wait()

    def hang_up(self) -> None:
        """End the caller's audio."""
        self.microphone.close()


class Microphone(io.AudioInput):
    """Gives a frame every 20 ms: the caller's speech, else the noise of the line."""

    def __init__(self, on_sound: Callable[[Sound], None]) -> None:
        super().__init__(label="TelephoneLine")
        self._on_sound = on_sound
        self._noise = np.random.default_rng(seed=0)
        self._next_frame_at: float | None = None
        self._utterance: _Utterance | None = None
        self._open = True

    async def play(self, text: str, speech: rtc.AudioFrame) -> None:
        """Put speech on the line in place of its noise; returns when all of it has gone out."""
        self._utterance = utterance = _Utterance(text, speech)
        await utterance.played.wait()

    def close(self) -> None:
        """End the audio, as the track of a participant who leaves does."""
        self._open = False

    async def __anext__(self) -> rtc.AudioFrame:
        now = time.monotonic()
        # an absolute clock: a late frame is followed by the next one sooner, as on a real line
        self._next_frame_at = (self._next_frame_at or now) + _FRAME_SECONDS
        await asyncio.sleep(max(0.0, self._next_frame_at - now))
        if not self._open:
            raise StopAsyncIteration
        samples = self._noise.normal(0.0, _NOISE_AMPLITUDE, _FRAME_SAMPLES)
        if (utterance := self._utterance) is not None:
            samples += utterance.take_frame(frame_ends_at=time.time())
            if utterance.played.is_set():
                self._utterance = None
                self._on_sound(
                    Sound("caller", utterance.text, utterance.started_at, utterance.ended_at)
                )
        pcm = np.clip(samples, -32768, 32767).astype(np.int16)
        return rtc.AudioFrame(pcm.tobytes(), SAMPLE_RATE, 1, _FRAME_SAMPLES)


class _Utterance:
    """What the caller is saying, cut into frames, and when its audible part sounded."""

    def __init__(self, text: str, speech: rtc.AudioFrame) -> None:
        self.text = text
        self.played = asyncio.Event()
        self.started_at = self.ended_at = 0.0
        samples = _at_line_rate(speech)
        audible = np.flatnonzero(np.abs(samples) > _AUDIBLE_AMPLITUDE)
        self._first_audible, self._last_audible = int(audible[0]), int(audible[-1])
        # a synthesiser's silence after the last word is not the caller's
        frames = self._last_audible // _FRAME_SAMPLES + 1
        self._samples = np.resize(samples, frames * _FRAME_SAMPLES).astype(np.float64)
        self._position = 0

    def take_frame(self, *, frame_ends_at: float) -> npt.NDArray[np.float64]:
        start, end = self._position, self._position + _FRAME_SAMPLES
        self._position = end
        if start <= self._first_audible < end:
            self.started_at = frame_ends_at - (end - self._first_audible) / SAMPLE_RATE
        if end >= len(self._samples):
            self.ended_at = frame_ends_at - (end - self._last_audible) / SAMPLE_RATE
            self.played.set()
        return self._samples[start:end]


class Earpiece(io.AudioOutput):
    """Takes the agent's speech faster than it sounds, and reports it as it sounds.

    Attributes:
        started: Set when the agent starts to speak; whoever waits for the next time clears it.
        silent: Set while the agent does not speak.
    """

    def __init__(self, on_sound: Callable[[Sound], None]) -> None:
        super().__init__(label="TelephoneLine", capabilities=io.AudioOutputCapabilities(pause=True))
        self._on_sound = on_sound
        self.started = asyncio.Event()
        self.silent = asyncio.Event()
        self.silent.set()
        self._paused_at: float | None = None
        self._end_of_playout: asyncio.TimerHandle | None = None
        self._forget_segment()

    def _forget_segment(self) -> None:
        self._captured = 0.0
        self._played = 0.0
        self._playhead_moved_at = 0.0
        self._started_at: float | None = None
        self._complete = False

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self._move_playhead()
        self._captured += frame.duration
        self._start_playback()

    def flush(self) -> None:
        super().flush()
        if self._captured:
            self._complete = True
            self._expect_end()

    def clear_buffer(self) -> None:
        if self._captured:
            self._move_playhead()
            self._finish(interrupted=True)

    def pause(self) -> None:
        super().pause()
        if self._paused_at is None:  # a session says so at every sign of speech
            self._move_playhead()
            self._paused_at = time.time()
            self._expect_end()

    def resume(self) -> None:
        super().resume()
        self._move_playhead()
        self._paused_at = None
        self._start_playback()
        self._expect_end()

    def _start_playback(self) -> None:
        if self._captured and self._started_at is None and self._paused_at is None:
            self._started_at = time.time()
            self.started.set()
            self.silent.clear()
            self.on_playback_started(created_at=self._started_at)

    def _move_playhead(self) -> None:
        now = time.monotonic()
        if self._started_at is not None and self._paused_at is None:
            self._played = min(self._captured, self._played + now - self._playhead_moved_at)
        self._playhead_moved_at = now

    def _expect_end(self) -> None:
        if self._end_of_playout is not None:
            self._end_of_playout.cancel()
            self._end_of_playout = None
        if self._complete and self._paused_at is None:
            self._move_playhead()
            self._end_of_playout = asyncio.get_running_loop().call_later(
                self._captured - self._played, self._play_out
            )

    def _play_out(self) -> None:
        self._played = self._captured
        self._finish(interrupted=False)

    def _finish(self, *, interrupted: bool) -> None:
        if self._end_of_playout is not None:
            self._end_of_playout.cancel()
            self._end_of_playout = None
        position, started_at = self._played, self._started_at
        self._forget_segment()
        self.silent.set()
        if started_at is not None:
            # an agent that is interrupted is paused first: the caller hears no more from there
            ended_at = self._paused_at or time.time()
            self._on_sound(Sound("agent", "", started_at, ended_at, interrupted))
        self.on_playback_finished(playback_position=position, interrupted=interrupted)


def _at_line_rate(speech: rtc.AudioFrame) -> npt.NDArray[np.int16]:
    if speech.sample_rate == SAMPLE_RATE:
        return np.frombuffer(speech.data, dtype=np.int16)
    resampler = rtc.AudioResampler(
        speech.sample_rate, SAMPLE_RATE, quality=rtc.AudioResamplerQuality.HIGH
    )
    frames = [*resampler.push(speech), *resampler.flush()]
    return np.concatenate([np.frombuffer(frame.data, dtype=np.int16) for frame in frames])
