# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What can be declared, what cannot, and that it travels to a job process whole."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from callspan import business, semconv
from callspan.business import declare
from callspan.call.currencies import CURRENCIES
from callspan.call.declarations import (
    Conversion,
    Declarations,
)


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> Declarations:
    """What is declared, in this test alone."""
    fresh = Declarations()
    monkeypatch.setattr(declare, "declared", fresh)
    return fresh


def _everything() -> None:
    business.declare_outcomes("inquiry", "complaint")
    business.declare_conversion("bookings", outcome="booking", description="Booked.")
    business.declare_label("intent", ("booking", "billing"))
    business.declare_counter("callbacks", unit="{callback}", labels={"reason": ("busy", "late")})
    business.declare_histogram("party.size", bounds=[1, 2, 5], unit="{guest}")


def test_what_was_declared_is_there(declared: Declarations) -> None:
    """Names, sets and metrics; the outcome of a conversion is one."""
    _everything()
    assert declared.all_outcomes == (*semconv.OUTCOMES, "booking", "complaint", "inquiry")
    assert declared.labels == {"intent": {"booking", "billing"}}
    bookings = declared.conversions["bookings"].metric
    assert (bookings.name, bookings.kind, bookings.labels) == (
        "agent.bookings",
        "counter",
        ("agent_name",),
    )
    assert bookings.description == "Booked."
    counter, sets = declared.kpis["callbacks"]
    assert (counter.name, counter.unit, counter.labels) == (
        "agent.callbacks",
        "{callback}",
        ("agent_name", "reason"),
    )
    assert sets == {"reason": {"busy", "late"}}
    histogram, _ = declared.kpis["party.size"]
    assert (histogram.kind, histogram.bounds) == ("histogram", (1, 2, 5))


def test_it_travels_to_a_job_process(declared: Declarations) -> None:
    """As an argument of the process."""
    _everything()
    assert pickle.loads(pickle.dumps(declared)) == declared


def test_declaring_the_same_again_is_nothing(declared: Declarations) -> None:
    """Every job process runs the top of agent.py again."""
    _everything()
    before = pickle.loads(pickle.dumps(declared))
    _everything()
    assert declared == before


ONCE = "; declare it once, at the top of agent.py"
NAME = "not a name; write lower case letters, digits and _, beginning with a letter, for example"
REFUSED: list[tuple[Callable[[], None], str]] = [
    (lambda: business.declare_outcomes("Inquiry"), f"outcome 'Inquiry': {NAME} 'billing_question'"),
    (lambda: business.declare_outcomes(""), f"outcome '': {NAME} 'billing_question'"),
    (
        lambda: business.declare_outcomes("x" * 101),
        f"outcome '{'x' * 101}': {NAME} 'billing_question'",
    ),
    (
        lambda: business.declare_outcomes(5),  # type: ignore[arg-type]
        f"outcome 5: {NAME} 'billing_question'",
    ),
    (
        lambda: business.declare_conversion("bookings", outcome="a reason, in words"),
        f"outcome 'a reason, in words': {NAME} 'booking'",
    ),
    (
        lambda: business.declare_conversion("Bookings"),
        f"conversion 'Bookings': {NAME} 'bookings'",
    ),
    (
        lambda: business.declare_conversion("tool_calls"),
        "conversion 'tool_calls' is the name of another metric; choose another",
    ),
    (
        lambda: business.declare_conversion("tool.calls"),
        "conversion 'tool.calls' is the name of another metric; choose another",
    ),
    (
        lambda: business.declare_conversion("sessions_total"),
        "conversion 'sessions_total' is the name of another metric; choose another",
    ),
    (
        lambda: business.declare_histogram("turn_latency_seconds", bounds=(1,)),
        "KPI 'turn_latency_seconds' is the name of another metric; choose another",
    ),
    (
        lambda: business.declare_counter("upsells"),
        "KPI 'upsells' is the name of another metric; choose another",
    ),
    (
        lambda: business.declare_conversion("callbacks"),
        "conversion 'callbacks' is the name of another metric; choose another",
    ),
    (
        lambda: business.declare_counter("call.backs_total"),
        "KPI 'call.backs_total' is the name of another metric; choose another",
    ),
    (
        lambda: business.declare_conversion("upsells", outcome="sold"),
        f"conversion 'upsells' is declared twice, and differently{ONCE}",
    ),
    (
        lambda: business.declare_label("tier", ("gold", "platinum")),
        f"label 'tier' is declared twice, and differently{ONCE}",
    ),
    (
        lambda: business.declare_counter("callbacks", unit="s"),
        f"KPI 'callbacks' is declared twice, and differently{ONCE}",
    ),
    (lambda: business.declare_label("Intent", ("a",)), f"label 'Intent': {NAME} 'intent'"),
    (
        lambda: business.declare_label("outcome", ("a",)),
        "label 'outcome' is there already; choose another name",
    ),
    (
        lambda: business.declare_label("agent_name", ("a",)),
        "label 'agent_name' is there already; choose another name",
    ),
    (
        lambda: business.declare_label("le", ("a",)),
        "label 'le' is Prometheus's own; choose another name",
    ),
    (
        lambda: business.declare_counter("x", labels={"agent_name": ("a",)}),
        "label 'agent_name' is there already; choose another name",
    ),
    (
        lambda: business.declare_histogram("x", bounds=(1,), labels={"le": ("a",)}),
        "label 'le' is Prometheus's own; choose another name",
    ),
    (
        lambda: business.declare_label("intent", "billing"),
        "values='billing' of label 'intent': not a list of texts; "
        'write for example ("billing", "booking")',
    ),
    (
        lambda: business.declare_label("intent", ()),
        "values=() of label 'intent': not a list of texts; "
        'write for example ("billing", "booking")',
    ),
    (
        lambda: business.declare_label("intent", (1, 2)),  # type: ignore[arg-type]
        "values=(1, 2) of label 'intent': not a list of texts; "
        'write for example ("billing", "booking")',
    ),
    (
        lambda: business.declare_label("intent", 5),  # type: ignore[arg-type]
        "values=5 of label 'intent': not a list of texts; "
        'write for example ("billing", "booking")',
    ),
    (
        lambda: business.declare_label("caller", [str(each) for each in range(101)]),
        "label 'caller' has 101 values, more than 100: each makes a series of every metric; "
        "declare the few that a dashboard tells apart",
    ),
    (
        lambda: business.declare_histogram("x", bounds=()),
        "bounds=() of 'x': not rising numbers; write for example (1, 5, 10, 30)",
    ),
    (
        lambda: business.declare_histogram("x", bounds=(5, 1)),
        "bounds=(5, 1) of 'x': not rising numbers; write for example (1, 5, 10, 30)",
    ),
    (
        lambda: business.declare_histogram("x", bounds=(1, 1)),
        "bounds=(1, 1) of 'x': not rising numbers; write for example (1, 5, 10, 30)",
    ),
    (
        lambda: business.declare_histogram("x", bounds=(1, "5")),  # type: ignore[arg-type]
        "bounds=(1, '5') of 'x': not rising numbers; write for example (1, 5, 10, 30)",
    ),
    (
        lambda: business.declare_histogram("x", bounds=(1, float("inf"))),
        "bounds=(1, inf) of 'x': not rising numbers; write for example (1, 5, 10, 30)",
    ),
    (
        lambda: business.declare_histogram("x", bounds=(1, float("nan"))),
        "bounds=(1, nan) of 'x': not rising numbers; write for example (1, 5, 10, 30)",
    ),
]


@pytest.mark.parametrize(("declare", "message"), REFUSED)
def test_what_cannot_be_declared(
    declared: Declarations, declare: Callable[[], None], message: str
) -> None:
    """It raises where it is written, says what to write, and declares nothing."""
    business.declare_conversion("upsells")
    business.declare_label("tier", ("gold", "basic"))
    business.declare_counter("callbacks")
    business.declare_counter("call_backs")
    before = pickle.loads(pickle.dumps(declared))
    with pytest.raises(ValueError) as raised:
        declare()
    assert str(raised.value) == message
    assert declared == before


def test_declarations_are_brought_together() -> None:
    """Of the variables and of the code; what the variables say goes first."""
    variables = Declarations(
        outcomes={"inquiry"},
        conversions={"bookings": Conversion("bookings"), "sales": Conversion("sales", "sold")},
        labels={"tier": frozenset({"a"})},
    )
    code = Declarations(
        outcomes={"complaint"},
        conversions={
            "bookings": Conversion("bookings", "booking", "Booked."),
            "sales": Conversion("sales", "sale"),
            "upsells": Conversion("upsells"),
        },
        labels={"tier": frozenset({"b"}), "intent": frozenset({"c"})},
    )
    variables.merge(code)
    assert variables.outcomes == {"inquiry", "complaint"}
    assert variables.conversions == {
        # the variable maps a tool to it, the code says what it stands for
        "bookings": Conversion("bookings", "booking", "Booked."),
        "sales": Conversion("sales", "sold"),
        "upsells": Conversion("upsells"),
    }
    assert variables.labels == {"tier": {"a"}, "intent": {"c"}}
    again: dict[str, Any] = pickle.loads(pickle.dumps(variables.conversions))
    variables.merge(code)
    assert variables.conversions == again


def test_currencies_are_codes() -> None:
    """Three capital letters each, the usual ones among them, and no more than there are."""
    assert all(len(each) == 3 and each.isascii() and each.isupper() for each in CURRENCIES)
    assert {"EUR", "USD", "GBP", "JPY", "INR", "BRL", "XOF"} <= CURRENCIES
    assert len(CURRENCIES) < 170
