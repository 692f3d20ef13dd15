# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The record of a call."""

from __future__ import annotations

from callspan.call.call import Call, FinalTranscript


def test_a_turn_takes_its_transcripts_and_leaves_none() -> None:
    """What the recogniser gave belongs to one turn only; what came before it is dropped."""
    late, first, second = (FinalTranscript(t, "x") for t in (9.0, 11.0, 12.0))
    call = Call("1", finals=[late, first, second], stt_audio_s=1.5)
    assert call.take_speech(since=10.0) == ([first, second], 1.5, 0.0)
    assert call.take_speech(since=10.0) == ([], 0.0, 0.0)


def test_duration_is_known_only_of_a_closed_call() -> None:
    """An open call has no duration."""
    assert Call("1", opened_instant=10.0).duration_s is None
    assert Call("1", opened_instant=10.0, closed_instant=12.5).duration_s == 2.5


def test_turns_are_counted_by_whoever_hears_them() -> None:
    """A realtime model that keeps turns to itself shows them by its answers."""
    pipeline = Call("1")
    pipeline.agent_turn_begins()
    assert pipeline.turn_index == 0
    for _ in range(2):
        pipeline.spoken_to = True
        pipeline.user_turn_begins()
        pipeline.agent_turn_begins()
    assert pipeline.turn_index == 2

    realtime = Call("1")
    realtime.agent_turn_begins()
    for _ in range(2):
        realtime.spoken_to = True
        realtime.agent_turn_begins()
        realtime.agent_turn_begins()
    assert realtime.turn_index == 2
