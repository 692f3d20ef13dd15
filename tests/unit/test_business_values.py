# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Whatever an application passes to ``business``: objects that raise, and numbers of others."""

from __future__ import annotations

import functools
import json
import pickle
from collections.abc import Callable, Iterator
from enum import Enum, IntEnum
from typing import Any, NamedTuple

import numpy as np
import pytest
from opentelemetry import context as otel_context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics.export import HistogramDataPoint
from opentelemetry.sdk.trace import ReadableSpan

from callspan import business
from callspan.business import declare, hooks, validation
from callspan.call.call import Call
from callspan.call.declarations import Declarations
from callspan.call.events import CallEvent
from callspan.call.outcome import OutcomeRules
from callspan.call.summary_builder import SummaryBuilder
from callspan.diagnostics import guard
from callspan.diagnostics.log import LogOnce
from callspan.metrics.job.accumulator import DeltaAccumulator
from callspan.metrics.recorder import Recorder
from callspan.metrics.wire.frames import Decoder, Encoder
from callspan.metrics.wire.rows import Batch
from callspan.metrics.worker.state import State
from callspan.tracing import summary_attributes
from callspan.tracing.call_trace import CallTrace
from kit.memory import SpanMemory

LOGGER = "callspan"


class MineError(Exception):
    """What the application's own objects raise."""


def _raise(*_: Any, **__: Any) -> Any:
    raise MineError


_METHODS = (
    *("__repr__", "__str__", "__hash__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__"),
    *("__ge__", "__bool__", "__len__", "__iter__", "__contains__", "__getitem__", "__format__"),
    *("__float__", "__int__", "__index__", "__add__", "__radd__", "__sub__", "__rsub__"),
    *("__mul__", "__rmul__", "__truediv__", "__getattr__", "__call__", "items", "keys"),
    *("encode", "strip", "lower", "startswith", "partition"),
)


def _hostile(base: type, *value: Any) -> Any:
    """Return an object of a subclass of which every method raises."""
    methods = {name: _raise for name in _METHODS if base is object or name in dir(base)}
    methods["__class__"] = property(_raise)  # type: ignore[assignment]
    return base.__new__(type(f"Hostile{base.__name__.title()}", (base,), methods), *value)


def _generator() -> Iterator[int]:
    yield from iter(int, 1)


HOSTILE: dict[str, Callable[[], Any]] = {
    "object": lambda: _hostile(object),
    "text": lambda: _hostile(str, "bookings"),
    "float": lambda: _hostile(float, 4.0),
    "int": lambda: _hostile(int, 4),
    "tuple": lambda: _hostile(tuple, (1, 5)),
    "list": lambda: _hostile(list),
    "dict": lambda: _hostile(dict),
    "dict of no pairs": lambda: type("Odd", (dict,), {"items": lambda _: [1]})(),
    "list of it": lambda: [_hostile(object)],
    "pair of it": lambda: (_hostile(float, 1.0), _hostile(object)),
    "repr that is no text": lambda: type("Odd", (), {"__repr__": lambda _: 5})(),
    "400 digits": lambda: 10**400,
    "5,000 digits": lambda: 10**5000,
    "NaN": lambda: float("nan"),
    "numpy's NaN": lambda: np.float64("nan"),
    "array": lambda: np.array([1.0, 2.0]),
    "generator": _generator,
    "surrogate": lambda: "\ud800",
    "bytes": lambda: b"\xff",
    "class": lambda: MineError,
    "None": lambda: None,
}
CALLS: dict[str, Callable[[Any], object]] = {
    "outcome": lambda it: business.outcome(it),
    "outcome reason": lambda it: business.outcome("inquiry", it),
    "convert": lambda it: business.convert(it),
    "convert value": lambda it: business.convert("bookings", it, "EUR"),
    "convert currency": lambda it: business.convert("bookings", 5, it),
    "label": lambda it: business.label(it, "booking"),
    "label value": lambda it: business.label("intent", it),
    "feedback": lambda it: business.feedback(it),
    "feedback kind": lambda it: business.feedback(4, kind=it),
    "feedback scale": lambda it: business.feedback(4, scale=it),
    "user": lambda it: business.user(it),
    "tenant": lambda it: business.tenant(it),
    "count": lambda it: business.count(it, reason="busy"),
    "count amount": lambda it: business.count("callbacks", it, reason="busy"),
    "count label": lambda it: business.count("callbacks", reason=it),
    "record": lambda it: business.record(it, 3),
    "record value": lambda it: business.record("party_size", it),
}
DECLARATIONS: dict[str, Callable[[Any], object]] = {
    "outcomes": lambda it: business.declare_outcomes(it),
    "outcomes default": lambda it: business.declare_outcomes("maybe", default=it),
    "conversion": lambda it: business.declare_conversion(it),
    "conversion outcome": lambda it: business.declare_conversion("sales", outcome=it),
    "conversion description": lambda it: business.declare_conversion("sales", description=it),
    "label": lambda it: business.declare_label(it, ("a", "b")),
    "label values": lambda it: business.declare_label("tier", it),
    "counter": lambda it: business.declare_counter(it),
    "counter unit": lambda it: business.declare_counter("sales", unit=it),
    "counter labels": lambda it: business.declare_counter("sales", labels=it),
    "histogram": lambda it: business.declare_histogram(it, bounds=(1,)),
    "histogram bounds": lambda it: business.declare_histogram("sales", bounds=it),
}


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[CallTrace]:
    """A call that is on, with a root span and metrics, and what it may say."""
    declared = Declarations()
    monkeypatch.setattr(declare, "declared", declared)
    monkeypatch.setattr(validation, "_log_once", LogOnce())
    monkeypatch.setattr(guard, "_log_once", LogOnce())
    monkeypatch.setattr(hooks, "_hooks", {kind: [] for kind in hooks._hooks})
    business.declare_outcomes("inquiry")
    business.declare_conversion("bookings", outcome="booking")
    business.declare_label("intent", ("booking", "billing"))
    business.declare_counter("callbacks", labels={"reason": ("busy", "late")})
    business.declare_histogram("party_size", bounds=(1, 2, 5))
    rules = OutcomeRules(declared=declared)
    trace = CallTrace(Call("job", agent_name="front-desk", started_at=100.0), rules=rules)
    token = otel_context.attach(otel_context.get_current())
    trace.attach()
    yield trace
    otel_context.detach(token)


def _measured(trace: CallTrace) -> DeltaAccumulator:
    """Have a call measured, as a job process has."""
    accumulator = DeltaAccumulator()
    recorder = Recorder(accumulator, rules=trace.rules)

    def emit(event: CallEvent) -> None:
        trace.call.apply(event)
        recorder.record(trace.call, event)

    trace.sink = emit
    return accumulator


def _at_worker(accumulator: DeltaAccumulator) -> dict[tuple[str, ...], Any]:
    """Return what a worker gets of an accumulator, over the real way there, agents' names apart."""
    encoder, decoder, state = Encoder(), Decoder(), State()
    for frame in encoder.encode(Batch(tuple(accumulator.drain()))):
        for batch in decoder.feed(frame):
            assert isinstance(batch, Batch)
            state.apply(batch, object())
    return {
        (metric.name, *(str(v) for k, v in point.attributes.items() if k != "agent_name")): (
            (point.sum, tuple(point.bucket_counts))
            if isinstance(point, HistogramDataPoint)
            else point.value
        )
        for scope in state.read()
        for metric in scope.metrics
        for point in metric.data.data_points
    }


# --- nothing raises ----------------------------------------------------------------------------


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("report", CALLS)
def test_no_object_raises_into_a_call(
    line: CallTrace, monkeypatch: pytest.MonkeyPatch, report: str, what: str
) -> None:
    """In production: nothing of an object that is passed comes back, at once or at the end."""
    accumulator = _measured(line)
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    CALLS[report](HOSTILE[what]())
    assert _stays_usable(line, accumulator)


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("report", CALLS)
def test_in_development_an_object_is_refused_in_our_words(
    line: CallTrace, report: str, what: str
) -> None:
    """ValueError that says what to write, or nothing: never what the object raises."""
    accumulator = _measured(line)
    refused = _refused(lambda: CALLS[report](HOSTILE[what]()))
    assert refused is None or "; write " in refused
    assert _stays_usable(line, accumulator)


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("declare", DECLARATIONS)
def test_what_cannot_be_declared_is_refused_in_our_words(
    line: CallTrace, declare: str, what: str
) -> None:
    """Where it is declared, in production too: never by what the object raises."""
    before = pickle.dumps(line.declared)
    refused = _refused(lambda: DECLARATIONS[declare](HOSTILE[what]()))
    if refused is not None:
        assert any(word in refused for word in ("write ", "choose another", "declare it once"))
        assert before == pickle.dumps(line.declared)


def _refused(report: Callable[[], object]) -> str | None:
    """Return what is said of a value that is refused, which is no long text."""
    try:
        report()
    except ValueError as error:
        return str(error)[:500]
    return None


def exported(span: ReadableSpan) -> list[Any]:
    """Return the attributes of a span as they go over the wire."""
    [resource] = encode_spans([span]).resource_spans
    return list(resource.scope_spans[0].spans[0].attributes)


def _stays_usable(trace: CallTrace, accumulator: DeltaAccumulator) -> bool:
    """Tell whether the call's metrics, spans and summary are still to be had."""
    memory = SpanMemory()
    trace.root = memory.tracer().start_span("job_entrypoint")
    trace.root.set_attributes(trace.attributes())
    summary_attributes.write_summary(trace, content=True)
    trace.root.end()
    [span] = memory.spans
    assert len(exported(span)) == len(span.attributes or {})
    outcome, labels = trace.rules.outcome_of(trace.call), trace.rules.labels_of(trace.call)
    summary = SummaryBuilder(trace.call, content=True).summary(
        trace_id="", outcome=outcome, labels=labels
    )
    json.dumps(summary.to_dict(), ensure_ascii=False).encode()
    encoder = Encoder()
    list(encoder.encode(Batch(tuple(accumulator.drain()))))
    return encoder.invalid == 0


def test_wrong_arguments_do_not_end_a_call(
    line: CallTrace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One too many is a mistake of the program's; the caller does not pay for it."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    business.transfer("to", "a human")  # type: ignore[call-arg]
    business.record("party_size")  # type: ignore[call-arg]
    assert [record.getMessage() for record in caplog.records if record.name == LOGGER] == [
        f"telemetry failed while taking business.{name}; the call goes on, further failures here "
        "are not logged"
        for name in ("transfer", "record")
    ]


def test_a_function_that_cannot_be_looked_at_is_left_alone(
    line: CallTrace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a tool it is what it was; as a hook it is called."""

    class Tool:
        """Callable, and nothing else."""

        def __getattr__(self, name: str) -> Any:
            raise MineError(name)

        def __call__(self, *_: object) -> str:
            return "booked"

    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    tool = Tool()
    assert business.tracked_tool(tool)() == "booked"
    assert business.on_turn(tool) is tool
    assert business.on_turn(functools.partial(tool)) is not tool


@pytest.mark.parametrize(
    "register",
    [business.on_call_start, business.on_turn, business.on_tool, business.on_call_end],
)
def test_what_cannot_be_a_hook_is_a_type_error(line: CallTrace, register: Any) -> None:
    """Whatever its own methods do."""
    for value in (_hostile(str, "x"), _hostile(list), _hostile(float, 1.0)):
        with pytest.raises(TypeError, match=r"not a function; write @business\."):
            register(value)


# --- numbers and texts of others ---------------------------------------------------------------


class Scale(NamedTuple):
    """A pair of the application's own."""

    least: float
    greatest: float


class Level(IntEnum):
    """A whole number of the application's own."""

    HIGH = 3


class Intent(str, Enum):  # noqa: UP042  its str() is not its value
    """A text of the application's own."""

    BILLING = "billing"


def test_one_number_of_numpys_does_not_cost_the_values_beside_it(line: CallTrace) -> None:
    """All the way to the worker: 30 and 12.5 of one series are 42.5 there, not nothing."""
    accumulator = _measured(line)
    business.convert("bookings", 30, "EUR")
    business.convert("bookings", np.float64(12.5), "EUR")
    business.count("callbacks", 2, reason="busy")
    business.count("callbacks", np.float64(1), reason="busy")
    business.record("party_size", 4)
    business.record("party_size", np.float64(1.5))
    business.record("party_size", Level.HIGH)
    business.feedback(5)
    business.feedback(np.float64(2), scale=Scale(np.float64(1), 5))
    business.count("callbacks", True, reason="late")
    arrived = _at_worker(accumulator)
    assert arrived["agent.conversion.value", "bookings", "EUR"] == 42.5
    assert arrived["agent.callbacks", "busy"] == 3
    assert arrived["agent.callbacks", "late"] == 1
    assert arrived["agent.party_size",] == (8.5, (0, 1, 2, 0))
    assert arrived["agent.feedback.score", "csat"][0] == 7
    assert arrived["agent.bookings",] == 1


def test_what_is_kept_of_a_call_is_plain(line: CallTrace) -> None:
    """On its spans, in its summary, in JSON: no class of anybody's."""
    _measured(line)
    business.outcome(np.str_("inquiry"), np.str_("asked"))
    business.convert(np.str_("bookings"), np.float64(12.5), np.str_("EUR"))
    business.label(np.str_("intent"), Intent.BILLING)
    business.feedback(np.float64(4), kind=np.str_("csat"))
    business.user(np.str_("u-1"))
    business.tenant(Intent.BILLING)
    annotations = line.call.annotations
    plain = [
        *(annotations.outcome, annotations.reason, annotations.user_id, annotations.tenant_id),
        *(
            *annotations.conversions,
            *annotations.labels,
            *annotations.labels.values(),
            *annotations.feedback,
        ),
        *(
            *annotations.feedback.values(),
            *annotations.values.values(),
            *sum(annotations.values, ()),
        ),
    ]
    assert {type(each) for each in plain} == {str, float}
    assert line.attributes()["agent.label.intent"] == "billing"
    assert line.attributes()["tenant.id"] == "billing"


def test_bounds_and_sets_of_others_become_plain(line: CallTrace) -> None:
    """What is declared with numpy's numbers, or with an Enum, arrives at the worker."""
    business.declare_histogram("wait", bounds=np.linspace(1, 3, 3))  # type: ignore[arg-type]
    business.declare_label("topic", Intent)  # type: ignore[arg-type]
    metric, _ = line.declared.kpis["wait"]
    assert [type(bound) for bound in metric.bounds] == [float, float, float]
    assert {type(value) for value in line.declared.labels["topic"]} == {str}
    accumulator = _measured(line)
    business.record("wait", 2)
    business.label("topic", "billing")
    assert _at_worker(accumulator)["agent.wait",] == (2, (0, 1, 0, 0))


def test_a_number_that_does_not_count_as_one_is_refused(line: CallTrace) -> None:
    """What its methods say and what it was made from are two things."""

    class Liar(float):
        """Adds up to something else."""

        def __add__(self, other: object) -> float:
            return 7.0

    with pytest.raises(ValueError, match=r"value=4.0 of 'bookings' is not an amount"):
        business.convert("bookings", Liar(4), "EUR")
    hostile = _hostile(float, 4.0)
    with pytest.raises(ValueError, match=r"value=<.*HostileFloat .* is not an amount"):
        business.convert("bookings", hostile, "EUR")
