# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""Speech synthesis without a network: the ``espeak-ng`` program as a LiveKit text-to-speech model.

The same program gives the callers their voices, through :func:`synthesise`.
"""

from __future__ import annotations

import asyncio
import io
import uuid
import wave
from dataclasses import dataclass
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectOptions, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

SAMPLE_RATE = 22_050
"""Hertz; what espeak-ng synthesises, in one channel of 16 bit samples."""


class SynthesizerMissingError(RuntimeError):
    """The ``espeak-ng`` program is not on the path."""


@dataclass(frozen=True)
class Voice:
    """How to speak.

    Attributes:
        name: A voice of espeak-ng, with a variant after ``+`` if wanted.
        words_per_minute: The rate of speech.
    """

    name: str = "en-us"
    words_per_minute: int = 140


CALLER = Voice()
"""The voice that the recogniser hears reliably."""

RECEPTIONIST = Voice("en-us+f3", 180)

_spoken: dict[tuple[str, Voice], rtc.AudioFrame] = {}


async def synthesise(text: str, voice: Voice = CALLER) -> rtc.AudioFrame:
    """Speak a text, or return what was made when the same voice last spoke it.

    Raises:
        SynthesizerMissingError: ``espeak-ng`` is not installed.
        RuntimeError: ``espeak-ng`` failed; the message says how.
    """
    if (text, voice) not in _spoken:
        _spoken[text, voice] = await _run_espeak(text, voice)
    return _spoken[text, voice]


async def _run_espeak(text: str, voice: Voice) -> rtc.AudioFrame:
    speed = str(voice.words_per_minute)
    try:
        process = await asyncio.create_subprocess_exec(
            *("espeak-ng", "-v", voice.name, "-s", speed, "--stdin", "--stdout"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise SynthesizerMissingError(
            "espeak-ng is not installed: apt-get install espeak-ng"
        ) from error
    output, complaint = await process.communicate(text.encode())
    if process.returncode != 0:
        raise RuntimeError(
            f"espeak-ng ended with {process.returncode} for voice {voice.name!r}: "
            f"{complaint.decode(errors='replace').strip()}"
        )
    with wave.open(io.BytesIO(output)) as recording:
        # written to a pipe, the header gives no true length; reading stops at the end of data
        samples = recording.readframes(len(output))
        return rtc.AudioFrame(samples, recording.getframerate(), 1, len(samples) // 2)


class EspeakTTS(tts.TTS[Any]):
    """Speaks one sentence per request; the session cuts the agent's text into sentences.

    Args:
        voice: Who speaks.
    """

    def __init__(self, *, voice: Voice = RECEPTIONIST) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
        )
        self._voice = voice

    @property
    def model(self) -> str:
        return self._voice.name

    @property
    def provider(self) -> str:
        return "espeak-ng"

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Start to speak a text; the audio comes in one piece."""
        return _EspeakStream(self, text, conn_options, self._voice)


class _EspeakStream(tts.ChunkedStream):
    def __init__(
        self, model: EspeakTTS, text: str, conn_options: APIConnectOptions, voice: Voice
    ) -> None:
        super().__init__(tts=model, input_text=text, conn_options=conn_options)
        self._voice = voice

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        speech = await _run_espeak(self.input_text, self._voice)
        output_emitter.initialize(
            request_id=f"espeak-{uuid.uuid4().hex[:12]}",
            sample_rate=speech.sample_rate,
            num_channels=1,
            mime_type="audio/pcm",
        )
        output_emitter.push(bytes(speech.data.cast("b")))
        output_emitter.flush()
