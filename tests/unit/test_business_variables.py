# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Variables that say what calls are worth: what is understood, and how the rest is put."""

from __future__ import annotations

from pathlib import Path

import pytest

from callspan.call.declarations import Conversion
from callspan.call.outcome import OutcomeRules
from callspan.config import settings
from callspan.config.settings import Settings

OURS = "CALLSPAN"


def not_a_name(example: str) -> str:
    """Return what is said of a name in a variable."""
    return (
        "not a name; it is passed over; write lower case letters, digits and _, beginning with a "
        f"letter, for example {example!r}"
    )


def read(**variables: str) -> tuple[OutcomeRules, dict[str, str], list[str]]:
    """Read variables, named without what is common to them."""
    resolved = resolve(**variables)
    problems = [str(problem) for problem in resolved.problems]
    return resolved.rules, dict(resolved.tool_conversions), problems


def resolve(**variables: str) -> Settings:
    """Resolve variables, named without what is common to them."""
    return settings.resolve({f"{OURS}_{name}": value for name, value in variables.items()})


def test_nothing_set_is_nothing_special() -> None:
    """LiveKit's outcomes, the documented thresholds, no conversions."""
    rules, tools, problems = read()
    assert (rules, tools, problems) == (OutcomeRules(), {}, [])
    assert (rules.default, rules.heard_at_least, rules.abandoned_within_s) == ("", 2, 0)


def test_all_of_it() -> None:
    """As an operator would write it, with blanks."""
    rules, tools, problems = read(
        CONVERSIONS="book_appointment = bookings : booking, take_payment=payments",
        DEFAULT_OUTCOME=" inquiry ",
        OUTCOMES="complaint, wrong_number,",
        LABELS="intent = booking | billing , language=en|es",
        ABANDONED_WITHIN="7.5",
        ABANDONED_HEARD="3",
    )
    assert problems == []
    assert tools == {"book_appointment": "bookings", "take_payment": "payments"}
    assert rules.default == "inquiry"
    assert (rules.heard_at_least, rules.abandoned_within_s) == (3, 7.5)
    assert rules.declared.conversions == {
        "bookings": Conversion("bookings", "booking"),
        "payments": Conversion("payments"),
    }
    assert rules.declared.outcomes == {"booking", "inquiry", "complaint", "wrong_number"}
    assert rules.declared.labels == {"intent": {"booking", "billing"}, "language": {"en", "es"}}


def test_several_tools_can_come_to_the_same() -> None:
    """What it stands for is said once."""
    _, tools, problems = read(CONVERSIONS="book=bookings:booking,rebook=bookings")
    assert (tools, problems) == ({"book": "bookings", "rebook": "bookings"}, [])


BAD: list[tuple[str, str, str]] = [
    (
        "CONVERSIONS",
        "bookings",
        "bookings: no tool; it is passed over; write for example book_appointment=bookings:booking",
    ),
    (
        "CONVERSIONS",
        "=bookings",
        "=bookings: no tool; it is passed over; "
        "write for example book_appointment=bookings:booking",
    ),
    ("CONVERSIONS", "book=", f"book=: conversion '': {not_a_name('bookings')}"),
    (
        "CONVERSIONS",
        "book=Bookings:booking",
        f"book=Bookings:booking: conversion 'Bookings': {not_a_name('bookings')}",
    ),
    (
        "CONVERSIONS",
        "book=bookings:Booked!",
        f"book=bookings:Booked!: outcome 'Booked!': {not_a_name('booking')}",
    ),
    (
        "CONVERSIONS",
        "book=sessions",
        "book=sessions: conversion 'sessions' is the name of another metric; "
        "it is passed over; choose another",
    ),
    (
        "LABELS",
        "intent",
        "intent: values=[] of label 'intent': not a list of texts; it is passed over; "
        "write for example intent=booking|billing",
    ),
    (
        "LABELS",
        "le=a|b",
        "le=a|b: label 'le' is Prometheus's own; it is passed over; write "
        "for example intent=booking|billing",
    ),
    (
        "OUTCOMES",
        "Wrong Number",
        f"outcome 'Wrong Number': {not_a_name('billing_question')}",
    ),
]


@pytest.mark.parametrize(("variable", "value", "problem"), BAD)
def test_an_entry_that_is_not_understood(variable: str, value: str, problem: str) -> None:
    """It is named and passed over; nothing comes of it, and the others stay."""
    rules, tools, problems = read(**{variable: value})
    assert problems == [f"{OURS}_{variable}: {problem}"]
    assert (tools, rules) == ({}, OutcomeRules())
    good = {"CONVERSIONS": "pay=payments", "LABELS": "tier=gold", "OUTCOMES": "complaint"}[variable]
    both, _, problems = read(**{variable: f"{value},{good}"})
    assert len(problems) == 1
    assert both != OutcomeRules()


def test_a_conversion_that_is_declared_twice() -> None:
    """The first stays."""
    rules, tools, problems = read(CONVERSIONS="book=bookings:booking,rebook=bookings:rebooking")
    assert problems == [
        f"{OURS}_CONVERSIONS: rebook=bookings:rebooking: conversion 'bookings' is declared twice, "
        "and differently; it is passed over; declare it once, at the top of agent.py"
    ]
    assert tools == {"book": "bookings"}
    assert rules.declared.outcomes == {"booking"}


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        (
            "DEFAULT_OUTCOME",
            "Inquiry",
            f"=Inquiry: outcome 'Inquiry': {not_a_name('billing_question')}",
        ),
        (
            "ABANDONED_HEARD",
            "two",
            "=two: not a whole number from 0 to 3600, 2 is used; write for example 2",
        ),
        (
            "ABANDONED_HEARD",
            "1.5",
            "=1.5: not a whole number from 0 to 3600, 2 is used; write for example 2",
        ),
        (
            "ABANDONED_HEARD",
            "nan",
            "=nan: not a whole number from 0 to 3600, 2 is used; write for example 2",
        ),
        (
            "ABANDONED_WITHIN",
            "-1",
            "=-1: not a number from 0 to 3600, 0 is used; write for example 10",
        ),
        (
            "ABANDONED_WITHIN",
            "inf",
            "=inf: not a number from 0 to 3600, 0 is used; write for example 10",
        ),
        (
            "ABANDONED_WITHIN",
            "10s",
            "=10s: not a number from 0 to 3600, 0 is used; write for example 10",
        ),
    ],
)
def test_a_value_that_is_not_understood(variable: str, value: str, problem: str) -> None:
    """The default is used, and which it is is said."""
    rules, _, problems = read(**{variable: value})
    assert problems == [f"{OURS}_{variable}{problem}"]
    assert rules == OutcomeRules()


def test_no_price_file() -> None:
    """Not set is no problem."""
    resolved = resolve()
    assert (resolved.prices, resolved.problems) == ({}, ())


def test_a_price_file(tmp_path: Path) -> None:
    """Its content, as it was checked."""
    path = tmp_path / "prices.toml"
    path.write_text('[tts."acme/voice"]\nper_character = 0.00003\n')
    resolved = resolve(PRICES=str(path))
    assert resolved.prices == {"tts": {"acme/voice": {"per_character": 0.00003}}}
    assert resolved.problems == ()


def test_a_price_file_with_a_typo(tmp_path: Path) -> None:
    """None of it is used, since a part of it would be a wrong sum; the packaged prices are."""
    path = tmp_path / "prices.toml"
    path.write_text('[tts."acme/voice"]\nper_charakter = 0.00003\n')
    resolved = resolve(PRICES=str(path))
    assert resolved.prices == {}
    assert [str(problem) for problem in resolved.problems] == [
        f"{OURS}_PRICES: {path}: tts.\"acme/voice\": 'per_charakter' is not a price; the packaged "
        "prices are used; did you mean 'per_character'?"
    ]


def test_a_price_file_that_is_not_there(tmp_path: Path) -> None:
    """Said with its path."""
    path = tmp_path / "prices.toml"
    resolved = resolve(PRICES=str(path))
    assert resolved.prices == {}
    assert [str(problem) for problem in resolved.problems] == [
        f"{OURS}_PRICES: [Errno 2] cannot read the price file: No such file or directory: "
        f"'{path}'; the packaged prices are used"
    ]
