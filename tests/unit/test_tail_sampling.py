# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Which calls' traces are kept, and what becomes of spans until that is decided."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from callspan import environment_variables
from callspan.call.call import Call
from callspan.call.events import TurnAnswered
from callspan.call.tail_sampling import TailSamplingRules
from callspan.config import settings
from callspan.export.span_buffer import SpanBuffer

HALF = 1 << 63


def test_a_latency_that_cannot_be_makes_no_call_slow() -> None:
    """An hour that did not pass is nothing to look at."""
    call = Call("1")
    for latency_s in (1.6, 3600.0, -3600.0, 1.5):
        call.apply(TurnAnswered(latency_s, {}))
    assert call.slowest_turn_s == 1.6


@pytest.mark.parametrize(
    ("text", "call", "outcome", "trace_id", "kept"),
    [
        ("errors", Call("1"), "completed", 0, False),
        ("errors", Call("1", failed=True), "error", HALF, True),
        ("errors", Call("1", failures=1), "completed", HALF, True),
        ("slow=1.5", Call("1", slowest_turn_s=1.5), "completed", HALF, False),
        ("slow=1.5", Call("1", slowest_turn_s=1.6), "completed", HALF, True),
        ("outcome=abandoned|booking", Call("1"), "booking", HALF, True),
        ("outcome=abandoned|booking", Call("1"), "completed", HALF, False),
        # by the low 64 bits of the trace id, as the SDK's ratio sampler does
        ("ratio=0.5", Call("1"), "completed", HALF - 1, True),
        ("ratio=0.5", Call("1"), "completed", HALF, False),
        ("ratio=0.5", Call("1"), "completed", (7 << 64) + HALF - 1, True),
        ("ratio=1", Call("1"), "completed", (1 << 128) - 1, True),
        ("ratio=0", Call("1"), "completed", 0, False),
        ("errors, slow=1.5 ,ratio=0", Call("1", slowest_turn_s=2.0), "completed", HALF, True),
    ],
)
def test_a_call_is_kept_by_what_became_of_it(
    text: str, call: Call, outcome: str, trace_id: int, kept: bool
) -> None:
    assert TailSamplingRules.parse(text).should_keep(call, outcome, trace_id) is kept


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "error",
            "error: not understood",
        ),
        (
            "ratio=10",
            "ratio=10: not a number from 0 to 1",
        ),
        (
            "slow=soon",
            "slow=soon: not a number from 0 to 60",
        ),
    ],
)
def test_rules_that_are_not_understood_keep_every_call(text: str, message: str) -> None:
    """It is said in plain words, and no trace is lost to a typo."""
    variable = environment_variables.CALLSPAN_KEEP_CALLS
    resolved = settings.resolve({variable: text})
    assert resolved.keep is None
    (problem,) = resolved.problems
    assert str(problem) == (
        f"{variable}: {message}; all calls are kept; write for example "
        "errors,slow=1.5,outcome=abandoned|booking,ratio=0.1"
    )


def test_without_the_variable_nothing_is_held() -> None:
    assert settings.resolve({}).keep is None


class Sent:
    """Takes what is let go."""

    def __init__(self, *, most: int = 100) -> None:
        self.names: list[str] = []
        self.held = SpanBuffer(lambda span: self.names.append(span.name), most=most)

    def add(self, trace_id: int, names: Iterable[str]) -> None:
        for name in names:
            self.held.add(trace_id, ReadableSpan(name))


def test_spans_wait_for_the_decision_on_their_call() -> None:
    """Those of a call that is kept go out in order, those of another never."""
    sent = Sent()
    sent.add(1, "ab")
    sent.add(2, "xy")
    assert (sent.names, sent.held.count(), sent.held.count(1)) == ([], 4, 2)
    sent.held.decide(2, keep=False)
    sent.held.decide(1, keep=True)
    assert (sent.names, sent.held.count()) == (["a", "b"], 0)


def test_what_ends_after_the_decision_follows_it() -> None:
    sent = Sent()
    sent.held.decide(1, keep=True)
    sent.held.decide(2, keep=False)
    sent.add(1, "a")
    sent.add(2, "x")
    assert (sent.names, sent.held.count()) == (["a"], 0)


def test_a_call_that_is_too_long_to_hold_is_sent() -> None:
    """Memory is bounded, and a later decision does not tear the trace apart."""
    sent = Sent(most=3)
    sent.add(1, "abcd")
    assert (sent.names, sent.held.count()) == (["a", "b", "c", "d"], 0)
    sent.held.decide(1, keep=False)
    sent.add(1, "e")
    assert sent.names == ["a", "b", "c", "d", "e"]


def test_a_process_that_ends_lets_go_of_what_it_holds() -> None:
    sent = Sent()
    sent.add(1, "a")
    sent.add(2, "b")
    sent.held.release()
    assert (sent.names, sent.held.count()) == (["a", "b"], 0)
