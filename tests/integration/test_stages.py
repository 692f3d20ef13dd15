# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""The stages of a turn against delays that are known, in a real AgentSession in real time.

Each scripted model waits for a set time, and notes when it was asked and when it answered: that
is what a stage is held against, so that a busy machine, which makes every wait longer, makes both
longer. The caller's voice, the VAD and the turn taking are real.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from livekit.agents import (
    Agent,
    AgentSession,
    APIConnectOptions,
    TurnHandlingOptions,
    function_tool,
    inference,
    telemetry,
    tts,
)
from livekit.agents.telemetry import tracer
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.plugins import openai
from opentelemetry import trace

from callspan import semconv
from callspan.call.call import Call
from callspan.call.events import (
    CallEvent,
    ToolFinished,
    TurnAnswered,
)
from callspan.livekit.observer import Observer
from callspan.livekit.patches import Patches
from callspan.livekit.session import patch
from callspan.waterfall.span_record import SpanRecord
from kit.behaviours.environment import ScriptedSTT, words
from kit.memory import SpanMemory
from kit.realtime.script import RealtimeReply, RealtimeScript
from kit.realtime.server import ScriptedRealtimeServer
from kit.stages import AGREEMENT_S, drawn_stages, every_stage
from offline.llm_server import Reply, Rule, Script, ScriptedChatServer, ToolCall
from offline.telephone_line import Earpiece, TelephoneLine

TOLERANCE_S = 0.1
"""What a busy machine may be late between a stage's end and our note of it; the shortest scripted
wait is half as long again, so that no stage passes for another."""
LARGEST_OTHER = 0.05
"""Of the latency: what no stage may claim."""

RECOGNITION_S = 0.2
ENDPOINTING_S = 1.0
HOOK_S = 0.15
FIRST_TOKEN_S = 0.3
TOKEN_S = 0.05
SPEECH_S = 0.3
PLAYBACK_S = 0.25

ANSWER = "All right then."


@dataclass
class Truth:
    """When the scripted parts were at work, by what they are; Unix seconds."""

    spans: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def measure(self, what: str) -> Iterator[None]:
        since = time.time()
        try:
            yield
        finally:
            self.spans[what].append((since, time.time()))

    def last_end(self, what: str) -> float:
        return self.spans[what][-1][1]

    def duration(self, what: str) -> float:
        return sum(end - start for start, end in self.spans[what])


class TimedSTT(ScriptedSTT):
    """A recogniser that says when it was done."""

    def __init__(self, truth: Truth) -> None:
        super().__init__("Hello.", delay=RECOGNITION_S)
        self._truth = truth

    async def _recognize_impl(self, *args: Any, **kwargs: Any) -> Any:
        with self._truth.measure("recognition"):
            return await super()._recognize_impl(*args, **kwargs)


class TimedTTS(tts.TTS):
    """A scripted text-to-speech service that gives its first audio after a set time."""

    def __init__(self, truth: Truth) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=16_000, num_channels=1
        )
        self.truth = truth

    @property
    def model(self) -> str:
        return "scripted"

    @property
    def provider(self) -> str:
        return "test"

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return _TimedSpeech(tts=self, input_text=text, conn_options=conn_options)


class _TimedSpeech(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        assert isinstance(self._tts, TimedTTS)
        with self._tts.truth.measure("synthesis"):
            await asyncio.sleep(SPEECH_S)
        output_emitter.initialize(
            request_id="scripted", sample_rate=16_000, num_channels=1, mime_type="audio/pcm"
        )
        output_emitter.push(bytes(2 * 16_000 // 2))
        output_emitter.flush()


class LateEarpiece(Earpiece):
    """Sounds what it is given some time later, as an avatar's worker does."""

    def __init__(self, truth: Truth) -> None:
        super().__init__(lambda _: None)
        self._truth = truth
        self._captured_at: float | None = None

    def _start_playback(self) -> None:
        if self._captured and self._captured_at is None:
            self._captured_at = time.time()
            asyncio.get_running_loop().call_later(PLAYBACK_S, self._sound)

    def _sound(self) -> None:
        super()._start_playback()
        assert self._captured_at is not None
        self._truth.spans["playback"].append((self._captured_at, time.time()))


class Receptionist(Agent):
    """An agent that thinks about each turn before it answers."""

    def __init__(self, truth: Truth) -> None:
        super().__init__(instructions="You answer the telephone.")
        self.truth = truth

    async def on_user_turn_completed(self, *args: Any, **kwargs: Any) -> None:
        with self.truth.measure("hook"):
            await asyncio.sleep(HOOK_S)

    async def llm_node(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        since = time.time()
        first_token_at = None
        async for chunk in Agent.default.llm_node(self, *args, **kwargs):
            if first_token_at is None and chunk.has_response():
                first_token_at = time.time()
                self.truth.spans["first token"].append((since, first_token_at))
            yield chunk
        self.truth.spans["rest of the answer"].append((first_token_at or since, time.time()))


class Bookkeeper(Receptionist):
    """An agent with two tools that take their time."""

    @function_tool
    async def look_up(self) -> str:
        """Look the caller up."""
        with self.truth.measure("look_up"):
            await asyncio.sleep(0.3)
        return "known"

    @function_tool
    async def book(self) -> str:
        """Book an appointment."""
        with self.truth.measure("book"):
            await asyncio.sleep(0.5)
        return "booked"


class Recorded:
    """What was recorded of a call."""

    def __init__(self) -> None:
        self.turns: list[TurnAnswered] = []
        self.tools: list[ToolFinished] = []
        self.current_spans: list[trace.Span] = []
        self.memory = SpanMemory()
        self.stopped_at = 0.0

    def session_starting(self, new_call: Callable[[], Call]) -> Call:
        return new_call()

    def interrupted(self, span: trace.Span | None, kind: str, at_ns: int | None) -> None:
        """Nobody interrupts in these calls."""

    def call_event(self, call: Call, event: CallEvent) -> None:
        if isinstance(event, TurnAnswered):
            self.turns.append(event)
            self.current_spans.append(trace.get_current_span())
        elif isinstance(event, ToolFinished):
            self.tools.append(event)

    def note_end_of_speech(self, event: Any) -> None:
        if getattr(event.item, "role", "") == "user":
            self.stopped_at = event.item.metrics.get("stopped_speaking_at", 0.0)

    @property
    def turn(self) -> TurnAnswered:
        [turn] = self.turns
        return turn


@pytest.fixture(autouse=True, scope="module")
def nothing_old_is_collected() -> Iterator[None]:
    """Going through all that was ever imported stops the event loop for 0.2 s: no stage's time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@contextmanager
def captured_spans(memory: SpanMemory) -> Iterator[None]:
    """LiveKit's spans are real ones, and kept."""
    before = tracer._tracer_provider
    telemetry.set_tracer_provider(memory.provider)
    try:
        yield
    finally:
        tracer.set_provider(before)


async def one_turn(agent: Agent, *, earpiece: Earpiece | None = None, **options: Any) -> Recorded:
    """Plays a call of one turn: the caller says hello, and hears the answer out."""
    recorded, patches = Recorded(), Patches()
    assert patch(patches, cast("Observer", recorded)) == []
    line = TelephoneLine(on_sound=lambda _: None)
    line.earpiece = earpiece or line.earpiece
    session: AgentSession = AgentSession(aec_warmup_duration=None, **options)
    session.on("conversation_item_added", recorded.note_end_of_speech)
    session.input.audio = line.microphone
    session.output.audio = line.earpiece
    hello = await words("hello")
    try:
        with captured_spans(recorded.memory):
            await session.start(agent)
            await line.say("hello", hello)
            await line.agent_stops_speaking()
            await session.aclose()
    finally:
        line.hang_up()
        patches.undo()
    return recorded


async def pipeline_turn(
    agent: Receptionist, *rules: Rule, late: bool = False, **preemptive: bool
) -> Recorded:
    """Plays a turn through recogniser, language model and voice."""
    truth = agent.truth
    turns: TurnHandlingOptions = {
        "turn_detection": "vad",
        "endpointing": {"min_delay": ENDPOINTING_S, "max_delay": ENDPOINTING_S},
        "preemptive_generation": {"enabled": False, **preemptive},  # type: ignore[typeddict-item]
    }
    async with ScriptedChatServer(Script(rules)) as server:
        return await one_turn(
            agent,
            earpiece=LateEarpiece(truth) if late else None,
            stt=TimedSTT(truth),
            llm=openai.LLM(model="scripted", base_url=server.base_url, api_key="none"),
            tts=TimedTTS(truth),
            turn_handling=turns,
        )


def assert_drawn(recorded: Recorded) -> None:
    """The picture that is drawn from the spans of the call has the stages of the metric."""
    spans = map(SpanRecord.from_readable_span, recorded.memory.spans)
    assert drawn_stages(spans) == [
        pytest.approx(every_stage(turn.stages_s), abs=AGREEMENT_S) for turn in recorded.turns
    ]


def assert_stages(recorded: Recorded, expected: dict[str, float]) -> None:
    """Every stage is as expected, they make up the latency, and the picture has the same."""
    turn = recorded.turn
    stages = dict(turn.stages_s)
    other = stages.pop(semconv.OTHER)
    assert stages == pytest.approx(expected, abs=TOLERANCE_S)
    assert other <= LARGEST_OTHER * turn.latency_s
    assert sum(turn.stages_s.values()) == pytest.approx(turn.latency_s, abs=1e-9)
    assert_drawn(recorded)


def end_of_turn(recorded: Recorded, truth: Truth) -> dict[str, float]:
    """The stages before the answer, which are the same in every pipeline turn here."""
    transcription = truth.last_end("recognition") - recorded.stopped_at
    # the hook is called at once; a busy machine is late to see that the delay is over
    over = truth.spans["hook"][-1][0] - recorded.stopped_at
    assert over >= ENDPOINTING_S - TOLERANCE_S
    return {
        "transcription": transcription,
        "end_of_turn": over - transcription,
        "turn_hook": truth.duration("hook"),
    }


async def test_each_stage_is_the_delay_that_caused_it() -> None:
    """One after the other, nothing ahead; and the latency is emitted within its own turn's span."""
    truth = Truth()
    reply = Reply(ANSWER, first_token_delay=FIRST_TOKEN_S, token_delay=TOKEN_S)
    recorded = await pipeline_turn(Receptionist(truth), Rule(reply), late=True)
    assert_stages(
        recorded,
        {
            **end_of_turn(recorded, truth),
            "llm_first_token": truth.duration("first token"),
            "sentence": truth.duration("rest of the answer"),
            "tts_first_byte": truth.duration("synthesis"),
            "playback": truth.duration("playback"),
        },
    )
    [span] = recorded.current_spans
    assert getattr(span, "name", "") == semconv.SPAN_AGENT_TURN


@pytest.mark.parametrize("speech_too", [False, True])
async def test_work_done_ahead_is_not_waited_for(speech_too: bool) -> None:
    """A preemptive generation is ready, with its speech or without, when the turn ends."""
    truth = Truth()
    recorded = await pipeline_turn(
        Receptionist(truth), Rule(Reply(ANSWER)), enabled=True, preemptive_tts=speech_too
    )
    assert truth.last_end("rest of the answer") < truth.last_end("hook")
    assert_stages(
        recorded,
        {
            **end_of_turn(recorded, truth),
            "llm_first_token": 0.0,
            "sentence": 0.0,
            "tts_first_byte": 0.0 if speech_too else truth.duration("synthesis"),
            "playback": 0.0,
        },
    )


async def test_of_work_begun_ahead_the_rest_is_waited_for() -> None:
    """A preemptive generation has its first token when the turn has long ended."""
    truth = Truth()
    recorded = await pipeline_turn(
        Receptionist(truth), Rule(Reply(ANSWER, first_token_delay=1.2)), enabled=True
    )
    assert_stages(
        recorded,
        {
            **end_of_turn(recorded, truth),
            "llm_first_token": truth.last_end("first token") - truth.last_end("hook"),
            "sentence": truth.duration("rest of the answer"),
            "tts_first_byte": truth.duration("synthesis"),
            "playback": 0.0,
        },
    )


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_turn_with_two_tools(at_once: bool) -> None:
    """Called together they are waited for as one, one after the other as both."""
    truth = Truth()
    answer = Rule(Reply(ANSWER, first_token_delay=FIRST_TOKEN_S), tool="book")
    book = ToolCall("book")
    look_up = ToolCall("look_up")
    if at_once:
        rules = [Rule(Reply(tool_calls=(look_up, book)), user="Hello"), answer]
        tools = truth.spans["book"]
    else:
        rules = [
            Rule(Reply(tool_calls=(look_up,)), user="Hello"),
            Rule(Reply(tool_calls=(book,)), tool="look_up"),
            answer,
        ]
    recorded = await pipeline_turn(Bookkeeper(truth), *rules)
    together = truth.duration("book")
    tools = together if at_once else together + truth.duration("look_up")
    assert_stages(
        recorded,
        {
            **end_of_turn(recorded, truth),
            "llm_first_token": truth.duration("first token"),
            "tools": tools,
            "sentence": truth.spans["rest of the answer"][-1][1]
            - truth.spans["rest of the answer"][-1][0],
            "tts_first_byte": truth.duration("synthesis"),
            "playback": 0.0,
        },
    )
    durations = {tool.name: tool.duration_s for tool in recorded.tools}
    assert {tool.status for tool in recorded.tools} == {semconv.TOOL_SUCCESS}
    assert durations == pytest.approx(
        {name: truth.duration(name) for name in ("look_up", "book")}, abs=TOLERANCE_S
    )


async def test_words_before_a_tool_are_not_waiting_for_it() -> None:
    """The model says something and calls a tool, which runs while these words are synthesised."""
    truth = Truth()
    recorded = await pipeline_turn(
        Bookkeeper(truth),
        Rule(Reply(ANSWER, tool_calls=(ToolCall("book"),)), user="Hello"),
        Rule(Reply("It is booked."), tool="book"),
    )
    (asked_at, first_token_at), *_ = truth.spans["first token"]
    (spoken_at, first_byte_at), *_ = truth.spans["synthesis"]
    [(tool_started_at, tool_ended_at)] = truth.spans["book"]
    assert tool_started_at < first_byte_at < tool_ended_at
    # which of both is begun first is up to the event loop
    before_words_s = max(spoken_at - tool_started_at, 0.0)
    assert_stages(
        recorded,
        {
            **end_of_turn(recorded, truth),
            "llm_first_token": first_token_at - asked_at,
            "tools": before_words_s,
            "sentence": spoken_at - first_token_at - before_words_s,
            "tts_first_byte": first_byte_at - spoken_at,
            "playback": 0.0,
        },
    )


async def test_a_realtime_turn_with_a_tool() -> None:
    """The model's service decides when the turn is over; its reply is one wait, less the tool."""
    truth = Truth()
    script = RealtimeScript(
        hears=["Monday, please."],
        replies=[
            # LiveKit would stop a reply whose tool runs when its own VAD ends the turn
            RealtimeReply(tool_calls=(ToolCall("book"),), first_token_delay=0.6),
            RealtimeReply("It is booked.", first_token_delay=FIRST_TOKEN_S),
        ],
    )
    with ScriptedRealtimeServer(script) as server:
        model = openai.realtime.RealtimeModel(base_url=server.base_url, api_key="none")
        # without a VAD of its own LiveKit has no latency for such a session
        recorded = await one_turn(Bookkeeper(truth), llm=model, vad=inference.VAD(model="silero"))
        await model.aclose()
    stages = recorded.turn.stages_s
    assert stages["tools"] == pytest.approx(truth.duration("book"), abs=TOLERANCE_S)
    assert stages["end_of_turn"] > 0
    assert stages["llm_first_token"] > 0
    assert stages[semconv.OTHER] <= LARGEST_OTHER * recorded.turn.latency_s
    assert sum(stages.values()) == pytest.approx(recorded.turn.latency_s, abs=1e-9)
    assert_drawn(recorded)


async def test_a_realtime_turn_that_ends_here() -> None:
    """Without a recogniser LiveKit has no delays for it, but says when it decided."""
    truth = Truth()
    script = RealtimeScript(
        hears=["Monday, please."],
        replies=[RealtimeReply("It is booked.", first_token_delay=FIRST_TOKEN_S)],
    )
    turns: TurnHandlingOptions = {
        "turn_detection": "vad",
        "endpointing": {"min_delay": ENDPOINTING_S, "max_delay": ENDPOINTING_S},
    }
    with ScriptedRealtimeServer(script) as server:
        model = openai.realtime.RealtimeModel(
            base_url=server.base_url, api_key="none", turn_detection=None
        )
        recorded = await one_turn(
            Receptionist(truth),
            llm=model,
            vad=inference.VAD(model="silero"),
            turn_handling=turns,
        )
        await model.aclose()
    stages = recorded.turn.stages_s
    assert stages["end_of_turn"] >= ENDPOINTING_S - TOLERANCE_S
    assert stages["turn_hook"] == pytest.approx(truth.duration("hook"), abs=TOLERANCE_S)
    assert stages["llm_first_token"] >= FIRST_TOKEN_S - TOLERANCE_S
    assert stages[semconv.OTHER] <= LARGEST_OTHER * recorded.turn.latency_s
    assert_drawn(recorded)
