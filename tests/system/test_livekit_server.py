# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Real calls: a LiveKit server, a worker registered with it, speech over WebRTC, keys, hang-up."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from livekit import api

from kit.logged_process import LoggedProcess
from kit.paths import PYTHONPATH
from offline.llm_server import Reply, Rule, Script, ScriptedChatServer
from offline.received import ReceivedSpan
from offline.receiver import OtlpReceiver
from system.caller import Caller, Visit, browser_visit, telephone_call
from system.livekit_server import LiveKitServer

# the first run on a machine builds the server, which takes minutes
pytestmark = pytest.mark.timeout(900)

HERE = Path(__file__).parent
ROOM_AGENT = HERE / "room_agent.py"

SAID_BY_CODE = ("Dental clinic, good morning.", "You pressed the pound key.")
"""What room_agent.py says without a model; importing it here would instrument the test."""

CALLS_TIMEOUT_S = 120
"""They take about 15 s; a machine that does other things as well may take several times that."""

TRUNK_ID = "ST_reception"
KEYS = "12#"
QUESTIONS = {
    telephone_call("+15105550101", trunk_id=TRUNK_ID, call_id="SCL_hours"): (
        "what are your opening hours"
    ),
    telephone_call("+15105550102", trunk_id=TRUNK_ID, call_id="SCL_price"): (
        "how much is a cleaning"
    ),
}
"""What each caller on the telephone asks the worker that keeps content to itself."""
PAGE = browser_visit("annabel")
PAGE_LANGUAGE = "Frisian, from the west"
RECORDED = telephone_call("+15105550103", trunk_id=TRUNK_ID, call_id="SCL_recorded")
"""A call to the worker that exports content."""
RECORDED_QUESTION = "are you open on saturday"

SCRIPT = Script(
    [
        Rule(Reply("We open at nine and close at five."), user="opening hours"),
        Rule(Reply("A cleaning is eighty dollars."), user="how much"),
        Rule(Reply("Only in the morning."), user="saturday"),
        Rule(Reply("I did not hear you well.")),
    ]
)
"""Real recognition can mishear; the conversation goes on as it would with a caller."""


@dataclass(frozen=True)
class Export:
    """What a worker sent out in its life.

    Attributes:
        spans: All spans.
        everything: All signals as one text.
        log: What the worker printed.
        exit_code: How it ended.
    """

    spans: list[ReceivedSpan]
    everything: str
    log: str
    exit_code: int

    def traces(self) -> dict[str, list[ReceivedSpan]]:
        """Return the spans by trace."""
        traces: defaultdict[str, list[ReceivedSpan]] = defaultdict(list)
        for span in self.spans:
            traces[span.trace_id].append(span)
        return traces

    def roots(self) -> list[ReceivedSpan]:
        """Return the spans without a parent."""
        return [span for span in self.spans if not span.parent_span_id]

    def trace_of(self, visit: Visit) -> dict[str, list[ReceivedSpan]]:
        """Return the spans of a telephone call, by name."""
        call_id = visit.attributes["sip.callID"]
        (root,) = [
            span
            for span in self.roots()
            if span.attributes.get("agent.call.sip.call_id") == call_id
        ]
        named: defaultdict[str, list[ReceivedSpan]] = defaultdict(list)
        for span in self.traces()[root.trace_id]:
            named[span.name].append(span)
        return named


@pytest.fixture(scope="module")
def exports(livekit_server: LiveKitServer) -> Iterator[tuple[Export, Export]]:
    """The exports of two workers that took four calls at once: without content, and with it."""
    with (
        ScriptedChatServer(SCRIPT) as chat,
        OtlpReceiver() as receiver,
        OtlpReceiver() as content_receiver,
        _worker("reception", livekit_server, chat, receiver) as worker,
        _worker("recorded", livekit_server, chat, content_receiver, content=True) as recorded,
    ):
        worker.wait_until_ready(timeout_s=240)
        recorded.wait_until_ready(timeout_s=240)
        try:
            asyncio.run(asyncio.wait_for(_make_calls(livekit_server), CALLS_TIMEOUT_S))
        except TimeoutError:
            pytest.fail(
                f"the calls did not end within {CALLS_TIMEOUT_S} s; the workers' logs:\n"
                f"{worker.log}\n{recorded.log}"
            )
        yield _end(worker, receiver), _end(recorded, content_receiver)


@pytest.fixture(scope="module")
def export(exports: tuple[Export, Export]) -> Export:
    """What is sent out by default."""
    return exports[0]


@pytest.fixture(scope="module")
def content_export(exports: tuple[Export, Export]) -> Export:
    """What is sent out with content on."""
    return exports[1]


def _worker(
    name: str,
    server: LiveKitServer,
    chat: ScriptedChatServer,
    receiver: OtlpReceiver,
    *,
    content: bool = False,
) -> LoggedProcess:
    env = {
        **server.environment,
        "LIVEKIT_AGENT_NAME": name,
        "OPENAI_BASE_URL": chat.base_url,
        "OPENAI_API_KEY": "none is needed",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "PYTHONPATH": PYTHONPATH,
    }
    if content:
        env["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"
    return LoggedProcess(
        [sys.executable, "-m", "livekit.agents", "start", str(ROOM_AGENT)],
        ready="registered worker",
        env=env,
    )


async def _make_calls(server: LiveKitServer) -> None:
    """Have everybody call at once; half of them are dispatched an agent, half bring the order."""
    (first, first_question), (second, second_question) = QUESTIONS.items()
    async with (
        api.LiveKitAPI(server.url, server.api_key, server.api_secret) as livekit,
        asyncio.TaskGroup() as together,
    ):
        for room, agent_name in ((first.room, "reception"), (RECORDED.room, "recorded")):
            await livekit.agent_dispatch.create_dispatch(
                api.CreateAgentDispatchRequest(agent_name=agent_name, room=room)
            )
        together.create_task(_ask(server, first.token(server), first_question))
        together.create_task(_ask(server, RECORDED.token(server), RECORDED_QUESTION))
        together.create_task(
            _ask(server, second.token(server, agent_name="reception"), second_question)
        )
        together.create_task(_look_in(server, PAGE.token(server, agent_name="reception")))


async def _ask(server: LiveKitServer, token: str, question: str) -> None:
    """Be greeted, ask, be answered, press keys, be told so, hang up."""
    async with Caller(server, token) as caller:
        await caller.hears_agent(times=1)
        await caller.says(question)
        await caller.hears_agent(times=2)
        await caller.presses(KEYS)
        await caller.hears_agent(times=3)


async def _look_in(server: LiveKitServer, token: str) -> None:
    """Be greeted, let the page say which language it is in, leave."""
    async with Caller(server, token) as caller:
        await caller.hears_agent(times=1)
        await caller.invokes("language", PAGE_LANGUAGE)


def _end(worker: LoggedProcess, receiver: OtlpReceiver) -> Export:
    """End a worker as a deployment does: it sees its calls to their end first."""
    exit_code = worker.stop(timeout_s=30)
    spans = receiver.spans
    signals = [
        *(json.dumps(dataclasses.asdict(span)) for span in spans),
        *map(str, receiver.metric_requests),
        *map(str, receiver.log_requests),
    ]
    return Export(spans, "\n".join(signals), worker.log, exit_code)


def test_every_call_is_one_whole_trace(export: Export) -> None:
    """As many traces as calls, each with one root, no span twice, none without its parent."""
    assert [span.name for span in export.roots()] == ["job_entrypoint"] * 3
    assert len(export.traces()) == 3
    assert len({(span.trace_id, span.span_id) for span in export.spans}) == len(export.spans)
    for spans in export.traces().values():
        known = {span.span_id for span in spans}
        assert [s.name for s in spans if s.parent_span_id and s.parent_span_id not in known] == []
        assert len({span.attributes["session.id"] for span in spans}) == 1


@pytest.mark.parametrize("visit", QUESTIONS, ids=lambda visit: visit.attributes["sip.callID"])
def test_the_root_sums_up_a_telephone_call(export: Export, visit: Visit) -> None:
    """Outcome, length, turns, line and keys are on the root when the call is over."""
    (root,) = export.trace_of(visit)["job_entrypoint"]
    summary = {key: value for key, value in root.attributes.items() if key.startswith("agent.")}
    duration = summary.pop("agent.session.duration")
    used = {key: summary.pop(key) for key in list(summary) if key.startswith("agent.usage.")}
    assert used["agent.usage.llm.input_tokens"] > 0
    assert used["agent.usage.tts.characters"] > 0
    assert summary == {
        "agent.name": "reception",
        "agent.call.kind": "production",
        "agent.outcome": "completed",
        "agent.session.turns": 1,
        "agent.session.interruptions": 0,
        "agent.session.close_reason": "participant_disconnected",
        "agent.call.direction": "inbound",
        "agent.call.sip.trunk_id": TRUNK_ID,
        "agent.call.sip.call_id": visit.attributes["sip.callID"],
        "agent.call.dtmf.count": len(KEYS),
    }
    assert 0 < duration < (root.end_ns - root.start_ns) / 1e9


@pytest.mark.parametrize("visit", QUESTIONS, ids=lambda visit: visit.attributes["sip.callID"])
def test_the_trace_reaches_from_dispatch_to_the_room(export: Export, visit: Visit) -> None:
    """How long the dispatch took is on the root; joining the room and its media are spans."""
    named = export.trace_of(visit)
    (root,) = named["job_entrypoint"]
    stages = ("accept", "assignment", "launch", "entrypoint")
    latencies = [root.attributes[f"lk.job.{stage}_latency"] for stage in stages]
    assert all(latency >= 0 for latency in latencies)
    assert root.attributes["lk.job.dispatch_latency"] == pytest.approx(sum(latencies), abs=1e-3)
    (session,) = named["agent_session"]
    (start,) = named["session_start"]
    assert start.parent_span_id == session.span_id
    for name in (
        "room_connect",
        "wait_for_participant",
        "wait_for_audio_track",
        "publish_audio_output",
    ):
        (span,) = named[name]
        assert span.parent_span_id == start.span_id, name


@pytest.mark.parametrize("visit", QUESTIONS, ids=lambda visit: visit.attributes["sip.callID"])
def test_what_was_said_into_the_telephone_has_an_stt_request(export: Export, visit: Visit) -> None:
    """Speech that came over WebRTC gives one recognition, within its turn."""
    named = export.trace_of(visit)
    (turn,) = named["user_turn"]
    (stt,) = named["stt_request"]
    assert stt.parent_span_id == turn.span_id
    assert stt.start_ns == turn.start_ns
    assert stt.start_ns < stt.end_ns <= turn.end_ns
    assert stt.attributes["gen_ai.provider.name"] == "pocketsphinx"
    assert stt.attributes["agent.stt.audio.duration"] > 0
    assert stt.attributes["agent.stt.transcript.length"] > 0


def test_nothing_that_names_a_caller_is_exported_by_default(export: Export) -> None:
    """Numbers, identities, room names, SIP headers, words: in no signal, wherever one looks."""
    assert export.everything.count("SCL_hours") > 0
    names = [
        word
        for visit in (*QUESTIONS, PAGE)
        for word in (visit.identity, visit.room, visit.display_name)
    ]
    numbers = [visit.attributes["sip.phoneNumber"].lstrip("+") for visit in QUESTIONS]
    words = [
        "A Caller",
        "5105550199",
        *QUESTIONS.values(),
        *(rule.reply.text for rule in SCRIPT.rules),
        *SAID_BY_CODE,
        *(PAGE_LANGUAGE, "the language was noted"),
    ]
    leaked = [word for word in (*names, *numbers, *words) if word in export.everything]
    assert leaked == []


def test_a_visitor_who_leaves_early_abandons_the_call(export: Export) -> None:
    """Without a telephone there is no line; what the page asked of the agent is in the trace."""
    (root,) = [s for s in export.roots() if s.attributes["agent.outcome"] == "abandoned"]
    assert not [key for key in root.attributes if key.startswith("agent.call.sip.")]
    assert "agent.call.direction" not in root.attributes
    assert "agent.call.dtmf.count" not in root.attributes
    assert "rpc_handler" in {span.name for span in export.traces()[root.trace_id]}


def test_with_content_on_the_number_and_the_words_are_there(content_export: Export) -> None:
    """The number is on the root, the transcript on its recognition, every word in some span."""
    named = content_export.trace_of(RECORDED)
    (root,) = named["job_entrypoint"]
    assert root.attributes["lk.pii.sip.phoneNumber"] == RECORDED.attributes["sip.phoneNumber"]
    assert root.attributes["lk.pii.room_name"] == RECORDED.room
    (stt,) = named["stt_request"]
    heard = stt.attributes["lk.pii.user_transcript"].split()
    assert len(set(heard) & set(RECORDED_QUESTION.split())) >= 3
    assert [text for text in SAID_BY_CODE if text not in content_export.everything] == []


def test_the_workers_end_with_nothing_left_behind(exports: tuple[Export, Export]) -> None:
    """They see their calls out and go; no line in the log says that telemetry was lost.

    That the stand-ins have no price is said of each once, however many calls use it.
    """
    for export in exports:
        assert export.exit_code == 0, export.log
        complaints = [
            line
            for line in map(_parsed, export.log.splitlines())
            if str(line.get("name", "")).startswith(("opentelemetry", "callspan"))
            and line["level"] != "INFO"
        ]
        unpriced = [line for line in complaints if "no price for" in str(line["message"])]
        assert complaints == unpriced
        assert len({str(line["message"]) for line in unpriced}) == len(unpriced)


def _parsed(line: str) -> dict[str, object]:
    """Read a line of a worker's log, which is JSON where LiveKit wrote it."""
    try:
        entry = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return entry if isinstance(entry, dict) else {}
