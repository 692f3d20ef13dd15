# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the caller waited for: who is waited for when several stages are in progress."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callspan import semconv
from callspan.call.turn_latency import Answer, Claim, EndOfTurn, Generation, divide

NOW = 1_800_000_000.0
"""The caller stops speaking."""


def stages(answer: Answer) -> dict[str, float]:
    """The stages that took time."""
    return {name: pytest.approx(s) for name, s in answer.stages().items() if s > 1e-6}


def ended(*, transcription: float = 0.2, decision: float = 0.5, hook: float = 0.1) -> EndOfTurn:
    return EndOfTurn(NOW + decision + hook, transcription, decision, hook)


def spoken(ask: float, token: float, sentence: float, byte: float) -> Generation:
    return Generation(NOW + ask, NOW + token, NOW + sentence, NOW + byte)


def test_one_after_the_other() -> None:
    """Where nothing overlaps each stage is as long as it took; end_of_turn less transcription."""
    answer = Answer(
        heard_at=NOW + 2.0,
        latency=2.0,
        playback_latency=0.1,
        end_of_turn=ended(),
        generations=[spoken(0.6, 1.0, 1.3, 1.9)],
    )
    assert stages(answer) == {
        "transcription": 0.2,
        "end_of_turn": 0.3,
        "turn_hook": 0.1,
        "llm_first_token": 0.4,
        "sentence": 0.3,
        "tts_first_byte": 0.6,
        "playback": 0.1,
    }


def test_gaps_are_other() -> None:
    """Time in which nothing is known to run is no stage's."""
    answer = Answer(
        heard_at=NOW + 2.0,
        latency=2.0,
        end_of_turn=EndOfTurn(NOW + 0.8, 0.2, 0.5, 0.1),
        generations=[spoken(1.0, 1.4, 1.4, 1.9)],
    )
    assert stages(answer) == {
        "transcription": 0.2,
        "end_of_turn": 0.3,
        "turn_hook": 0.1,
        "llm_first_token": 0.4,
        "tts_first_byte": 0.5,
        "other": 0.5,
    }


def test_a_preemptive_generation_that_was_ready_costs_nothing() -> None:
    """It ran while the turn had not ended; its stages are there, at 0."""
    answer = Answer(
        heard_at=NOW + 1.0,
        latency=1.0,
        end_of_turn=ended(),
        generations=[spoken(0.2, 0.4, 0.6, 1.0)],
    )
    assert answer.stages()["llm_first_token"] == 0.0
    assert stages(answer) == {
        "transcription": 0.2,
        "end_of_turn": 0.3,
        "turn_hook": 0.1,
        "tts_first_byte": 0.4,
    }


def test_the_rest_of_a_preemptive_generation_is_waited_for() -> None:
    """Only what of it lies after the end of the turn."""
    answer = Answer(
        heard_at=NOW + 1.0,
        latency=1.0,
        end_of_turn=ended(),
        generations=[spoken(0.2, 0.75, 0.8, 1.0)],
    )
    assert stages(answer)["llm_first_token"] == 0.15


def test_a_discarded_generation_is_not_counted_twice() -> None:
    """Two runs of the model at a time are one wait for it."""
    answer = Answer(
        heard_at=NOW + 2.0,
        latency=2.0,
        end_of_turn=ended(),
        generations=[Generation(NOW + 0.3, NOW + 0.9), spoken(0.6, 1.2, 1.3, 2.0)],
    )
    assert stages(answer)["llm_first_token"] == 0.6


def test_two_tools_at_a_time_are_one_wait() -> None:
    """The answer needs both, and both are there when the longer one is."""
    answer = Answer(
        heard_at=NOW + 3.0,
        latency=3.0,
        end_of_turn=ended(),
        generations=[Generation(NOW + 0.6, NOW + 1.0), spoken(1.9, 2.2, 2.4, 3.0)],
        tools=[(NOW + 1.0, NOW + 1.5), (NOW + 1.1, NOW + 1.9)],
    )
    assert stages(answer) == {
        "transcription": 0.2,
        "end_of_turn": 0.3,
        "turn_hook": 0.1,
        "tools": 0.9,
        "llm_first_token": 0.7,
        "sentence": 0.2,
        "tts_first_byte": 0.6,
    }


def test_two_tools_one_after_the_other_are_both_waited_for() -> None:
    """So are the generations that called them."""
    answer = Answer(
        heard_at=NOW + 4.0,
        latency=4.0,
        generations=[
            Generation(NOW, NOW + 0.5),
            Generation(NOW + 1.0, NOW + 1.5),
            spoken(2.5, 3.0, 3.0, 4.0),
        ],
        tools=[(NOW + 0.5, NOW + 1.0), (NOW + 1.5, NOW + 2.5)],
    )
    assert stages(answer) == {"llm_first_token": 1.5, "tools": 1.5, "tts_first_byte": 1.0}


def test_words_before_a_tool_are_not_waiting_for_it() -> None:
    """Once the words that were heard are with the voice, a tool keeps nobody waiting."""
    answer = Answer(
        heard_at=NOW + 2.0,
        latency=2.0,
        end_of_turn=ended(),
        generations=[spoken(0.6, 1.0, 1.5, 2.0)],
        tools=[(NOW + 1.2, NOW + 3.0)],
    )
    assert stages(answer) == {
        "transcription": 0.2,
        "end_of_turn": 0.3,
        "turn_hook": 0.1,
        "llm_first_token": 0.4,
        "sentence": 0.2,
        "tools": 0.3,
        "tts_first_byte": 0.5,
    }


def test_what_a_tool_has_said_ends_the_wait_for_it() -> None:
    """The tool goes on, and the agent says something meanwhile."""
    answer = Answer(
        heard_at=NOW + 3.0,
        latency=3.0,
        end_of_turn=ended(),
        generations=[
            Generation(NOW + 0.6, NOW + 1.0),
            Generation(sentence_at=NOW + 2.5, first_byte_at=NOW + 3.0),
        ],
        tools=[(NOW + 1.0, NOW + 5.0)],
    )
    assert stages(answer)["tools"] == 1.5
    assert stages(answer)["tts_first_byte"] == 0.5


def test_a_realtime_model_that_speaks_before_its_tool_is_not_waiting_for_it() -> None:
    """Its audio is handed out, and sounds late: that is playback."""
    answer = Answer(
        heard_at=NOW + 2.0,
        latency=2.0,
        playback_latency=0.3,
        tools=[(NOW + 1.4, NOW + 3.0)],
        requests=[NOW + 0.5],
    )
    assert stages(answer) == {
        "end_of_turn": 0.5,
        "llm_first_token": 0.9,
        "tools": 0.3,
        "playback": 0.3,
    }


def test_a_turn_without_tools_has_no_such_stage() -> None:
    """Nor does a tool of the turn before make one."""
    answer = Answer(heard_at=NOW + 1.0, latency=1.0, tools=[(NOW - 5, NOW - 4)])
    assert "tools" not in answer.stages()


def test_an_end_of_turn_without_delays_ended_before_the_hook() -> None:
    """LiveKit has 0 for what it could not compute, but it says when all was decided."""
    answer = Answer(
        heard_at=NOW + 2.0,
        latency=2.0,
        end_of_turn=EndOfTurn(NOW + 0.75, 0.0, 0.0, 0.25),
        requests=[NOW + 0.75],
    )
    assert stages(answer) == {"end_of_turn": 0.5, "turn_hook": 0.25, "llm_first_token": 1.25}


def test_a_decision_of_an_earlier_turn_says_nothing() -> None:
    """A turn whose end LiveKit did not tell is not given that of another."""
    answer = Answer(
        heard_at=NOW + 1.0, latency=1.0, end_of_turn=EndOfTurn(NOW - 3.0, 0.2, 0.5, 0.1)
    )
    assert stages(answer) == {"other": 1.0}


def test_a_realtime_reply_is_one_wait_less_its_tools() -> None:
    """The model's service decides that the turn is over: by then it has begun to answer."""
    answer = Answer(
        heard_at=NOW + 2.0,
        latency=2.0,
        playback_latency=0.1,
        tools=[(NOW + 0.9, NOW + 1.4)],
        requests=[NOW - 20.0, NOW + 0.5, NOW + 1.4],
    )
    assert stages(answer) == {
        "end_of_turn": 0.5,
        "tools": 0.5,
        "llm_first_token": 0.9,
        "playback": 0.1,
    }


def test_a_realtime_model_that_is_given_a_voice() -> None:
    """Its text goes to a text-to-speech service, which is waited for by itself."""
    answer = Answer(
        heard_at=NOW + 2.0,
        latency=2.0,
        generations=[Generation(sentence_at=NOW + 1.2, first_byte_at=NOW + 2.0)],
        requests=[NOW + 0.5],
    )
    assert stages(answer) == {"end_of_turn": 0.5, "llm_first_token": 0.7, "tts_first_byte": 0.8}


instants = st.floats(min_value=-100, max_value=100)
claims = st.lists(
    st.builds(Claim, st.sampled_from(semconv.STAGES[:-1]), instants, instants), max_size=12
)
latencies = st.floats(min_value=0, max_value=60)


def durations(latency: float, claims: list[Claim]) -> dict[str, float]:
    """Seconds of every stage."""
    divided = dict.fromkeys(semconv.STAGES, 0.0)
    for stage, start, end in divide(latency, claims):
        divided[stage] += end - start
    return divided


@given(claims=claims, latency=latencies)
def test_each_instant_is_one_stages(claims: list[Claim], latency: float) -> None:
    """Whatever is in progress when, stretches follow one another from beginning to end."""
    stretches = divide(latency, claims)
    edges = [0.0, *(stretch.end for stretch in stretches)]
    assert [stretch.start for stretch in stretches] == edges[:-1]
    assert edges[-1] == latency
    assert edges == sorted(edges)
    assert sum(durations(latency, claims).values()) == pytest.approx(latency, rel=1e-12, abs=1e-12)
    assert {s.stage for s in stretches} <= {claim.stage for claim in claims} | {semconv.OTHER}


@given(claims=claims, latency=latencies)
def test_the_order_of_telling_does_not_matter(claims: list[Claim], latency: float) -> None:
    """A division depends on what was in progress, not on who said so first."""
    assert divide(latency, claims) == divide(latency, list(reversed(claims)))


@given(claims=claims, latency=latencies, start=instants, end=instants)
def test_what_all_else_depends_on_takes_its_whole_length(
    claims: list[Claim], latency: float, start: float, end: float
) -> None:
    """The first stage is waited for as long as it is in progress, whatever else is."""
    others = [claim for claim in claims if claim.stage != semconv.STAGE_TRANSCRIPTION]
    first = Claim(semconv.STAGE_TRANSCRIPTION, start, end)
    within = max(min(end, latency) - max(start, 0.0), 0.0)
    divided = durations(latency, [*others, first])
    assert divided[semconv.STAGE_TRANSCRIPTION] == pytest.approx(within)


@given(claims=claims, latency=latencies)
def test_other_is_when_nothing_is_in_progress(claims: list[Claim], latency: float) -> None:
    """Time is not taken from a stage for being short, nor left over for being crowded."""
    whole = Claim(semconv.STAGE_PLAYBACK, -1.0, latency + 1.0)
    assert durations(latency, [*claims, whole])[semconv.OTHER] == 0.0


def test_a_latency_below_0_has_no_stages() -> None:
    """A clock was wrong: nothing is divided, and nothing fails."""
    answer = Answer(heard_at=NOW, latency=-1.0, end_of_turn=ended())
    assert set(answer.stages().values()) == {0.0}
    assert answer.stretches() == []
