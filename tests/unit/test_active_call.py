# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What follows from what happens in a call."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from callspan import semconv
from callspan.business import declare
from callspan.call.application_events import Converted
from callspan.call.call import Call
from callspan.call.declarations import Declarations
from callspan.call.events import (
    CallEvent,
    CallStarted,
    CostRecorded,
    ModelUsed,
    SessionClosed,
    SessionStarted,
    ToolFinished,
)
from callspan.config import settings
from callspan.config.settings import Settings
from callspan.runtime.active_call import ActiveCall
from callspan.runtime.call_costs import Pricing
from callspan.semconv import Usage
from callspan.tracing.call_trace import CallTrace

STARTED = SessionStarted(1_000.0, 10.0, "front-desk")
CLOSED = SessionClosed(1_060.0, 70.0, "user_initiated", False)


@dataclass
class Seen:
    """Who is given the events of a call.

    Attributes:
        events: What they were given.
    """

    events: list[CallEvent] = field(default_factory=list)

    def settings_for(self, settings: Settings) -> Settings:
        return settings

    def handle(self, call_trace: CallTrace, event: CallEvent) -> None:
        self.events.append(event)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def active(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> ActiveCall:
    """A call of an application that sells, and pays by the minute."""
    monkeypatch.setattr(declare, "declared", declared := Declarations())
    declare.declare_conversion("bookings", outcome="booking")
    resolved = replace(settings.resolve({}), tool_conversions={"book": "bookings"})
    resolved.rules.declared.merge(declared)
    prices = {
        "llm": {"acme/large": {"per_million_input_tokens": 2, "per_million_output_tokens": 8}},
        "flat": {"per_minute": 0.06},
    }
    return ActiveCall(Call("job"), resolved, Pricing(prices), recording=seen)


def test_a_call_starts_with_its_first_session(active: ActiveCall, seen: Seen) -> None:
    """One that is started again after its close is the same call."""
    active.handle(STARTED)
    active.handle(CLOSED)
    active.handle(replace(STARTED, instant=80.0))
    assert [type(event) for event in seen.events] == [
        SessionStarted,
        CallStarted,
        SessionClosed,
        CostRecorded,
        SessionStarted,
    ]
    assert active.call.agent_name == "front-desk"


@pytest.mark.parametrize(
    ("disabled", "written"),
    [(frozenset(), "front-desk"), (frozenset({"attributes"}), None)],
)
def test_a_root_that_was_there_before_has_the_name_of_the_agent(
    active: ActiveCall, disabled: frozenset[str], written: str | None
) -> None:
    """LiveKit opens it with the job; who takes the call is known when its session starts."""
    active._settings = replace(active._settings, disabled_parts=disabled)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("livekit-agents")
    active.trace.root = root = tracer.start_span(semconv.SPAN_JOB)
    active.handle(STARTED)
    assert isinstance(root, ReadableSpan)
    assert (root.attributes or {}).get(semconv.AGENT_NAME) == written


@pytest.mark.parametrize(
    ("tool", "converted"),
    [
        (ToolFinished("book", semconv.TOOL_SUCCESS), [Converted("bookings", first=True)]),
        (ToolFinished("book", semconv.TOOL_ERROR), []),
        (ToolFinished("look_up", semconv.TOOL_SUCCESS), []),
    ],
)
def test_a_tool_converts(
    active: ActiveCall, seen: Seen, tool: ToolFinished, converted: list[CallEvent]
) -> None:
    """The one that was named, if it succeeds; the call has come to its outcome then."""
    active.handle(tool)
    assert seen.events == [tool, *converted]
    assert active.call.annotations.conversions == ["bookings"] * len(converted)


def test_what_is_used_is_paid_for(active: ActiveCall, seen: Seen) -> None:
    """By the use as it comes, by the minute at the close; both are in the call's cost."""
    used = ModelUsed("llm", "acme", "large", {Usage.INPUT_TOKENS: 500_000})
    for event in (STARTED, used, CLOSED):
        active.handle(event)
    assert [event for event in seen.events if isinstance(event, CostRecorded)] == [
        CostRecorded("llm", "acme", "large", pytest.approx(1.0)),
        CostRecorded("other", "flat", "flat", pytest.approx(0.06)),
    ]
    assert active.call.costs.total == pytest.approx(1.06)


def test_the_application_and_livekit_have_one_entrance(active: ActiveCall, seen: Seen) -> None:
    """What is said through the call's trace is seen by the same, with the call up to date."""
    active.trace.convert("bookings", 120.0, "EUR")
    active.trace.convert("bookings", 80.0, "EUR")
    assert seen.events == [
        Converted("bookings", first=True, value=120.0, currency="EUR"),
        Converted("bookings", first=False, value=80.0, currency="EUR"),
    ]
    assert active.call.annotations.values == {("bookings", "EUR"): 200.0}
