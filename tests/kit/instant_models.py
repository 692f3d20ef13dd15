# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Models without an account and without delay, on livekit's own classes: the same words each time.

The session around them is real. What the caller says is put into the recogniser as its events, so
that a call takes no longer than its few words of audio.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    APIStatusError,
    NotGivenOr,
    llm,
    stt,
    tts,
)

_RATE = 16_000
_SHORT_S = 0.05
_LONG_S = 60.0
LONG = "A long story."
"""Lasts a minute, if it is not interrupted."""

ANSWERS: dict[str, list[tuple[str, dict[str, str]]]] = {
    "book": [("book", {"day": "monday"})],
    "friday": [("book", {"day": "friday"})],
    "fly": [("fly", {})],
    "accounts": [("pass_on", {})],
}
"""The tools that the language model calls when it is told a word; otherwise it answers."""
REFUSED = "nonsense"
"""What the language model's service refuses to answer."""


class InstantSTT(stt.STT[Any]):
    """A recogniser that hears what :meth:`hear` is told."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self._sounds: asyncio.Queue[stt.SpeechEvent] = asyncio.Queue()

    @property
    def model(self) -> str:
        return "ear"

    @property
    def provider(self) -> str:
        return "stand-in"

    def hear(self, text: str) -> None:
        """Hear a turn of the caller's, from its first sound to its end."""
        kinds = stt.SpeechEventType
        said = [stt.SpeechData(language="en", text=text)]
        for kind in (kinds.START_OF_SPEECH, kinds.FINAL_TRANSCRIPT, kinds.END_OF_SPEECH):
            given = said if kind is kinds.FINAL_TRANSCRIPT else []
            self._sounds.put_nowait(stt.SpeechEvent(kind, alternatives=given))
        usage = stt.RecognitionUsage(audio_duration=1.0)
        self._sounds.put_nowait(stt.SpeechEvent(kinds.RECOGNITION_USAGE, recognition_usage=usage))

    async def _recognize_impl(self, *args: Any, **kwargs: Any) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        return _RecognizeStream(self, self._sounds, conn_options)


class _RecognizeStream(stt.RecognizeStream):
    def __init__(
        self,
        recogniser: InstantSTT,
        events: asyncio.Queue[stt.SpeechEvent],
        conn_options: APIConnectOptions,
    ) -> None:
        super().__init__(stt=recogniser, conn_options=conn_options)
        self._sounds = events

    async def _run(self) -> None:
        while True:
            self._event_ch.send_nowait(await self._sounds.get())


class InstantLLM(llm.LLM[Any]):
    """A language model that answers by :data:`ANSWERS`."""

    @property
    def model(self) -> str:
        return "gpt-4o-mini"

    @property
    def provider(self) -> str:
        return "openai"

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        return _Reply(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Reply(llm.LLMStream):
    async def _run(self) -> None:
        last = self.chat_ctx.items[-1]
        said = last.text_content or "" if last.type == "message" else ""
        if said == REFUSED:
            raise APIStatusError("no such model", status_code=400, retryable=False)
        calls = [
            llm.FunctionToolCall(
                name=name, arguments=json.dumps(arguments), call_id=uuid.uuid4().hex
            )
            for name, arguments in ANSWERS.get(said, [])
        ]
        words = None if calls else f"{last.type}: {said or getattr(last, 'output', '')}."
        request = uuid.uuid4().hex
        delta = llm.ChoiceDelta(role="assistant", content=words, tool_calls=calls)
        usage = llm.CompletionUsage(completion_tokens=7, prompt_tokens=11, total_tokens=18)
        self._event_ch.send_nowait(llm.ChatChunk(id=request, delta=delta))
        self._event_ch.send_nowait(llm.ChatChunk(id=request, usage=usage))


class InstantTTS(tts.TTS[Any]):
    """A synthesiser of silence: nobody listens."""

    def __init__(self) -> None:
        capabilities = tts.TTSCapabilities(streaming=False)
        super().__init__(capabilities=capabilities, sample_rate=_RATE, num_channels=1)

    @property
    def model(self) -> str:
        return "voice"

    @property
    def provider(self) -> str:
        return "stand-in"

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return _Silence(tts=self, input_text=text, conn_options=conn_options)


class _Silence(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=uuid.uuid4().hex, sample_rate=_RATE, num_channels=1, mime_type="audio/pcm"
        )
        seconds = _LONG_S if self.input_text == LONG else _SHORT_S
        output_emitter.push(bytes(2 * int(seconds * _RATE)))
        output_emitter.flush()
