# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The records of a call: frozen, described, and written out whole."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest

from callspan.call import summary
from callspan.call.application_events import Converted
from callspan.call.call import Call
from callspan.call.summary import (
    CallStart,
    CallSummary,
    Conversion,
    Tool,
    Turn,
)
from callspan.call.summary_builder import SummaryBuilder

TURN = Turn("job", 1, "agent", 7.0, "Grüß Gott.", stages_s={"llm_first_token": 0.5})
TOOL = Tool("job", 1, "book", "success", 8.0, 0.5, "c1", "{}", "booked")
RECORDS = [each for each in vars(summary).values() if isinstance(each, type) and is_dataclass(each)]


def a_summary() -> CallSummary:
    call = Call("job", started_at=1.0)
    call.annotations.reason = "wanted a refund"
    call.apply(Converted("bookings", first=True, value=120.0, currency="EUR"))
    whole = SummaryBuilder(call, content=True).summary(trace_id="", outcome="completed", labels={})
    given = {each.name: getattr(whole, each.name) for each in fields(whole)}
    return CallSummary(**{**given, "turns": (TURN,), "tools": (TOOL,)})


def test_json_is_the_dict() -> None:
    """One line, every field, nested records as objects, letters as they are."""
    whole = a_summary()
    text = whole.to_json()
    assert "\n" not in text
    assert "Grüß Gott." in text
    assert json.loads(text) == whole.to_dict()
    assert list(whole.to_dict()) == [each.name for each in fields(CallSummary)]
    assert whole.to_dict()["turns"] == [TURN.to_dict()]
    assert whole.to_dict()["conversions"] == [{"name": "bookings", "values": {"EUR": 120.0}}]
    assert TURN.to_dict()["stages_s"] == {"llm_first_token": 0.5}


def test_writing_out_shares_nothing() -> None:
    """Who changes the dict does not change the record."""
    whole = a_summary()
    whole.to_dict()["turns"][0]["stages_s"]["llm_first_token"] = 9.0
    assert whole.turns[0].stages_s == {"llm_first_token": 0.5}


def test_without_content_is_without_any_word() -> None:
    """What was said, what tools were given and gave back, and the reason."""
    stripped = a_summary().without_content()
    text = stripped.to_json()
    for word in ("Gott", "booked", "refund", '"{}"'):
        assert word not in text
    assert stripped.turns[0].stages_s == TURN.stages_s
    assert stripped.tools[0].duration_s == 0.5


def test_content_is_not_in_a_log_line_by_accident() -> None:
    """The representation of a record, which ends up in logs, does not quote."""
    assert "Gott" not in repr(TURN)
    assert "booked" not in repr(TOOL)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_field_is_described(record: type) -> None:
    """In the docstring, by its name."""
    described = record.__doc__ or ""
    assert is_dataclass(record)
    for each in fields(record):
        assert f"\n        {each.name}: " in described or f"\n    {each.name}: " in described


def test_a_record_cannot_be_changed() -> None:
    """Hooks share it."""
    start = CallStart("job", "", "receptionist", "production", 1.0)
    with pytest.raises(FrozenInstanceError):
        start.call_id = "other"  # type: ignore[misc]
    assert Conversion("bookings", {}) == Conversion("bookings", {})
