# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""CPU that a turn of a real AgentSession takes with us, beside native tracing alone.

Each measurement is a process of its own that holds one call of many turns: a caller's speech
through the VAD that ships with livekit-agents, transcript (a scripted recogniser gives it, as a
streaming service does), end of turn, language model, a tool in every third turn, synthesis,
playout. Only the models are scripted, in the same process and without delays, so what is left is
LiveKit's own work and the telemetry's. CPU is that of all threads, with the flush at the end of
the call. ``no audio`` is the same without a microphone, with the recogniser's word for when
speech begins and ends: nothing is left of a turn then but its bookkeeping, and what telemetry
adds is seen at its largest.

- nothing: no provider is set;
- native: LiveKit's spans into a batch processor with an exporter that does nothing, without
  content;
- ours: the same exporter by its name in ``OTEL_TRACES_EXPORTER``, content off, every span
  enriched and ``stt_request`` made; our metrics and LiveKit's recorded and relayed to a worker in
  another process.
"""

from __future__ import annotations

import asyncio
import gc
import io as io_
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from livekit import rtc
from livekit.agents import (
    Agent,
    AgentSession,
    function_tool,
    inference,
    llm,
    stt,
    telemetry,
    tts,
)
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.voice import io
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

ROUNDS = 5
WARM_UP = 3
TURNS = 15
TURNS_WITHOUT_AUDIO = 60
TOOL_EVERY = 3
VARIANTS = ("nothing", "native", "ours")
AUDIO = ("speech through the VAD", "no audio")
QUESTION = "What times do you have?"
SILENCE_S = 0.8
AT_MOST = 1.10

_EXPORTER = "benchmark_null"
_CHANNEL_VARIABLE = "BENCHMARK_CHANNEL"
_ANSWER = "You can have nine, ten or eleven tomorrow. Which of these times shall I book for you?"


class NullExporter(SpanExporter):
    """An exporter that has always delivered."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


# --- a call without delays ---------------------------------------------------------------------


class ScriptedSTT(stt.STT):
    """A streaming recogniser that hears what it is told to, when it is told to."""

    def __init__(self, *, reports_speech: bool) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.reports_speech = reports_speech

    async def _recognize_impl(self, *args: Any, **kwargs: Any) -> stt.SpeechEvent:
        raise NotImplementedError("this recogniser streams")

    def stream(self, **kwargs: Any) -> stt.RecognizeStream:
        return _Recognition(stt=self, conn_options=DEFAULT_API_CONNECT_OPTIONS)


class _Recognition(stt.RecognizeStream):
    async def _run(self) -> None:
        assert isinstance(self._stt, ScriptedSTT)
        while True:
            text = await self._stt.heard.get()
            kinds = [stt.SpeechEventType.FINAL_TRANSCRIPT]
            if self._stt.reports_speech:
                kinds.insert(0, stt.SpeechEventType.START_OF_SPEECH)
                kinds.append(stt.SpeechEventType.END_OF_SPEECH)
            said = [stt.SpeechData(language="en", text=text)]
            for kind in kinds:
                self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=said))
                await asyncio.sleep(0)


class ScriptedLLM(llm.LLM):
    """A language model that answers at once, in every third turn after a tool."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0

    def chat(self, *, chat_ctx: llm.ChatContext, tools: Any = None, **kwargs: Any) -> llm.LLMStream:
        return _Generation(
            self, chat_ctx=chat_ctx, tools=tools or [], conn_options=DEFAULT_API_CONNECT_OPTIONS
        )


class _Generation(llm.LLMStream):
    async def _run(self) -> None:
        assert isinstance(self._llm, ScriptedLLM)
        after_tool = self._chat_ctx.items[-1].type == "function_call_output"
        self._llm.turns += not after_tool
        if not after_tool and self._llm.turns % TOOL_EVERY == 0:
            call = llm.FunctionToolCall(
                name="check_availability", arguments='{"day": "tomorrow"}', call_id="call"
            )
            self._send(llm.ChoiceDelta(role="assistant", tool_calls=[call]))
        else:
            for word in _ANSWER.split(" "):
                self._send(llm.ChoiceDelta(role="assistant", content=f"{word} "))
        usage = llm.CompletionUsage(completion_tokens=17, prompt_tokens=200, total_tokens=217)
        self._event_ch.send_nowait(llm.ChatChunk(id="chunk", usage=usage))

    def _send(self, delta: llm.ChoiceDelta) -> None:
        self._event_ch.send_nowait(llm.ChatChunk(id="chunk", delta=delta))


class ScriptedTTS(tts.TTS):
    """A synthesiser that gives half a second of silence for each sentence, at once."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=16_000, num_channels=1
        )

    def synthesize(self, text: str, **kwargs: Any) -> tts.ChunkedStream:
        return _Synthesis(tts=self, input_text=text, conn_options=DEFAULT_API_CONNECT_OPTIONS)


class _Synthesis(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id="request", sample_rate=16_000, num_channels=1, mime_type="audio/pcm"
        )
        output_emitter.push(bytes(16_000))
        output_emitter.flush()


class Microphone(io.AudioInput):
    """Gives what is put into it at the speed at which it would be spoken."""

    def __init__(self) -> None:
        super().__init__(label="benchmark")
        self.frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()
        self._due = 0.0

    async def __anext__(self) -> rtc.AudioFrame:
        frame = await self.frames.get()
        now = time.monotonic()
        self._due = max(self._due, now) + frame.duration
        await asyncio.sleep(self._due - now)
        return frame


def speech() -> list[rtc.AudioFrame]:
    """Return a caller's question and the silence after it, in frames of 20 ms."""
    spoken = subprocess.run(
        ["espeak-ng", "--stdout", "-v", "en-us", QUESTION], check=True, stdout=subprocess.PIPE
    ).stdout
    with wave.open(io_.BytesIO(spoken)) as wav:
        rate, samples = wav.getframerate(), wav.readframes(wav.getnframes())
    samples += bytes(2 * int(SILENCE_S * rate))
    size = 2 * rate // 50
    return [
        rtc.AudioFrame(samples[start : start + size], rate, 1, size // 2)
        for start in range(0, len(samples) - size, size)
    ]


class InstantEarpiece(io.AudioOutput):
    """Has played what it is given as soon as that is complete."""

    def __init__(self) -> None:
        super().__init__(label="benchmark", capabilities=io.AudioOutputCapabilities(pause=False))
        self._captured = 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._captured:
            self.on_playback_started(created_at=time.time())
        self._captured += frame.duration

    def flush(self) -> None:
        super().flush()
        self._finish(interrupted=False)

    def clear_buffer(self) -> None:
        self._finish(interrupted=True)

    def _finish(self, *, interrupted: bool) -> None:
        if self._captured:
            position, self._captured = self._captured, 0.0
            self.on_playback_finished(playback_position=position, interrupted=interrupted)


class Receptionist(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You answer the telephone of a clinic. Be brief.")

    @function_tool
    async def check_availability(self, day: str) -> str:
        """Look up the free times of a day.

        Args:
            day: The day.
        """
        return f"free {day}: nine, ten, eleven"


async def call(flush: Callable[[], object], *, audio: bool) -> float:
    """Hold a call; return milliseconds of CPU by turn, the flush at its end included."""
    ears = ScriptedSTT(reports_speech=not audio)
    session: AgentSession = AgentSession(
        stt=ears,
        llm=ScriptedLLM(),
        tts=ScriptedTTS(),
        vad=inference.VAD() if audio else None,
        turn_handling={
            "turn_detection": "vad" if audio else "stt",
            "endpointing": {"min_delay": 0.0, "max_delay": 0.0},
            "preemptive_generation": {"enabled": False},
            "interruption": {"resume_false_interruption": False},
        },
        aec_warmup_duration=None,
    )
    microphone = Microphone()
    session.input.audio = microphone
    session.output.audio = InstantEarpiece()
    question = speech() if audio else []
    heard, answered = asyncio.Event(), asyncio.Event()

    def on_agent(event: Any) -> None:
        if event.old_state == "speaking" and event.new_state == "listening":
            answered.set()

    def on_user(event: Any) -> None:
        if event.old_state == "speaking":
            heard.set()

    session.on("agent_state_changed", on_agent)
    session.on("user_state_changed", on_user)
    await session.start(Receptionist())
    since = 0.0
    turns = TURNS if audio else TURNS_WITHOUT_AUDIO
    for turn in range(WARM_UP + turns):
        if turn == WARM_UP:
            # a full collection takes as long as ten turns, and falls to one variant by chance
            gc.collect()
            since = time.process_time()
        answered.clear()
        heard.clear()
        async with asyncio.timeout(20):
            if audio:
                for frame in question:
                    microphone.frames.put_nowait(frame)
                await heard.wait()
            ears.heard.put_nowait(QUESTION)
            await answered.wait()
    await asyncio.to_thread(flush)
    cpu_s = time.process_time() - since
    await session.aclose()
    return 1000 * cpu_s / turns


# --- what is measured --------------------------------------------------------------------------


def nothing(*, audio: bool) -> None:
    print(asyncio.run(call(lambda: None, audio=audio)))


def native(*, audio: bool) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(NullExporter()))
    telemetry.set_tracer_provider(provider, allow_pii=False)
    print(asyncio.run(call(provider.force_flush, audio=audio)))


def ours(*, audio: bool) -> None:
    """Run as a job process does: its configuration and its channel come from the worker."""
    from callspan.config import settings
    from callspan.instrumentor import job_main

    channel = socket.socket(fileno=int(os.environ[_CHANNEL_VARIABLE]))
    job_main(settings.resolve(), True, channel, _ours, (audio,))


def _ours(audio: bool) -> None:
    from opentelemetry import trace

    def flush() -> None:
        provider = trace.get_tracer_provider()
        assert isinstance(provider, TracerProvider), provider
        provider.force_flush()

    print(asyncio.run(call(flush, audio=audio)))


def _measure(variant: str, audio: str, folder: Path) -> float:
    from callspan.metrics.worker.aggregator import Aggregator

    environ = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    environ |= {
        "OTEL_TRACES_EXPORTER": _EXPORTER,
        # a session outside of a job is a test
        "CALLSPAN_COUNTED_KINDS": "test",
        "PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parent)]),
    }
    aggregator = Aggregator()
    with aggregator.add_process() as channel:
        done = subprocess.run(
            [sys.executable, __file__, variant, audio],
            env={**environ, _CHANNEL_VARIABLE: str(channel.fileno())},
            pass_fds=[channel.fileno()],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    aggregator.drain(10)
    latencies = [
        point.count
        for scope in aggregator.state.read()
        for metric in scope.metrics
        if metric.name == "agent.turn.latency"
        for point in metric.data.data_points
    ]
    aggregator.close()
    # a measurement of telemetry that was not made is none
    turns = TURNS if audio == AUDIO[0] else TURNS_WITHOUT_AUDIO
    expected = [WARM_UP + turns] if variant == "ours" else []
    assert latencies == expected, f"{latencies} turns were counted in place of {expected}"
    return float(done.stdout)


def _register_exporter(folder: Path) -> None:
    """Have the null exporter found by its name, as an installed package's is."""
    metadata = folder / "benchmark_null-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: benchmark-null\nVersion: 0\n")
    (metadata / "entry_points.txt").write_text(
        f"[opentelemetry_traces_exporter]\n{_EXPORTER} = {Path(__file__).stem}:NullExporter\n"
    )


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        _register_exporter(Path(folder))
        for audio in AUDIO:
            _compare(audio, Path(folder))


def _compare(audio: str, folder: Path) -> None:
    times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    # speech takes its time: beside each other they leave the machine idle still
    with ThreadPoolExecutor(len(VARIANTS) if audio == AUDIO[0] else 1) as pool:
        for _ in range(ROUNDS):
            measured = pool.map(lambda variant: _measure(variant, audio, folder), VARIANTS)
            for variant, milliseconds in zip(VARIANTS, measured, strict=True):
                times[variant].append(milliseconds)
    medians = {variant: statistics.median(measured) for variant, measured in times.items()}
    pairs = [ours / native for ours, native in zip(times["ours"], times["native"], strict=True)]
    print(f"CPU per turn of a real session, {audio}, median of {ROUNDS} calls:")
    for variant, median in medians.items():
        spread = f"{min(times[variant]):.1f} to {max(times[variant]):.1f}"
        ratio = median / medians["native"]
        print(f"  {variant:8} {median:6.2f} ms ({spread}), {ratio:.3f} of native")
    print(f"  ours to native, median of pairs {statistics.median(pairs):.3f}, goal {AT_MOST}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        variant, audio = sys.argv[1:]
        {"nothing": nothing, "native": native, "ours": ours}[variant](audio=audio == AUDIO[0])
    else:
        main()
