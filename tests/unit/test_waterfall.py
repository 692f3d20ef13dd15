# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The waterfall: what a person sees of a call, compared as a whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callspan import semconv
from callspan.waterfall.layout import layout, ticks
from callspan.waterfall.span_record import SpanRecord, read_json
from callspan.waterfall.svg import render_svg
from callspan.waterfall.text import render
from callspan.waterfall.turn import STAGE_TEXTS

T0 = 1_790_000_000_000
"""When the calls below begin, in milliseconds since the Unix epoch."""
SECRET = "the caller's own words"


class CallBuilder:
    """Spans of a call, in milliseconds since its start; each gets content not to be drawn."""

    def __init__(self) -> None:
        self.spans: list[SpanRecord] = []

    def add(
        self,
        name: str,
        start: int,
        end: int,
        parent: str | None = None,
        events: Sequence[tuple[str, int]] = (),
        error: bool = False,
        **attributes: object,
    ) -> str:
        """Add a span; the attributes' dots are written as double underscores."""
        span_id = f"{len(self.spans) + 1:016x}"
        self.spans.append(
            SpanRecord(
                name=name,
                trace_id="0" * 31 + "1",
                span_id=span_id,
                parent_id=parent,
                start_ns=(T0 + start) * 1_000_000,
                end_ns=(T0 + end) * 1_000_000,
                attributes={k.replace("__", "."): v for k, v in attributes.items()}
                | {"lk.pii.user_transcript": SECRET, "gen_ai.tool.call.arguments": SECRET},
                events=[(n, (T0 + at) * 1_000_000, {"body": SECRET}) for n, at in events],
                error=error,
            )
        )
        return span_id

    def tts(self, parent: str, start: int, end: int, ttfb: int, **attributes: object) -> None:
        """A synthesis with LiveKit's metrics of it."""
        metrics = {
            "timestamp": (T0 + end) / 1000,
            "duration": (end - start) / 1000,
            "ttfb": ttfb / 1000,
        }
        node = self.add("tts_node", start, end, parent, lk__response__ttfb=ttfb / 1000)
        request = self.add(
            "tts_request", start, end, node, lk__tts_metrics=json.dumps(metrics), **attributes
        )
        self.add("tts_request_run", start, end, request)

    def llm(self, parent: str, start: int, end: int, ttft: int) -> None:
        """An inference inside its node."""
        node = self.add("llm_node", start, end, parent, lk__response__ttft=ttft / 1000)
        request = self.add(
            "llm_request", start, end, node, gen_ai__response__time_to_first_chunk=ttft / 1000
        )
        self.add("llm_request_run", start, end, request)

    def user(self, session: str, start: int, end: int, decided: int, final: int) -> str:
        """A user turn: speech, recognition, the wait for its end."""
        turn = self.add(
            "user_turn",
            start,
            decided,
            session,
            lk__transcription_delay=(final - end) / 1000,
            lk__end_of_turn_delay=(decided - end) / 1000,
        )
        self.add("user_speaking", start + 1, end, turn)
        self.add("stt_request", start, final, turn)
        self.add("eou_wait", end, decided, turn, lk__eou__outcome="committed")
        self.add("on_user_turn_completed", decided, decided, turn)
        return turn


def dental_call() -> list[SpanRecord]:
    """Greeting; a turn with a tool; one with a failed tool and a barge-in."""
    call = CallBuilder()
    root = call.add(
        "job_entrypoint",
        0,
        16_000,
        lk__agent_name="receptionist",
        lk__job__dispatch_latency=0.12,
        session__id="AJ_1",
        agent__call__kind="production",
        agent__outcome="booked",
    )
    session = call.add("agent_session", 100, 15_900, root, lk__blocking__count=0)
    call.add("session_start", 100, 180, session)
    greeting = call.add("agent_turn", 200, 2_400, session)
    call.tts(greeting, 200, 500, 150)
    call.add("agent_speaking", 400, 2_400, greeting)

    call.user(session, 3_000, 5_000, decided=5_900, final=5_300)
    delays = {"lk__end_of_turn_delay": 0.9, "lk__transcription_delay": 0.3}
    turn = call.add(
        "agent_turn",
        5_300,
        9_000,
        session,
        events=[("generation", 5_300), ("preemptive_generation_discarded", 5_500)],
        lk__e2e_latency=2.6,
        **delays,
    )
    call.llm(turn, 5_300, 5_500, 150)
    call.llm(turn, 5_600, 6_200, 600)
    call.add("function_tool", 6_200, 6_900, turn, lk__function_tool__name="find_slot")
    call.llm(turn, 6_900, 7_500, 300)
    call.tts(turn, 7_400, 7_900, 200)
    call.tts(turn, 7_900, 8_300, 200)
    call.add("agent_speaking", 7_600, 9_000, turn)

    call.user(session, 9_500, 10_500, decided=11_000, final=10_700)
    turn = call.add(
        "agent_turn",
        11_000,
        13_500,
        session,
        lk__e2e_latency=1.5,
        lk__interrupted=True,
        lk__interruption__source="audio_activity",
        lk__playout__position=1.5,
        lk__end_of_turn_delay=0.5,
    )
    call.llm(turn, 11_000, 11_300, 300)
    call.add(
        "function_tool",
        11_300,
        11_400,
        turn,
        lk__function_tool__name="book",
        lk__function_tool__is_error=True,
    )
    call.llm(turn, 11_400, 11_800, 200)
    call.tts(turn, 11_700, 12_400, 250)
    call.add("agent_speaking", 12_000, 13_500, turn)

    call.add("session_close", 15_000, 15_900, session, lk__close_reason="user_initiated")
    shutdown = call.add("job_shutdown", 15_900, 15_990, root)
    call.add("shutdown_callback", 15_900, 15_960, shutdown)
    call.add("room_disconnect", 15_960, 15_961, shutdown)
    return call.spans


def realtime_call() -> list[SpanRecord]:
    """Speech to speech, with turns detected by the model: no user_turn, no STT, LLM, TTS."""
    call = CallBuilder()
    session = call.add("agent_session", 0, 6_000, lk__agent_label="helper")
    call.add("user_speaking", 500, 2_000, session)
    turn = call.add("agent_turn", 2_400, 5_000, session, lk__e2e_latency=0.9)
    call.add("realtime_inference", 2_400, 4_000, turn)
    call.add("agent_speaking", 2_900, 5_000, turn)
    return call.spans


def text_call() -> list[SpanRecord]:
    """Nobody speaks; each answer is a turn."""
    call = CallBuilder()
    session = call.add("agent_session", 0, 2_000, lk__agent_label="helper")
    for start in (100, 1_000):
        turn = call.add("agent_turn", start, start + 500, session, agent__turn__index=0)
        call.llm(turn, start, start + 480, 400)
        call.add("agent_speaking", start + 480, start + 500, turn)
    return call.spans


def test_a_call_at_100_columns() -> None:
    """Each stage has its bar, the slowest is marked, and the wait is split into its parts."""
    assert "\n" + render(dental_call()) == DENTAL


def test_a_call_at_80_columns_in_ascii() -> None:
    """The same, narrower and without block characters."""
    drawn = render(dental_call(), width=80, ascii_only=True)
    assert max(map(len, drawn.splitlines())) <= 80
    assert "\n" + drawn == DENTAL_ASCII


def test_a_realtime_call() -> None:
    """realtime_inference stands where STT, LLM and TTS were."""
    assert "\n" + render(realtime_call()) == REALTIME


def test_a_text_session() -> None:
    """Without user speech, the wait is counted from the start of the agent's turn."""
    assert "\n" + render(text_call()) == TEXT


def test_the_order_of_spans_does_not_matter() -> None:
    """Spans arrive as they end, and from several batches: the drawing is the same."""
    call = dental_call()
    for shuffled in (call[::-1], call[1::2] + call[::2], sorted(call, key=lambda s: s.name)):
        assert "\n" + render(shuffled) == DENTAL
        assert render_svg(shuffled) == render_svg(call)


@pytest.mark.parametrize("call", [dental_call(), realtime_call(), text_call()])
def test_the_parts_add_up_to_the_wait(call: list[SpanRecord]) -> None:
    """Each instant of a wait belongs to one part."""
    drawn = layout(call)
    assert drawn is not None
    for turn in drawn.turns:
        assert turn.wait is not None
        assert sum(part.seconds for part in turn.wait.parts) == pytest.approx(turn.wait.seconds)
        assert sum(part.slowest for part in turn.wait.parts) == 1


def test_work_done_ahead_is_not_waited_for() -> None:
    """A reply generated while the end of the turn is awaited costs the caller no LLM time."""
    call = CallBuilder()
    session = call.add("agent_session", 0, 5_000)
    call.user(session, 0, 1_000, decided=2_000, final=1_200)
    turn = call.add("agent_turn", 1_200, 4_000, session, lk__e2e_latency=1.3)
    call.llm(turn, 1_200, 1_900, 300)
    call.tts(turn, 2_000, 2_600, 280)
    call.add("agent_speaking", 2_300, 4_000, turn)
    drawn = layout(call.spans)
    assert drawn is not None
    wait = drawn.turns[0].wait
    assert wait is not None
    assert {part.stage: round(part.seconds, 3) for part in wait.parts} == {
        semconv.STAGE_TRANSCRIPTION: 0.2,
        semconv.STAGE_END_OF_TURN: 0.8,
        semconv.STAGE_TTS_FIRST_BYTE: 0.28,
        semconv.STAGE_PLAYBACK: 0.02,
    }


def test_every_stage_has_a_text() -> None:
    """Whatever a wait is divided into can be said, and is one stage of the metric."""
    assert list(STAGE_TEXTS) == list(semconv.STAGES)
    assert len(set(STAGE_TEXTS.values())) == len(STAGE_TEXTS)


def test_turns_are_grouped_by_their_index() -> None:
    """Where spans carry agent.turn.index, it decides, whatever the time says."""
    call = CallBuilder()
    session = call.add("agent_session", 0, 9_000)
    for index, start in ((1, 100), (2, 300)):
        turn = call.add("user_turn", start, start + 150, session, agent__turn__index=index)
        call.add("user_speaking", start, start + 100, turn)
    late = call.add("agent_turn", 400, 3_000, session, agent__turn__index=1)
    call.add("agent_speaking", 500, 3_000, late)
    drawn = layout(call.spans)
    assert drawn is not None
    labels = {turn.index: [row.label for row in turn.rows] for turn in drawn.turns}
    assert labels == {1: ["caller waits", "user_speaking", "agent_speaking"], 2: ["user_speaking"]}


def test_a_call_without_its_root_says_so() -> None:
    """What did arrive is drawn, and the reader is told that it is not all."""
    drawn = render([s for s in dental_call() if s.name != "job_entrypoint"])
    assert "incomplete: the span job_entrypoint is missing\n" in drawn
    assert "caller waited 2.60 s" in drawn


def test_any_span_may_be_missing() -> None:
    """Without any one kind of span, the rest is drawn; orphans stay in the turn of their time."""
    call = dental_call()
    for name in {span.name for span in call}:
        left = [span for span in call if span.name != name]
        assert "── turn 1 ──" in render(left), name
        assert "── turn 2 ──" in render(left), name
        ElementTree.fromstring(render_svg(left))
    orphans = render([s for s in call if s.name not in ("agent_turn", "user_turn", "llm_node")])
    assert "tool find_slot" in orphans


def test_zero_length_spans_are_seen() -> None:
    """A stage that took no measurable time still leaves a mark."""
    call = CallBuilder()
    turn = call.add("agent_turn", 0, 0)
    call.add("llm_request", 0, 0, turn)
    assert render(call.spans).splitlines()[-1] == "  llm_request  ▌" + " " * 78 + "0 ms"


def test_no_spans_draw_nothing() -> None:
    """Nothing in, nothing out; the picture stays a valid document."""
    assert render([]) == ""
    ElementTree.fromstring(render_svg([]))


def test_no_content_and_no_control_characters() -> None:
    """What was said or passed to tools is not drawn; names cannot steer the terminal."""
    call = CallBuilder()
    turn = call.add("agent_turn", 0, 900, gen_ai__agent__name="\x1b[2J<b>&agent\nname")
    call.add("function_tool", 0, 500, turn, lk__function_tool__name="\x1b]0;title\x07find")
    for spans in (dental_call(), call.spans):
        for drawn in (render(spans), render_svg(spans)):
            assert SECRET not in drawn
            assert "\x1b" not in drawn
            assert "\x07" not in drawn
    assert "[2J<b>&agentname" in render(call.spans)


def test_colour_changes_nothing_but_colour() -> None:
    """Without its escape sequences, the coloured drawing is the plain one."""
    coloured = render(dental_call(), colour=True)
    plain = render(dental_call())
    for code in ("1;31", "0", "1", "2", "32", "33", "34", "35", "36", "93", "94"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert [line.rstrip() for line in coloured.splitlines()] == plain.splitlines()


def test_ticks_are_round_and_few() -> None:
    """An axis has labels at 1, 2 or 5 times a power of ten, apart from one another."""
    second = 1_000_000_000
    assert [text for _, text in ticks(0, 9 * second, 4 * second, 50)] == [
        "-4 s", "-2 s", "0 s", "2 s", "4 s",
    ]  # fmt: skip
    assert [text for _, text in ticks(0, 9 * second, 4 * second, 20)] == ["0 s", "5 s"]


# --- whatever comes in ----------------------------------------------------------------------------

KNOWN = sorted({(s.name) for call in (dental_call(), realtime_call()) for s in call})
KEYS = sorted({key for call in (dental_call(), text_call()) for s in call for key in s.attributes})
IDS = st.sampled_from(["", "1", "2", "3", "4"])
TIMES = st.integers() | st.integers(0, 10**10)
VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())
)
ATTRIBUTES = st.dictionaries(st.sampled_from(KEYS) | st.text(), VALUES, max_size=4)
RECORDS = st.builds(
    SpanRecord,
    name=st.sampled_from(KNOWN) | st.text(),
    trace_id=IDS,
    span_id=IDS,
    parent_id=st.none() | IDS,
    start_ns=TIMES,
    end_ns=TIMES,
    attributes=ATTRIBUTES,
    events=st.lists(
        st.tuples(st.just("preemptive_generation_discarded") | st.text(), TIMES, ATTRIBUTES),
        max_size=2,
    ),
    error=st.booleans(),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(RECORDS, max_size=12), st.integers(-5, 200))
def test_any_spans_can_be_drawn(spans: list[SpanRecord], width: int) -> None:
    """Whatever the spans are, they render to text, and to a picture that is well-formed."""
    assert isinstance(render(spans, width=width, colour=True), str)
    assert render(spans, width=width, ascii_only=True).isascii()
    ElementTree.fromstring(render_svg(spans, width=width))


@settings(max_examples=200, deadline=None)
@given(st.text() | st.recursive(VALUES, lambda v: st.dictionaries(st.text(), v)).map(json.dumps))
def test_any_text_can_be_read(text: str) -> None:
    """A file that is no file of spans holds no spans."""
    assert list(read_json(text)) == []


# --- expected, whole ------------------------------------------------------------------------------

DENTAL = """
receptionist · call AJ_1 · 16.00 s · 2 turns · longest wait 2.60 s (turn 1) · outcome booked
production

                  0 s    2 s    4 s    6 s     8 s    10 s   12 s   14 s
  user speaks               ▐███████▌               ████▌                      3.00 s
  caller waits                      ░░░░░░░░░░          ░░░░░░                 4.10 s
  agent speaks     ████████                  ▐█████          ▐█████            4.90 s

── start ── at 100 ms ── dispatch 120 ms · session_start 80 ms
── greeting ── at 200 ms ── first output after 200 ms (TTS first byte 150 ms, playback 50 ms)
   spoke 2.00 s

── turn 1 ── at 3.00 s ── caller waited 2.60 s ─────────────────────────────────────────────────────
   transcription 300 ms · end of turn 600 ms · LLM first token 600 ms · tools 700 ms ◀ slowest
   sentence 200 ms · TTS first byte 200 ms
                  -2 s     -1 s      0 s       1 s       2 s       3 s
  caller waits                       ░░░░░░░░░░░░░░░░░░░░░░░░░░░               2.60 s
  user_speaking   ████████████████████                         ┊               2.00 s
  stt_request     ███████████████████████                      ┊               2.30 s
  eou_wait                           ▐█████████                ┊               900 ms
  llm_request                        ┊  ▐██                    ┊               200 ms  discarded
  llm_request                        ┊     ▐█████▌             ┊               600 ms
  tool find_slot                     ┊           ███████▌      ┊               700 ms  ◀ slowest
  llm_request                        ┊                  ██████▌┊               600 ms
  tts_request ×2                     ┊                       █████████▌        900 ms
  agent_speaking                     ┊                         ████████████▸   1.40 s

── turn 2 ── at 9.50 s ── caller waited 1.50 s ─────────────────────────────────────────────────────
   transcription 200 ms · end of turn 300 ms · LLM first token 500 ms ◀ slowest · tools 100 ms
   sentence 100 ms · TTS first byte 250 ms · playback 50 ms
   agent interrupted after 1.50 s of speech by audio_activity
                  -1 s    -0.5 s  0 s     0.5 s    1 s     1.5 s   2 s
  caller waits                    ░░░░░░░░░░░░░░░░░░░░░░░░░░                   1.50 s
  user_speaking   █████████████████                        ┊                   999 ms
  stt_request     ████████████████████                     ┊                   1.20 s
  eou_wait                        ▐████████                ┊                   500 ms
  llm_request                     ┊       ▐█████           ┊                   300 ms  ◀ slowest
  tool book                       ┊            ▐█▌         ┊                   100 ms  ✗ failed
  llm_request                     ┊              ███████▌  ┊                   400 ms
  tts_request                     ┊                   ████████████▌            700 ms
  agent_speaking                  ┊                        ████████████████▸   1.50 s  ✂ interrupted

── close ── at 15.00 s ── session_close 900 ms · user_initiated
── shutdown ── at 15.90 s ── job_shutdown 90 ms · shutdown_callback 60 ms
"""

DENTAL_ASCII = """
receptionist - call AJ_1 - 16.00 s - 2 turns - longest wait 2.60 s (turn 1)
outcome booked - production

                  0 s        5 s         10 s
  user speaks            #####          ###                3.00 s
  caller waits               ........     .....            4.10 s
  agent speaks    ######            ####      #####        4.90 s

-- start -- at 100 ms -- dispatch 120 ms - session_start 80 ms
-- greeting -- at 200 ms --
   first output after 200 ms (TTS first byte 150 ms, playback 50 ms)
   spoke 2.00 s

-- turn 1 -- at 3.00 s -- caller waited 2.60 s ---------------------------------
   transcription 300 ms - end of turn 600 ms - LLM first token 600 ms
   tools 700 ms < slowest - sentence 200 ms - TTS first byte 200 ms
                  -2 s  -1 s  0 s    1 s   2 s    3 s
  caller waits                ..................           2.60 s
  user_speaking   #############                :           2.00 s
  stt_request     ###############              :           2.30 s
  eou_wait                    #######          :           900 ms
  llm_request                 : ###            :           200 ms  discarded
  llm_request                 :   #####        :           600 ms
  tool find_slot              :       ######   :           700 ms  < slowest
  llm_request                 :            ####:           600 ms
  tts_request x2              :               #######      900 ms
  agent_speaking              :                ########>   1.40 s

-- turn 2 -- at 9.50 s -- caller waited 1.50 s ---------------------------------
   transcription 200 ms - end of turn 300 ms - LLM first token 500 ms < slowest
   tools 100 ms - sentence 100 ms - TTS first byte 250 ms - playback 50 ms
   agent interrupted after 1.50 s of speech by audio_activity
                  -1 s      0 s        1 s        2 s
  caller waits              ..................             1.50 s
  user_speaking   ###########                :             999 ms
  stt_request     ##############             :             1.20 s
  eou_wait                  #######          :             500 ms
  llm_request               :     ####       :             300 ms  < slowest
  tool book                 :        ##      :             100 ms  x failed
  llm_request               :         #####  :             400 ms
  tts_request               :            #########         700 ms
  agent_speaking            :                ##########>   1.50 s  ! interrupted

-- close -- at 15.00 s -- session_close 900 ms - user_initiated
-- shutdown -- at 15.90 s -- job_shutdown 90 ms - shutdown_callback 60 ms
"""

REALTIME = """
helper · 6.00 s · 1 turn · longest wait 900 ms (turn 1)

                      0 s      1 s       2 s       3 s      4 s       5 s
  user speaks             ▐██████████████▌                                         1.50 s
  caller waits                           ░░░░░░░░░░                                900 ms
  agent speaks                                    ████████████████████▌            2.10 s

── turn 1 ── at 500 ms ── caller waited 900 ms ─────────────────────────────────────────────────────
   end of turn 400 ms · LLM first token 500 ms ◀ slowest
                      -1 s      -0.5 s    0 s       0.5 s     1 s       1.5 s
  caller waits                            ░░░░░░░░░░░░░░░░░░┊                      900 ms
  user_speaking       ◂███████████████████┊                 ┊                      1.50 s
  realtime_inference                      ┊       █████████████████████████████▸   1.60 s  ◀ slowest
  agent_speaking                          ┊                 ███████████████████▸   2.10 s
"""

TEXT = """
helper · 2.00 s · 2 turns

                  0 s            0.5 s           1 s            1.5 s
  caller waits       ░░░░░░░░░░░░░░░             ░░░░░░░░░░░░░░░                   960 ms
  agent speaks                     ▐█                          ▐▌                   40 ms

── turn 1 ── at 100 ms ── no user speech, first output after 480 ms ────────────────────────────────
   LLM first token 400 ms ◀ slowest · other 80 ms
                  0 s         0.1 s       0.2 s        0.3 s       0.4 s
  caller waits    ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░     480 ms
  llm_request     ████████████████████████████████████████████████████████████     480 ms  ◀ slowest
  agent_speaking  ┊                                                          ▐██    20 ms

── turn 2 ── at 1.00 s ── no user speech, first output after 480 ms ────────────────────────────────
   LLM first token 400 ms ◀ slowest · other 80 ms
                  0 s         0.1 s       0.2 s        0.3 s       0.4 s
  caller waits    ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░     480 ms
  llm_request     ████████████████████████████████████████████████████████████     480 ms  ◀ slowest
  agent_speaking  ┊                                                          ▐██    20 ms
"""
