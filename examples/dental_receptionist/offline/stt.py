# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""Speech recognition without a network: pocketsphinx as a LiveKit speech-to-text model.

The acoustic model and pronunciation dictionary are the American English ones in the pocketsphinx
wheel. Its general language model mishears about half of what a synthetic voice says, so, as
telephone recognisers do, this one is told what callers of the business tend to say: a trigram
model is estimated from ``phrases.txt`` when the decoder is loaded. It is a model of word order,
not a list of answers: any sequence of its words can come out, wrong ones included.
"""

from __future__ import annotations

import asyncio
import functools
import tempfile
import threading
from pathlib import Path
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectOptions, LanguageCode, stt
from livekit.agents.types import NOT_GIVEN, NotGivenOr
from livekit.agents.utils import AudioBuffer
from pocketsphinx import Decoder
from pocketsphinx.lm import ArpaBoLM

SAMPLE_RATE = 16_000
"""Hertz; what the acoustic model was trained on."""

PHRASES = Path(__file__).with_name("phrases.txt")
"""What callers of a dental clinic say, one sentence per line, in lower case."""

# Where the decoder's running cepstral mean settles on espeak-ng's en-us voice over the line in
# telephone_line.py (`Decoder.get_cmn` after the sentences of phrases.txt). Each utterance starts
# from it: the first is heard as well as the tenth, and the same audio always gives the same words.
_CEPSTRAL_MEAN = "50.3,-3.5,-6.3,15.2,-8.4,-3.4,-5.0,-14.9,-1.0,-8.8,6.6,-2.1,-4.7"

# pocketsphinx holds the interpreter lock while it decodes, so it is fed in pieces of a tenth of a
# second of speech: the event loop then waits for milliseconds, whatever the utterance's length.
_PIECE_BYTES = SAMPLE_RATE // 10 * 2

_DISCOUNT_MASS = 0.2
_LANGUAGE_WEIGHT = 12.0

_loading = threading.Lock()


class PocketsphinxSTT(stt.STT[Any]):
    """Recognises one utterance at a time; the session cuts them out of the audio with its VAD.

    Args:
        phrases: A file of sample sentences, one per line, from which the language model is
            estimated. Only words of the wheel's dictionary can be heard.
    """

    def __init__(self, *, phrases: Path = PHRASES) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._phrases = phrases

    @property
    def model(self) -> str:
        return "en-us"

    @property
    def provider(self) -> str:
        return "pocketsphinx"

    def prewarm(self) -> None:
        """Load the decoder, half a second of work, unless this process has it already."""
        _load(self._phrases)

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        audio = _resample(rtc.combine_audio_frames(buffer))
        text = await asyncio.to_thread(self._decode, audio)
        return stt.SpeechEvent(
            type=stt.SpeechEventType.FINAL_TRANSCRIPT,
            alternatives=[stt.SpeechData(language=LanguageCode("en-US"), text=text)]
            if text
            else [],
        )

    def _decode(self, audio: bytes) -> str:
        return _load(self._phrases).decode(audio)


class _SharedDecoder:
    """The process's one decoder: its models are large, and it can hear one caller at a time."""

    def __init__(self, phrases: Path) -> None:
        self._lock = threading.Lock()
        language_model = _estimate_language_model(phrases)
        try:
            self._decoder = Decoder(
                lm=str(language_model), lw=_LANGUAGE_WEIGHT, fwdflat=False, loglevel="FATAL"
            )
        finally:
            language_model.unlink()

    def decode(self, audio: bytes) -> str:
        with self._lock:
            self._decoder.set_cmn(_CEPSTRAL_MEAN)
            self._decoder.start_utt()
            for start in range(0, len(audio), _PIECE_BYTES):
                self._decoder.process_raw(audio[start : start + _PIECE_BYTES])
            self._decoder.end_utt()
            hypothesis = self._decoder.hyp()
            return hypothesis.hypstr if hypothesis else ""


def _load(phrases: Path) -> _SharedDecoder:
    with _loading:
        return _load_once(phrases)


@functools.cache
def _load_once(phrases: Path) -> _SharedDecoder:
    return _SharedDecoder(phrases)


def _estimate_language_model(phrases: Path) -> Path:
    sentences = [f"<s> {line} </s>" for line in phrases.read_text().splitlines() if line]
    model = ArpaBoLM(text="\n".join(sentences) + "\n", discount_mass=_DISCOUNT_MASS)
    model.compute()
    with tempfile.NamedTemporaryFile("w", suffix=".arpa", delete=False) as file:
        model.write(file)
    return Path(file.name)


def _resample(frame: rtc.AudioFrame) -> bytes:
    if frame.sample_rate == SAMPLE_RATE:
        return bytes(frame.data.cast("b"))
    resampler = rtc.AudioResampler(
        frame.sample_rate, SAMPLE_RATE, quality=rtc.AudioResamplerQuality.HIGH
    )
    frames = [*resampler.push(frame), *resampler.flush()]
    return b"".join(bytes(piece.data.cast("b")) for piece in frames)
