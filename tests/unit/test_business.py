# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What application code says of a call: what comes of it, and what is refused, and how."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import TracerProvider

from callspan import business
from callspan.business import declare, validation
from callspan.call.call import Call
from callspan.call.costs import Costs
from callspan.call.declarations import Declarations
from callspan.call.events import CallEnded, CallEvent, CallStarted, ToolFinished
from callspan.call.outcome import OutcomeRules
from callspan.diagnostics import guard
from callspan.diagnostics.log import LogOnce
from callspan.metrics.job.accumulator import DeltaAccumulator
from callspan.metrics.recorder import Recorder
from callspan.metrics.worker.state import MAX_SERIES_OF_OWN
from callspan.tracing.call_trace import CallTrace

_LOGGER = "callspan"


@dataclass
class Line:
    """A call that is on, and what is measured of it."""

    trace: CallTrace
    accumulator: DeltaAccumulator = field(default_factory=DeltaAccumulator)
    events: list[CallEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        recorder = Recorder(self.accumulator, rules=self.trace.rules)
        self.record = lambda event: recorder.record(self.trace.call, event)

        def emit(event: CallEvent) -> None:
            self.events.append(event)
            self.trace.call.apply(event)
            self.record(event)

        self.trace.sink = emit
        self.record(CallStarted())

    @property
    def call(self) -> Call:
        return self.trace.call

    def hang_up(self) -> dict[tuple[str, ...], Any]:
        """End the call; return all values by metric and labels, the agent's name apart."""
        self.call.closed_instant = 142.0
        self.record(CallEnded())
        return {
            (
                row.instrument.name,
                *(f"{key}={value}" for key, value in row.attributes if key != "agent_name"),
            ): getattr(row.value, "sum", row.value)
            for row in self.accumulator.drain()
        }


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> Declarations:
    """What is declared, in this test alone."""
    fresh = Declarations()
    monkeypatch.setattr(declare, "declared", fresh)
    business.declare_outcomes("inquiry")
    business.declare_conversion("bookings", outcome="booking")
    business.declare_conversion("upsells")
    business.declare_label("intent", ("booking", "billing"))
    business.declare_label("tier", ("gold", "basic"))
    business.declare_counter("callbacks", unit="{callback}", labels={"reason": ("busy", "late")})
    business.declare_histogram("party_size", bounds=(1, 2, 5))
    return fresh


@pytest.fixture
def line(declared: Declarations) -> Iterator[Line]:
    """A call, found by whatever the test does."""
    call = Call("job", agent_name="front-desk", opened_instant=100.0)
    trace = CallTrace(call, rules=OutcomeRules(declared=declared))
    token = otel_context.attach(otel_context.get_current())
    trace.attach()
    yield Line(trace)
    otel_context.detach(token)


@pytest.fixture
def go_live(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called, nobody tests and nobody develops."""
    monkeypatch.setattr(validation, "_log_once", LogOnce())
    monkeypatch.setattr(guard, "_log_once", LogOnce())
    # within the test: pytest sets it anew for each phase
    return lambda: monkeypatch.delenv("PYTEST_CURRENT_TEST")


EVERY_REPORT: list[Callable[[], None]] = [
    lambda: business.outcome("inquiry", reason="asked for the price"),
    lambda: business.convert("bookings", value=120, currency="EUR"),
    lambda: business.label("intent", "billing"),
    lambda: business.transfer(),
    lambda: business.feedback(4),
    lambda: business.user("u-1"),
    lambda: business.tenant("t-1"),
    lambda: business.count("callbacks", reason="busy"),
    lambda: business.record("party_size", 3),
]


# --- said --------------------------------------------------------------------------------------


def test_all_of_it_at_once(line: Line) -> None:
    """Outcome, conversion and value, labels on what is of the call, KPIs, feedback."""
    for report in EVERY_REPORT:
        report()
    values = line.hang_up()
    nonzero = {key: value for key, value in values.items() if value}
    assert nonzero == {
        ("agent.sessions", "intent=billing", "outcome=inquiry"): 1,
        ("agent.session.duration", "intent=billing", "outcome=inquiry"): 42.0,
        # before the label was given
        ("agent.bookings",): 1,
        ("agent.conversion.value", "conversion=bookings", "currency=EUR"): 120,
        ("agent.feedback.score", "kind=csat"): 4,
        ("agent.callbacks", "reason=busy"): 1,
        ("agent.party_size",): 3,
    }
    assert ("agent.session.cost", "intent=billing") in values
    assert line.call.annotations.reason == "asked for the price"
    assert line.trace.attributes()["user.id"] == "u-1"
    assert line.trace.attributes()["tenant.id"] == "t-1"
    assert line.trace.attributes()["agent.label.intent"] == "billing"


def test_it_is_on_the_live_spans_at_once(line: Line) -> None:
    """Whoever looks at a call in progress sees whose it is."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("livekit-agents")
    line.trace.root, line.trace.session = root, session = (
        tracer.start_span("job_entrypoint"),
        tracer.start_span("agent_session"),
    )
    business.user("u-1")
    business.tenant("t-1")
    business.label("tier", "gold")
    for span in (root, session):
        assert dict(span.attributes) == {  # type: ignore[attr-defined]
            "user.id": "u-1",
            "tenant.id": "t-1",
            "agent.label.tier": "gold",
        }


@pytest.mark.parametrize("report", EVERY_REPORT)
def test_outside_of_a_call_it_does_nothing(
    declared: Declarations, report: Callable[[], None]
) -> None:
    """A script, a test, a worker's main process; also where it would be refused."""
    assert CallTrace.find() is None
    report()
    business.convert("never declared", value=-1)
    business.label("never declared", "x")
    business.outcome("never declared")
    business.count("never declared", -1)
    business.record("never declared", float("nan"))
    business.feedback(99, kind="no such")


@pytest.mark.parametrize("report", EVERY_REPORT)
def test_without_metrics_it_is_harmless(declared: Declarations, report: Callable[[], None]) -> None:
    """A call that nobody records."""
    token = otel_context.attach(otel_context.get_current())
    CallTrace(Call("job"), rules=OutcomeRules(declared=declared)).attach()
    try:
        report()
    finally:
        otel_context.detach(token)


def test_a_conversion_counts_once_and_its_values_add_up(line: Line) -> None:
    """A rate never exceeds 1; what was earned is all of it, by currency."""
    business.convert("bookings", value=120, currency="EUR")
    business.convert("bookings", value=30.5, currency="EUR")
    business.convert("bookings", value=7, currency="USD")
    business.convert("bookings")
    values = line.hang_up()
    assert values["agent.bookings",] == 1
    assert values["agent.conversion.value", "conversion=bookings", "currency=EUR"] == 150.5
    assert values["agent.conversion.value", "conversion=bookings", "currency=USD"] == 7
    assert values["agent.sessions", "outcome=booking"] == 1
    assert line.call.annotations.conversions == ["bookings"]


def test_labels_begin_at_zero(line: Line) -> None:
    """With every outcome and conversion, when they are given: what comes then is an increase."""
    business.label("intent", "billing")
    rows = {(row.instrument.name, row.attributes): row.value for row in line.accumulator.drain()}
    of_label = {key: value for key, value in rows.items() if ("intent", "billing") in key[1]}
    assert set(of_label.values()) == {0}
    named = {dict(attributes).get("outcome", name) for name, attributes in of_label}
    assert named == {
        *("crashed", "success", "failure", "error", "voicemail", "transferred", "abandoned"),
        *("completed", "inquiry", "booking", "agent.bookings", "agent.upsells"),
    }


def test_labels_are_on_the_metrics_of_the_whole_call_only(line: Line) -> None:
    """Sessions, duration, cost, conversions; the last value counts."""
    business.label("intent", "billing")
    business.label("intent", "booking")
    business.label("tier", "gold")
    business.convert("upsells")
    business.count("callbacks", reason="late")
    labelled = {
        key[0]
        for key, value in line.hang_up().items()
        if {"intent=booking", "tier=gold"} <= set(key) and (value or key[0] == "agent.session.cost")
    }
    assert labelled == {
        *("agent.sessions", "agent.session.duration", "agent.session.cost", "agent.upsells"),
    }


def test_saying_a_label_again_costs_nothing(line: Line) -> None:
    """A hook may say it at every turn."""
    business.label("intent", "billing")
    business.label("intent", "billing")
    assert len(line.events) == 1


@pytest.mark.parametrize(
    ("score", "kind", "scale", "recorded"),
    [
        (4, "csat", None, 4),
        (0, "nps", None, 0),
        (True, "thumbs", None, 1),
        (False, "thumbs", None, 0),
        (50, "csat", (0, 100), 3),
        (-1, "csat", (-1, 1), 1),
        (7, "nps", (1, 7), 10),
    ],
)
def test_feedback_is_brought_to_the_scale_of_its_kind(
    line: Line, score: float, kind: str, scale: tuple[float, float] | None, recorded: float
) -> None:
    """Two questions of one kind can be compared."""
    business.feedback(score, kind=kind, scale=scale)
    assert line.call.annotations.feedback == {kind: recorded}
    assert line.hang_up()["agent.feedback.score", f"kind={kind}"] == recorded


def test_a_transfer_is_an_outcome(line: Line) -> None:
    """Said by the application, for what LiveKit does not see."""
    business.transfer()
    assert line.trace.rules.outcome_of(line.call) == "transferred"


def test_the_last_outcome_counts(line: Line) -> None:
    """And its reason with it."""
    business.outcome("inquiry", reason="a question")
    business.outcome("completed")
    assert (line.call.annotations.outcome, line.call.annotations.reason) == ("completed", "")


def test_a_cost_that_nobody_knows_is_not_recorded_as_none(line: Line) -> None:
    """A call whose every use has no price is no cheap call; one that used nothing is."""
    line.call.costs.unpriced["llm", "initech", "mystery"] += 1
    assert not any(key[0] == "agent.session.cost" for key in line.hang_up())
    line.record(CallStarted())
    line.call.costs.by_model["llm", "acme", "large"] += 0.25
    assert line.hang_up()["agent.session.cost",] == 0.25
    line.record(CallStarted())
    line.call.costs = Costs()
    assert line.hang_up()["agent.session.cost",] == 0


# --- refused -----------------------------------------------------------------------------------

_HUGE = 10**400
_SHOWN = f"1{'0' * 17}...{'0' * 19}"
REFUSED: list[tuple[Callable[[], None], str]] = [
    (
        lambda: business.outcome("lunch"),
        "outcome 'lunch' was not declared; write business.declare_outcomes('lunch')",
    ),
    (
        lambda: business.outcome(["inquiry"]),  # type: ignore[arg-type]
        "outcome ['inquiry'] was not declared; write business.declare_outcomes(['inquiry'])",
    ),
    (
        lambda: business.convert("sales"),
        "conversion 'sales' was not declared; write business.declare_conversion('sales')",
    ),
    (
        lambda: business.convert(["bookings"]),  # type: ignore[arg-type]
        "conversion ['bookings'] was not declared; write business.declare_conversion(['bookings'])",
    ),
    (
        lambda: business.convert("bookings", -1, "EUR"),
        "value=-1 of 'bookings' is not an amount; write a number, 0 or more",
    ),
    (
        lambda: business.convert("bookings", float("nan"), "EUR"),
        "value=nan of 'bookings' is not an amount; write a number, 0 or more",
    ),
    (
        lambda: business.convert("bookings", float("inf"), "EUR"),
        "value=inf of 'bookings' is not an amount; write a number, 0 or more",
    ),
    (
        lambda: business.convert("bookings", _HUGE, "EUR"),
        f"value={_SHOWN} of 'bookings' is not an amount; write a number, 0 or more",
    ),
    (
        lambda: business.convert("bookings", "120", "EUR"),  # type: ignore[arg-type]
        "value='120' of 'bookings' is not an amount; write a number, 0 or more",
    ),
    (
        lambda: business.convert("bookings", 120, "euro"),
        "currency='euro' of 'bookings' is no ISO 4217 code; write for example 'EUR'",
    ),
    (
        lambda: business.convert("bookings", 120, "QQQ"),
        "currency='QQQ' of 'bookings' is no ISO 4217 code; write for example 'EUR'",
    ),
    (
        lambda: business.convert("bookings", 120, 978),  # type: ignore[arg-type]
        "currency=978 of 'bookings' is no ISO 4217 code; write for example 'EUR'",
    ),
    (
        lambda: business.convert("bookings", 120),
        "value=120 of 'bookings' has no currency; write currency='EUR'",
    ),
    (
        lambda: business.label("weather", "rain"),
        "label 'weather' was not declared; write business.declare_label('weather', (…))",
    ),
    (
        lambda: business.label({}, "rain"),  # type: ignore[arg-type]
        "label {} was not declared; write business.declare_label({}, (…))",
    ),
    (
        lambda: business.label("intent", "rain"),
        "'rain' is no value of label 'intent'; write any of ['billing', 'booking']",
    ),
    (
        lambda: business.label("intent", ["billing"]),  # type: ignore[arg-type]
        "['billing'] is no value of label 'intent'; write any of ['billing', 'booking']",
    ),
    (
        lambda: business.feedback(3, kind="stars"),
        "feedback of kind 'stars' is not known; write any of csat, nps, thumbs",
    ),
    (
        lambda: business.feedback(6),
        "score=6 is not on the scale of 1 to 5; write one that is",
    ),
    (
        lambda: business.feedback(float("nan")),
        "score=nan is not on the scale of 1 to 5; write one that is",
    ),
    (
        lambda: business.feedback(1, scale=(5, 1)),
        "score=1 is not on the scale of 5 to 1; write one that is",
    ),
    (
        lambda: business.feedback(1, scale=5),  # type: ignore[arg-type]
        "scale=5 is not a least and a greatest score; write (1, 5)",
    ),
    (
        lambda: business.count("calls_back"),
        "counter 'calls_back' was not declared; write business.declare_counter('calls_back', …)",
    ),
    (
        lambda: business.count("party_size"),
        "counter 'party_size' was not declared; write business.declare_counter('party_size', …)",
    ),
    (
        lambda: business.record([], 1),  # type: ignore[arg-type]
        "histogram [] was not declared; write business.declare_histogram([], …)",
    ),
    (
        lambda: business.count("callbacks"),
        "'callbacks' has other labels than []; write ['reason']",
    ),
    (
        lambda: business.count("callbacks", reason="busy", day="monday"),
        "'callbacks' has other labels than ['day', 'reason']; write ['reason']",
    ),
    (
        lambda: business.count("callbacks", -1, reason="busy"),
        "-1 of 'callbacks' is not an amount; write a number, 0 or more",
    ),
    (
        lambda: business.count("callbacks", reason="weather"),
        "'weather' is no value of label 'reason' of 'callbacks'; write any of ['busy', 'late']",
    ),
    (
        lambda: business.record("party_size", float("-inf")),
        "-inf of 'party_size' is not an amount; write a number, 0 or more",
    ),
]


@pytest.mark.parametrize(("report", "message"), REFUSED)
def test_in_a_test_it_is_refused_loudly(
    line: Line, report: Callable[[], None], message: str
) -> None:
    """What is wrong, with which value, and what to write."""
    with pytest.raises(ValueError) as raised:
        report()
    assert str(raised.value) == message
    assert line.events == []


def test_in_development_it_is_refused_loudly(line: Line, go_live: Callable[[], None]) -> None:
    """By ``python agent.py dev`` and ``console``."""
    go_live()
    line.trace.development = True
    with pytest.raises(ValueError, match="outcome 'lunch' was not declared"):
        business.outcome("lunch")


@pytest.mark.parametrize(("report", "message"), REFUSED)
def test_in_production_the_call_goes_on(
    line: Line,
    go_live: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
    report: Callable[[], None],
    message: str,
) -> None:
    """One line, which names the function; nothing that is wrong is recorded."""
    go_live()
    report()
    report()
    [said] = [each.getMessage() for each in caplog.records if each.name == _LOGGER]
    function = said.removeprefix("business.").partition(":")[0]
    assert said == f"business.{function}: {message}; further ones are not logged"
    assert function in business.__all__
    values = line.hang_up()
    assert all(value >= 0 for value in values.values())
    assert sum(value for key, value in values.items() if key[0] == "agent.sessions") == 1


def test_a_goal_that_was_reached_counts_without_its_wrong_value(
    line: Line, go_live: Callable[[], None]
) -> None:
    """The booking is a booking."""
    go_live()
    business.convert("bookings", -5, "EUR")
    business.convert("upsells", 5, "QQQ")
    values = line.hang_up()
    assert (values["agent.bookings",], values["agent.upsells",]) == (1, 1)
    assert not any(key[0] == "agent.conversion.value" for key in values)


def test_any_number_of_values_are_one_series_and_one_line_each(
    line: Line, go_live: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Names of callers that were given as outcome or label: more than a worker keeps series."""
    go_live()
    for number in range(MAX_SERIES_OF_OWN + 1):
        business.outcome(f"caller {number}")
        business.label("intent", f"caller {number}")
    nonzero = {key for key, value in line.hang_up().items() if value}
    assert nonzero == {
        ("agent.sessions", "intent=other", "outcome=other"),
        ("agent.session.duration", "intent=other", "outcome=other"),
    }
    assert [each.getMessage() for each in caplog.records if each.name == _LOGGER] == [
        "business.outcome: outcome 'caller 0' was not declared; write "
        "business.declare_outcomes('caller 0'); further ones are not logged",
        "business.label: 'caller 0' is no value of label 'intent'; write any of "
        "['billing', 'booking']; further ones are not logged",
    ]


def test_an_amount_of_money_is_a_number_of_pythons(line: Line) -> None:
    """Decimal is told so, rather than rounded behind the application's back."""
    with pytest.raises(ValueError, match=r"value=Decimal\('1.20'\) of 'bookings' is not an amount"):
        business.convert("bookings", Decimal("1.20"), "EUR")  # type: ignore[arg-type]


# --- tracked_tool ------------------------------------------------------------------------------


class OddError(Exception):
    """Of the application's own."""


@business.tracked_tool
def look_up(name: str, *, fails: bool = False) -> str:
    """Look a caller up."""
    if fails:
        raise ERROR
    return name


@business.tracked_tool
async def book(name: str, *, fails: bool = False) -> str:
    """Book an appointment."""
    await asyncio.sleep(0)
    if fails:
        raise ERROR
    return name


ERROR = OddError("the calendar is gone")


def test_a_tracked_tool_looks_as_it_did() -> None:
    """Name, doc, signature and kind of function: frameworks read them."""
    assert (look_up.__name__, look_up.__doc__) == ("look_up", "Look a caller up.")
    assert str(inspect.signature(book)) == "(name: 'str', *, fails: 'bool' = False) -> 'str'"
    assert inspect.iscoroutinefunction(book)
    assert not inspect.iscoroutinefunction(look_up)


def test_a_tracked_tool_is_counted_and_timed(line: Line) -> None:
    """As LiveKit's tools are; what it returns and raises is the very object."""
    result = "Ann"
    assert look_up(result) is result
    assert asyncio.run(book(result)) is result
    for failing in (lambda: look_up("x", fails=True), lambda: asyncio.run(book("x", fails=True))):
        with pytest.raises(OddError) as raised:
            failing()
        assert raised.value is ERROR
    assert [(each.name, each.status) for each in finished(line)] == [
        ("look_up", "success"),
        ("book", "success"),
        ("look_up", "error"),
        ("book", "error"),
    ]
    assert all(each.duration_s is not None and each.duration_s >= 0 for each in finished(line))


def test_a_tracked_tool_can_be_cancelled(line: Line) -> None:
    """That is no error of the tool's; whoever cancels it sees it cancelled."""

    @business.tracked_tool
    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    async def cancel_it() -> bool:
        task = asyncio.create_task(wait_for_ever())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(cancel_it())
    assert [(each.name, each.status) for each in finished(line)] == [
        ("wait_for_ever", "cancelled"),
    ]


def test_a_tracked_tool_works_outside_of_a_call() -> None:
    """It is the application's function, after all."""
    assert look_up("Ann") == "Ann"
    assert asyncio.run(book("Ann")) == "Ann"


def test_what_goes_wrong_in_recording_is_not_the_tools_error(
    line: Line, go_live: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    """It returns what it returned; the log says what happened."""
    go_live()

    def emit(event: CallEvent) -> None:
        raise OddError("no room for measurements")

    line.trace.sink = emit
    with caplog.at_level(logging.ERROR):
        assert look_up("Ann") == "Ann"
    assert "telemetry failed while recording a tracked tool" in caplog.text


def finished(line: Line) -> list[ToolFinished]:
    return [event for event in line.events if isinstance(event, ToolFinished)]
