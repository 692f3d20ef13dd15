# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the spans of a call are given, seen on hand-made spans of LiveKit's scope."""

from __future__ import annotations

from contextvars import copy_context

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from callspan.call.call import Call
from callspan.call.events import FinalTranscript
from callspan.config.settings import Settings
from callspan.tracing import interruptions
from callspan.tracing.call_trace import CallTrace
from callspan.tracing.enrichment import EnrichingSpanProcessor
from kit.memory import SpanMemory

S = 1_000_000_000


class _Bench:
    """A provider with our processor on it, and a call that spans are made in."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.enricher = EnrichingSpanProcessor(self.provider, settings or Settings())
        self.provider.add_span_processor(self.enricher)
        self.memory = SpanMemory(self.provider)
        self.tracer = self.memory.tracer()
        self.call = Call("job-1", agent_name="desk")
        self.trace = CallTrace(self.call)
        context = copy_context()
        context.run(self.trace.attach)
        self.context = context.run(otel_context.get_current)

    def start(self, name: str, parent: trace.Span | None = None, at: int = 100 * S) -> trace.Span:
        context = (
            self.context if parent is None else trace.set_span_in_context(parent, self.context)
        )
        return self.tracer.start_span(name, context=context, start_time=at)

    def finished(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.memory.spans if span.name == name]


def test_every_span_of_a_call_carries_its_identity() -> None:
    """Identity is there from the start, on spans of anybody; outside of a call nothing is added."""
    bench = _Bench()
    bench.start("job_entrypoint").end()
    bench.provider.get_tracer("httpx").start_span("GET", context=bench.context).end()
    bench.tracer.start_span("elsewhere").end()
    identity = {
        "session.id": "job-1",
        "agent.name": "desk",
        "agent.call.kind": "production",
    }
    assert dict(bench.finished("job_entrypoint")[0].attributes or {}) == identity
    assert dict(bench.finished("GET")[0].attributes or {}) == identity
    assert dict(bench.finished("elsewhere")[0].attributes or {}) == {}


def test_calls_of_one_task_are_traces_of_their_own() -> None:
    """Without a job: LiveKit leaves ``agent_session`` current in the task that started it."""
    tracer = TracerProvider().get_tracer("app")

    def session() -> ReadableSpan:
        opened = CallTrace(Call("a call"))
        opened.attach()
        opened.session = tracer.start_span("agent_session")
        otel_context.attach(trace.set_span_in_context(opened.session))
        assert isinstance(opened.session, ReadableSpan)
        return opened.session

    def calls() -> None:
        around = tracer.start_span("around")
        otel_context.attach(trace.set_span_in_context(around))
        first, second = session(), session()
        # the application's own span stays the parent
        assert first.parent == around.get_span_context()
        assert second.parent is None

    copy_context().run(calls)


def test_turns_are_numbered_and_their_spans_say_which() -> None:
    """The greeting is turn 0; a turn and its answer share a number, which stages inherit."""
    bench = _Bench()
    session = bench.start("agent_session")
    greeting = bench.start("agent_turn", session)
    bench.start("tts_node", greeting).end()
    greeting.end()
    for _ in range(2):
        user = bench.start("user_turn", session)
        bench.start("eou_wait", user).end()
        user.end()
        answer = bench.start("agent_turn", session)
        node = bench.start("llm_node", answer)
        bench.start("llm_request", node).end()
        node.end()
        answer.end()
    session.end()
    index = {
        name: [(span.attributes or {}).get("agent.turn.index") for span in bench.finished(name)]
        for name in ("agent_turn", "tts_node", "user_turn", "eou_wait", "llm_request")
    }
    assert index == {
        "agent_turn": [0, 1, 2],
        "tts_node": [0],
        "user_turn": [1, 2],
        "eou_wait": [1, 2],
        "llm_request": [1, 2],
    }
    assert "agent.turn.index" not in (bench.finished("agent_session")[0].attributes or {})


def test_stt_request_spans_from_first_word_to_last_final() -> None:
    """Several finals in a turn give one span, a child of the turn, with explicit times."""
    bench = _Bench()
    turn = bench.start("user_turn", at=100 * S)
    turn.set_attributes(
        {
            "gen_ai.request.model": "nova",
            "gen_ai.provider.name": "deepgram",
            "lk.transcription_delay": 0.3,
        }
    )
    bench.call.finals = [FinalTranscript(102.0, "hello"), FinalTranscript(103.5, "there")]
    bench.call.stt_audio_s = 3.2
    turn.end(end_time=105 * S)
    (span,) = bench.finished("stt_request")
    assert span.parent == turn.get_span_context()
    assert span.start_time == 100 * S
    assert span.end_time == int(103.5 * S)
    assert dict(span.attributes or {}) == {
        "session.id": "job-1",
        "agent.name": "desk",
        "agent.call.kind": "production",
        "agent.turn.index": 1,
        "gen_ai.operation.name": "speech_to_text",
        "gen_ai.provider.name": "deepgram",
        "gen_ai.request.model": "nova",
        "agent.stt.audio.duration": 3.2,
        "agent.stt.transcription_delay": 0.3,
        "agent.stt.transcript.length": 10,
        "agent.stt.final.count": 2,
    }


def test_a_turn_without_a_transcript_has_no_stt_request() -> None:
    """Noise that came to nothing, and sessions without a recogniser, make no such span."""
    bench = _Bench()
    bench.start("user_turn").end()
    assert bench.finished("stt_request") == []


def test_the_transcript_is_written_only_with_content() -> None:
    """The words are there when asked for."""
    bench = _Bench(Settings(content=True))
    turn = bench.start("user_turn", at=100 * S)
    bench.call.finals = [FinalTranscript(101.0, "hello"), FinalTranscript(102.0, "there")]
    turn.end()
    (span,) = bench.finished("stt_request")
    assert (span.attributes or {})["lk.pii.user_transcript"] == "hello there"


def test_the_root_sums_the_call_up() -> None:
    """What is known at the end is on the root before it ends."""
    bench = _Bench()
    root = bench.start("job_entrypoint")
    session = bench.start("agent_session", root)
    session.set_attributes(
        {
            "lk.sip.callID": "SCL_1",
            "lk.sip.trunkID": "ST_1",
            "lk.sip.ruleID": "SDR_1",
            "lk.pii.sip.phoneNumber": "+15550100",
        }
    )
    session.end()
    call = bench.call
    call.opened_instant, call.closed_instant = 100.0, 142.0
    call.user_message_count, call.interruptions, call.agent_speech_count, call.dtmf_count = (
        3,
        1,
        4,
        2,
    )
    call.close_reason = "participant_disconnected"
    bench.start("job_shutdown", root).end()
    root.end()
    assert dict(bench.finished("job_entrypoint")[0].attributes or {}) == {
        "session.id": "job-1",
        "agent.name": "desk",
        "agent.call.kind": "production",
        "agent.session.turns": 3,
        "agent.session.interruptions": 1,
        "agent.session.duration": 42.0,
        "agent.session.close_reason": "participant_disconnected",
        "agent.outcome": "completed",
        "agent.call.direction": "inbound",
        "agent.call.sip.trunk_id": "ST_1",
        "agent.call.sip.call_id": "SCL_1",
        "agent.call.dtmf.count": 2,
    }


def test_the_phone_number_only_with_content() -> None:
    """With content capture the caller's number is on the root."""
    bench = _Bench(Settings(content=True))
    root = bench.start("job_entrypoint")
    session = bench.start("agent_session", root)
    session.set_attributes({"lk.sip.callID": "SCL_1", "lk.pii.sip.phoneNumber": "+15550100"})
    session.end()
    bench.start("job_shutdown", root).end()
    root.end()
    attributes = bench.finished("job_entrypoint")[0].attributes or {}
    assert attributes["lk.pii.sip.phoneNumber"] == "+15550100"
    assert attributes["agent.call.direction"] == "outbound"


def test_an_interruption_is_an_event_with_kind_and_position() -> None:
    """It stands at the time at which the agent was stopped."""
    bench = _Bench()
    turn = bench.start("agent_turn")
    turn.set_attribute("lk.playout.position", 1.25)
    interruptions.record(turn, "barge_in", 104 * S)
    turn.end()
    (event,) = bench.finished("agent_turn")[0].events
    assert (event.name, event.timestamp, dict(event.attributes or {})) == (
        "interruption",
        104 * S,
        {"agent.interruption.kind": "barge_in", "agent.playout.position": 1.25},
    )


def test_parts_that_are_off_do_nothing() -> None:
    """Each part can be left out alone."""
    bench = _Bench(Settings(disabled_parts=frozenset({"attributes", "stt_request"})))
    turn = bench.start("user_turn", at=100 * S)
    bench.call.finals = [FinalTranscript(101.0, "hello")]
    turn.end()
    assert [span.name for span in bench.memory.spans] == ["user_turn"]
    assert dict(bench.finished("user_turn")[0].attributes or {}) == {}


def test_an_inert_processor_does_nothing() -> None:
    """After uninstrument() a processor that cannot be taken off is as if it were not there."""
    bench = _Bench()
    bench.enricher.active = False
    bench.start("user_turn").end()
    assert dict(bench.finished("user_turn")[0].attributes or {}) == {}


@pytest.mark.usefixtures("production")
def test_settings_that_cannot_be_read_end_no_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """What starts and ends a span, which is the call, sees no error of an enrichment."""
    bench = _Bench()
    spans = [bench.start(name) for name in ("user_turn", "job_shutdown")]

    def fail(*_: object) -> bool:
        raise RuntimeError("no settings")

    monkeypatch.setattr(Settings, "has", fail)
    spans.append(bench.start("agent_turn"))
    for span in spans:
        span.end()
    assert len(bench.memory.spans) == 3
