# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Which outcome a call had, in the order of the rules; which labels its tags give it."""

from __future__ import annotations

from typing import Any

import pytest

from callspan.call.annotations import CallAnnotations
from callspan.call.call import Call
from callspan.call.declarations import (
    Conversion,
    Declarations,
)
from callspan.call.outcome import OutcomeRules

DECLARED = Declarations(
    outcomes={"booking", "complaint", "apology"},
    conversions={
        "upsells": Conversion("upsells"),
        "bookings": Conversion("bookings", "booking"),
        "payments": Conversion("payments", "paid"),
    },
    labels={
        "language": frozenset({"en", "es"}),
        "judge_manners": frozenset({"pass", "fail"}),
        "tier": frozenset({"gold"}),
    },
)

APPLYING: list[tuple[str, str]] = [
    ("said", "complaint"),
    ("converted", "booking"),
    ("success", "success"),
    ("tag", "apology"),
    ("failed", "error"),
    ("machine", "voicemail"),
    ("transferred", "transferred"),
    ("left", "abandoned"),
    ("", "inquiry"),
]
"""What can be true of a call, and the outcome that it gives; first comes first."""


@pytest.mark.parametrize("first", range(len(APPLYING)), ids=[each for each, _ in APPLYING])
def test_the_first_rule_that_applies_gives_the_outcome(first: int) -> None:
    """Each of them, while all of those below it apply as well."""
    true = {name for name, _ in APPLYING[first:]}
    tags = {"success": "lk.success", "tag": "apology", "machine": "lk.amd:machine-vm"}
    annotations = CallAnnotations(
        outcome="complaint" if "said" in true else "",
        conversions=["upsells", "bookings", "payments"] if "converted" in true else [],
        transferred="transferred" in true,
    )
    call = Call(
        "1",
        failed="failed" in true,
        close_reason="participant_disconnected" if "left" in true else "job_shutdown",
        annotations=annotations,
        tags=lambda: {tag for name, tag in tags.items() if name in true},
    )
    assert OutcomeRules(default="inquiry", declared=DECLARED).outcome_of(call) == APPLYING[first][1]


@pytest.mark.parametrize(
    ("tags", "outcome"),
    [
        ({"lk.success"}, "success"),
        ({"lk.fail"}, "failure"),
        ({"lk.fail", "apology"}, "failure"),
        ({"apology", "complaint"}, "apology"),
        ({"lunch"}, "completed"),
        ({"upsells"}, "completed"),
        ({"lk.amd:human"}, "completed"),
        ({"lk.amd:uncertain"}, "completed"),
        ({"lk.amd:machine-ivr"}, "voicemail"),
        ({"lk.amd:machine-vm"}, "voicemail"),
        ({"lk.amd:machine-unavailable"}, "voicemail"),
    ],
)
def test_tags(tags: set[str], outcome: str) -> None:
    """LiveKit's own, and those that were declared; of several the first by name."""
    call = Call("1", tags=lambda: tags)
    assert OutcomeRules(declared=DECLARED).outcome_of(call) == outcome


@pytest.mark.parametrize(
    ("rules", "call", "outcome"),
    [
        ({}, {"agent_speech_count": 1}, "abandoned"),
        ({}, {"agent_speech_count": 2}, "completed"),
        ({"heard_at_least": 0}, {"agent_speech_count": 0}, "completed"),
        ({"heard_at_least": 4}, {"agent_speech_count": 3}, "abandoned"),
        (
            {"abandoned_within_s": 15.0},
            {"agent_speech_count": 9, "closed_instant": 114.9},
            "abandoned",
        ),
        (
            {"abandoned_within_s": 15.0},
            {"agent_speech_count": 9, "closed_instant": 115.0},
            "completed",
        ),
    ],
)
def test_thresholds_of_abandonment(
    rules: dict[str, Any], call: dict[str, Any], outcome: str
) -> None:
    """How often the agent has to be heard, or how long a caller has to stay."""
    left = {
        "close_reason": "participant_disconnected",
        "opened_instant": 100.0,
        "closed_instant": 160.0,
    }
    assert OutcomeRules(**rules).outcome_of(Call("1", **{**left, **call})) == outcome


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (Call("1", close_reason="job_shutdown", agent_speech_count=3), "completed"),
        (Call("1", close_reason="user_initiated", agent_speech_count=0), "completed"),
        (Call("1", close_reason="participant_disconnected", failed=True), "error"),
        (Call("1"), "completed"),
    ],
)
def test_a_call_that_the_agent_ended_is_not_abandoned(call: Call, expected: str) -> None:
    """However little was said."""
    assert OutcomeRules().outcome_of(call) == expected


def test_tags_give_labels_by_allow_list() -> None:
    """``name:value`` of a declared label, and the verdicts of judges; nothing else."""
    tags = {
        *("language:es", "language:tlh", "lk.judge.manners:pass", "lk.judge.accuracy:pass"),
        *("gold", "tier:silver", "lk.success", "lk.amd:human", "secret:4711", ":", ""),
    }
    rules = OutcomeRules(declared=DECLARED)
    assert rules.labels_of(Call("1", tags=lambda: tags)) == {
        "language": "es",
        "judge_manners": "pass",
    }


def test_a_tag_in_free_words_is_told_apart() -> None:
    """What no outcome or label is read from may say anything of anybody."""
    labels = {"language": frozenset({"es"}), "judge_accuracy": frozenset({"pass"})}
    rules = OutcomeRules(declared=Declarations(labels=labels, outcomes={"apology"}))
    known = ["apology", "language:es", "lk.amd:machine-vm", "lk.fail", "lk.judge.accuracy:pass"]
    free = ["language:Ann's own", "Ann", "lk.judge.Ann:pass", "lk.note:Ann", "language"]
    assert rules.known_tags({*known, *free}) == known


def test_what_the_application_said_goes_before_a_tag() -> None:
    """It knows the call as a whole."""
    call = Call(
        "1", annotations=CallAnnotations(labels={"language": "en"}), tags=lambda: {"language:es"}
    )
    assert OutcomeRules(declared=DECLARED).labels_of(call) == {"language": "en"}


@pytest.mark.parametrize(
    ("by_variable", "in_code", "outcome"),
    [
        ("", "", "completed"),
        ("", "inquiry", "inquiry"),
        ("enquiry", "", "enquiry"),
        # who deploys has the last word
        ("enquiry", "inquiry", "enquiry"),
    ],
)
def test_the_default(by_variable: str, in_code: str, outcome: str) -> None:
    """The variable's, else the declared one, else LiveKit's view of the call."""
    declared = Declarations()
    declared.merge(Declarations(default_outcome=in_code))
    assert OutcomeRules(default=by_variable, declared=declared).outcome_of(Call("1")) == outcome
