# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""What a scenario has at hand: a session on a telephone line, and models without an account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from livekit import rtc
from livekit.agents import Agent, AgentSession, APIConnectOptions, TurnHandlingOptions, stt
from livekit.agents.types import NOT_GIVEN, NotGivenOr
from livekit.agents.utils import AudioBuffer
from livekit.plugins import openai

from kit.realtime.script import RealtimeScript
from kit.realtime.server import ScriptedRealtimeServer
from offline.llm_server import Rule, Script, ScriptedChatServer
from offline.telephone_line import TelephoneLine
from offline.tts import EspeakTTS, synthesise

SHORT_TURNS: TurnHandlingOptions = {
    "endpointing": {"min_delay": 0.2, "max_delay": 0.4},
    "preemptive_generation": {"enabled": False},
    "interruption": {"mode": "vad", "min_duration": 0.2, "resume_false_interruption": False},
}
"""Turns that end soon, so that a scenario takes seconds."""


class ScriptedSTT(stt.STT):
    """A recogniser that always hears what it is told to.

    LiveKit cuts the utterances out of the audio with its VAD, as for any recogniser that does not
    stream; only what each of them says is scripted.

    Args:
        transcripts: What the utterances say, in order.
        delay: Seconds that recognising takes.
    """

    def __init__(self, *transcripts: str, delay: float = 0.05) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._transcripts = iter(transcripts)
        self._delay = delay

    @property
    def model(self) -> str:
        return "scripted"

    @property
    def provider(self) -> str:
        return "test"

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        await asyncio.sleep(self._delay)
        return stt.SpeechEvent(
            type=stt.SpeechEventType.FINAL_TRANSCRIPT,
            alternatives=[stt.SpeechData(language="en", text=next(self._transcripts))],
        )


async def words(*sentences: str) -> rtc.AudioFrame:
    """The caller's speech, a breath between its sentences.

    Made ahead of the call: a busy machine may take its time over it.
    """
    spoken = [await synthesise(sentence) for sentence in sentences]
    rate = spoken[0].sample_rate
    pause = rtc.AudioFrame.create(rate, 1, rate // 5)
    return rtc.combine_audio_frames([frame for each in spoken for frame in (each, pause)][:-1])


@dataclass
class Call:
    """A session and the line that its caller is on."""

    session: AgentSession
    line: TelephoneLine

    async def says(self, words: rtc.AudioFrame) -> None:
        """Has the caller speak; returns when the last of it has sounded."""
        await self.line.say("", words)

    async def is_answered(self) -> None:
        """Returns when the agent has spoken and its speech is over, for LiveKit too."""
        await self.line.agent_stops_speaking()
        if speech := self.session.current_speech:
            await speech

    def next_event(
        self, name: str, *, wanted: Callable[[Any], bool] = lambda _: True
    ) -> asyncio.Future[Any]:
        """The session's next event of a name for which `wanted(event)` holds, from now on."""
        happened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def listener(event: Any) -> None:
            if not happened.done() and wanted(event):
                happened.set_result(event)

        self.session.on(name, listener)
        happened.add_done_callback(lambda _: self.session.off(name, listener))
        return happened


@dataclass
class Environment:
    """Makes the parts of one run of a scenario, and takes them down after it."""

    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def llm(self, *rules: Rule) -> openai.LLM:
        """LiveKit's OpenAI plugin, against a server that answers by `rules`."""
        server = await self._stack.enter_async_context(ScriptedChatServer(Script(rules)))
        return openai.LLM(model="scripted", base_url=server.base_url, api_key="none")

    async def realtime_model(self, script: RealtimeScript) -> openai.realtime.RealtimeModel:
        """LiveKit's OpenAI Realtime plugin, against a server that plays `script`."""
        server = self._stack.enter_context(ScriptedRealtimeServer(script))
        model = openai.realtime.RealtimeModel(base_url=server.base_url, api_key="none")
        self._stack.push_async_callback(model.aclose)
        return model

    @asynccontextmanager
    async def call(
        self, agent: Agent, *, hears: Iterable[str] | None = None, **options: Any
    ) -> AsyncIterator[Call]:
        """A started session on a line, closed at the end.

        Args:
            agent: The first agent.
            hears: What the recogniser makes of the caller's utterances. Default: no recogniser.
            options: For `AgentSession`. Default: the VAD and turn detector that ship with
                livekit-agents, `SHORT_TURNS`, and speech by espeak-ng.
        """
        if hears is not None:
            options["stt"] = ScriptedSTT(*hears)
        options = {
            "tts": EspeakTTS(),
            "turn_handling": SHORT_TURNS,
            # An echo canceller would need time to settle; there is none on this line.
            "aec_warmup_duration": None,
            "session_close_transcript_timeout": 0.1,
            **options,
        }
        line = TelephoneLine(on_sound=lambda _: None)
        session: AgentSession = AgentSession(**options)
        session.input.audio = line.microphone
        session.output.audio = line.earpiece
        await session.start(agent)
        try:
            yield Call(session, line)
        finally:
            await session.aclose()
            line.hang_up()

    @asynccontextmanager
    async def chat(self, agent: Agent, **options: Any) -> AsyncIterator[AgentSession]:
        """A started session with neither ears nor voice, closed at the end."""
        session: AgentSession = AgentSession(**options)
        await session.start(agent)
        try:
            yield session
        finally:
            await session.aclose()
