# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""callspan.testing as an application's tests use it: real sessions in the test's own process."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, ToolError, function_tool, telemetry
from opentelemetry import metrics, trace

from callspan import LiveKitAgentsInstrumentor, business, instrument
from callspan.business import declare, hooks
from callspan.testing import CallRecorder, record_calls
from callspan.tracing.call_trace import CallTrace
from kit.instant_models import InstantLLM

EXAMPLE = Path(__file__).parents[2] / "examples" / "testing"
PRICES = {"llm": {"openai/gpt-4o-mini": {"per_request": 0.25}}}
DEARER = {"llm": {"openai/gpt-4o-mini": {"per_request": 3.0}}, "flat": {"per_call": 1.0}}


class Receptionist(Agent):
    def __init__(self) -> None:
        super().__init__(id="receptionist", instructions="You answer the telephone.")

    @function_tool
    async def book(self, day: str) -> str:
        """Book a time.

        Args:
            day: The day.
        """
        if day == "friday":
            raise ToolError("the book is closed on Fridays")
        business.convert("bookings", value=90, currency="EUR")
        return f"booked on {day}"


async def call(*said: str) -> None:
    async with AgentSession(llm=InstantLLM()) as session:
        await session.start(Receptionist())
        for text in said:
            await session.run(user_input=text)


@pytest.fixture(autouse=True)
def _declared() -> Iterator[None]:
    """What the top of an agent.py would declare."""
    with declare.declarations_restored(), hooks.hooks_restored():
        business.declare_conversion("bookings", outcome="booking")
        business.declare_label("intent", ("booking", "other"))
        yield


@pytest.fixture
def app() -> Iterator[LiveKitAgentsInstrumentor]:
    """What the top of an agent.py would instrument."""
    instrumentor = instrument(prices=PRICES)
    yield instrumentor
    instrumentor.uninstrument()


@pytest.fixture
def recorder() -> Iterator[CallRecorder]:
    with record_calls() as recorder:
        yield recorder


# --- what is recorded --------------------------------------------------------------------------


async def test_a_call_is_recorded_whole(recorder: CallRecorder) -> None:
    """Turns, tools with what went in and came out, outcome, spans and metrics of one call."""
    await call("hello", "book", "friday")
    recorded = recorder.call
    summary = recorded.summary
    assert [(turn.index, turn.speaker, turn.text) for turn in summary.turns] == [
        (1, "user", "hello"),
        (1, "agent", "message: hello."),
        (2, "user", "book"),
        (2, "agent", "function_call_output: booked on monday."),
        (3, "user", "friday"),
        (3, "agent", "function_call_output: the book is closed on Fridays."),
    ]
    assert [(t.turn, t.name, t.status, t.arguments, t.output) for t in summary.tools] == [
        (2, "book", "success", '{"day": "monday"}', "booked on monday"),
        (3, "book", "error", '{"day": "friday"}', "the book is closed on Fridays"),
    ]
    assert all((tool.duration_s or 0) > 0 for tool in summary.tools)
    assert (summary.outcome, summary.kind, summary.agent_name) == (
        "booking",
        "test",
        "receptionist",
    )
    assert [(c.name, c.values) for c in summary.conversions] == [("bookings", {"EUR": 90})]
    session = recorded.span("agent_session")
    assert session.attributes is not None
    assert session.attributes["agent.usage.llm.input_tokens"] == 5 * 11
    assert session.context is not None
    assert trace.format_trace_id(session.context.trace_id) == summary.trace_id
    assert {(s.attributes or {})["session.id"] for s in recorded.spans} == {summary.call_id}
    assert len(recorded.spans_named("function_tool")) == 2
    assert recorder.counter("agent.sessions", outcome="booking", agent_name="receptionist") == 1
    assert recorder.counter("agent.sessions.active") == 0
    assert recorder.counter("agent.tool_calls") == 2
    assert recorder.counter("agent.tool_calls", status="error") == 1
    assert recorder.counter("agent.bookings") == 1
    assert recorder.counter("agent.bookings", intent="booking") == 0
    assert recorder.histogram("agent.session.turns") == [3]
    assert recorder.histogram("agent.tool_call.duration") == [t.duration_s for t in summary.tools]


async def test_two_calls_in_a_test_are_two(recorder: CallRecorder) -> None:
    """One after the other in one task: neither has anything of the other's, not even its trace."""
    await call("book")
    await call("hello", "friday")
    first, second = recorder.calls
    assert [len(each.summary.turns) for each in (first, second)] == [2, 4]
    assert [each.summary.outcome for each in (first, second)] == ["booking", "completed"]
    assert first.summary.trace_id != second.summary.trace_id
    for each in (first, second):
        assert each.span("agent_session").parent is None
        assert len(each.spans_named("function_tool")) == 1
    assert recorder.counter("agent.sessions") == 2
    assert recorder.histogram("agent.session.turns") == [1, 2]
    with pytest.raises(LookupError) as several:
        _ = recorder.call
    assert str(several.value) == "2 calls were recorded; take one of recorder.calls"


async def test_calls_at_the_same_time(recorder: CallRecorder) -> None:
    """Each in a task of its own."""
    await asyncio.gather(*(call(text) for text in ("book", "hello", "book")))
    assert [each.summary.outcome for each in recorder.calls] == ["booking", "completed", "booking"]
    assert recorder.counter("agent.bookings") == 2


async def test_a_session_that_another_task_started(recorder: CallRecorder) -> None:
    """As a fixture does: what its tools report is the call's."""
    session = AgentSession[None](llm=InstantLLM())
    await asyncio.create_task(session.start(Receptionist()))
    await session.run(user_input="book")
    await session.aclose()
    assert recorder.call.summary.outcome == "booking"


async def test_what_is_said_of_a_call_when_it_has_closed_counts(recorder: CallRecorder) -> None:
    """It is summed up when it is first looked at."""
    session = AgentSession[None](llm=InstantLLM())
    await session.start(Receptionist())
    session.on("close", lambda _: business.outcome("failure"))
    await session.aclose()
    assert recorder.call.summary.outcome == "failure"
    assert recorder.counter("agent.sessions", outcome="failure") == 1


async def test_a_price_is_exact() -> None:
    """Of the requests of a call, and of the call."""
    with record_calls(prices=DEARER) as recorder:
        await call("hello", "book")
    assert recorder.call.summary.cost_by_component == {"llm": 9.0, "other": 1.0}
    assert recorder.call.summary.cost_dollars == 10.0
    assert recorder.counter("agent.cost", component="llm") == 9.0
    costs = [
        (s.attributes or {})["agent.cost.dollars"]
        for s in recorder.calls[0].spans_named("llm_request")
    ]
    assert costs == [3.0, 3.0, 3.0]


@pytest.mark.usefixtures("app")
async def test_prices_of_the_application() -> None:
    """Those that it passes to instrument() hold, unless a test has others."""
    with record_calls() as own:
        await call("hello")
    with record_calls(prices=DEARER) as others:
        await call("hello")
    assert own.call.summary.cost_dollars == 0.25
    assert others.call.summary.cost_dollars == 4.0


async def test_content_stays_out_if_that_is_asked_for() -> None:
    """Both ways, so that a test can show what would be exported."""
    words: dict[bool, str] = {}
    for content in (True, False):
        with record_calls(capture_content=content) as recorder:
            await call("book")
        recorded = recorder.call
        spans = [(dict(s.attributes or {}), s.events) for s in recorded.spans]
        words[content] = f"{recorded.summary.to_json()} {spans}"
    assert words[True].count("booked on monday") >= 2
    assert "booked on monday" not in words[False]
    assert '"name": "book"' in words[False]


# --- what is left behind -----------------------------------------------------------------------


def functions() -> dict[str, object]:
    """What could have been replaced in livekit and in the API of OpenTelemetry."""
    return {
        f"{path}.{name}": value
        for module_name, module in list(sys.modules.items())
        if f"{module_name}.".startswith(("livekit.agents.", "opentelemetry.trace."))
        for path, owner in [(module_name, module), *classes_of(module_name, module)]
        for name, value in list(vars(owner).items())
        if callable(value) or hasattr(type(value), "__get__")
    }


def replaced(before: dict[str, object]) -> list[str]:
    """What is another object than before; a wrapper is equal to what it wraps."""
    after = functions()
    return [name for name in before if after.get(name) is not before[name]]


def classes_of(path: str, module: Any) -> list[tuple[str, Any]]:
    return [(f"{path}.{n}", c) for n, c in list(vars(module).items()) if isinstance(c, type)]


async def test_nothing_is_left_behind() -> None:
    """Functions, providers, declarations, hooks, context, threads: the very same as before."""
    await call("hello")  # loads all that a call loads
    before = functions()
    declared, registered = deepcopy(declare.declared), deepcopy(hooks._hooks)
    providers = (
        telemetry.tracer._tracer_provider,
        trace.get_tracer_provider(),
        metrics.get_meter_provider(),
    )
    threads = set(threading.enumerate())
    summaries: list[object] = []
    for outcome in ("first", "second"):
        with record_calls() as recorder:
            assert len(replaced(before)) > 10
            business.declare_outcomes(outcome, default=outcome)
            business.declare_conversion(f"{outcome}s")
            business.declare_label(outcome, ("a", "b"))
            business.declare_counter(f"of_{outcome}")
            business.on_call_end(summaries.append)
            await call("book", "hello")
        assert recorder.call.summary.outcome == "booking"
        assert replaced(before) == []
        assert declare.declared == declared
        assert hooks._hooks == registered
        assert CallTrace.find() is None
    assert providers == (
        telemetry.tracer._tracer_provider,
        trace.get_tracer_provider(),
        metrics.get_meter_provider(),
    )
    ours = {t for t in set(threading.enumerate()) - threads if "callspan" in t.name}
    for thread in ours:
        thread.join(timeout=30)
    assert not [thread.name for thread in ours if thread.is_alive()]
    assert summaries == []
    assert not LiveKitAgentsInstrumentor().is_instrumented_by_opentelemetry


async def test_the_application_is_instrumented_again(app: LiveKitAgentsInstrumentor) -> None:
    """As it was, with what it passed; and its own calls are not recorded."""
    options = type(app)._options
    with record_calls() as recorder:
        assert instrument() is app  # as an agent.py that is imported late does
        await call("hello")
    assert app.is_instrumented_by_opentelemetry
    assert type(app)._options is options
    assert options is not None
    assert (options.prices, options.tracer_provider, options.capture_content) == (
        PRICES,
        None,
        None,
    )
    assert not app.is_recording
    assert len(recorder.calls) == 1


async def test_what_happens_after_the_end_changes_nothing() -> None:
    """Neither a call that starts then, nor one that ends then: that was not over in time."""
    with record_calls() as recorder:
        await call("book")
    await call("hello")
    assert recorder.call.summary.outcome == "booking"
    assert recorder.counter("agent.sessions") == 1
    with record_calls() as late:
        session = AgentSession[None](llm=InstantLLM())
        await session.start(Receptionist())
    await session.aclose()
    with pytest.raises(LookupError, match=r"^a call is not over; "):
        _ = late.calls


# --- wrong use ---------------------------------------------------------------------------------


async def test_a_call_that_is_not_over(recorder: CallRecorder) -> None:
    """It is said how to close it; what is asked for makes no difference."""
    session = AgentSession[None](llm=InstantLLM())
    await session.start(Receptionist())
    for ask in (
        lambda: recorder.call,
        lambda: recorder.calls,
        lambda: recorder.counter("agent.sessions"),
        lambda: recorder.histogram("agent.session.turns"),
    ):
        with pytest.raises(LookupError) as open_call:
            ask()
        assert str(open_call.value) == (
            "a call is not over; close its AgentSession before you look: write "
            "async with AgentSession(...) as session, or await session.aclose()"
        )
    await session.aclose()
    assert recorder.call.summary.outcome == "completed"


def test_no_call(recorder: CallRecorder) -> None:
    """There is nothing to look at."""
    assert recorder.calls == []
    with pytest.raises(LookupError) as nothing:
        _ = recorder.call
    assert str(nothing.value) == (
        "no call was recorded; start an AgentSession inside of record_calls(), in the process of "
        "the test"
    )


async def test_wrong_names(recorder: CallRecorder) -> None:
    """A slip is no zero."""
    await call("book", "book")
    recorded = recorder.call
    names = ", ".join(sorted({span.name for span in recorded.spans}))
    for ask, message in (
        (
            lambda: recorder.counter("agent_bookings_total"),
            "no metric 'agent_bookings_total'; do you mean 'agent.bookings'?",
        ),
        (
            lambda: recorder.counter("agent.tool_call"),
            "no metric 'agent.tool_call'; do you mean 'agent.tool_calls'?",
        ),
        (lambda: recorder.histogram("xyz"), "no metric 'xyz'; docs/metrics.md has them all"),
        (
            lambda: recorder.counter("agent.tool_calls", tool="book"),
            "agent.tool_calls has no label tool; it has agent_name, tool_name, status",
        ),
        (
            lambda: recorder.counter("agent.session.turns"),
            "agent.session.turns is a histogram; write histogram('agent.session.turns')",
        ),
        (
            lambda: recorder.histogram("agent.bookings"),
            "agent.bookings is no histogram; write counter('agent.bookings')",
        ),
        (lambda: recorded.span("tool"), f"no span 'tool' in this call; it has {names}"),
        (
            lambda: recorded.span("function_tool"),
            "2 spans 'function_tool' in this call; take one of spans_named('function_tool')",
        ),
    ):
        with pytest.raises(LookupError) as wrong:
            ask()
        assert str(wrong.value) == message


def test_one_inside_of_another(recorder: CallRecorder) -> None:
    """The fixture and the block at once; the outer one goes on."""
    with pytest.raises(RuntimeError) as nested, record_calls():
        pass
    assert str(nested.value) == (
        "record_calls() is open already in this process; use the recorder of the outer one, or "
        "the fixture call_recorder alone"
    )
    assert LiveKitAgentsInstrumentor().is_recording
    assert recorder.calls == []


def test_wrong_arguments() -> None:
    """Refused before anything is touched."""
    with (
        pytest.raises(ValueError, match=r"^'telepathy' is not a component"),
        record_calls(prices={"telepathy": {}}),
    ):
        pass
    assert not LiveKitAgentsInstrumentor().is_recording
    assert not LiveKitAgentsInstrumentor().is_instrumented_by_opentelemetry


def test_turned_off_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a CI may do for all that is tested."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with pytest.raises(RuntimeError) as off, record_calls():
        pass
    assert str(off.value) == (
        "OTEL_SDK_DISABLED=true: instrumentation is turned off, no call can be recorded; unset it "
        "where tests of calls run"
    )


# --- the example -------------------------------------------------------------------------------


def run_example(folder: Path) -> str:
    """Run the example's tests as a user does, and return what pytest printed."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rA", "."],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return result.stdout


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example, as somebody copied it."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "testing"))


def test_the_example_passes(example: Path) -> None:
    """Copied to a folder of its own."""
    printed = run_example(example)
    assert "3 passed" in printed, printed


def test_the_example_sees_a_fault(example: Path) -> None:
    """An agent that no longer reports its bookings, and takes any number of guests."""
    agent = example / "restaurant.py"
    text = agent.read_text()
    for right, wrong in (("business.convert(", "dict("), ("guests > SEATS", "guests < 0")):
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    agent.write_text(text.replace('dict("bookings", ', "dict("))
    printed = run_example(example)
    assert "2 failed, 1 passed" in printed, printed
    assert "assert [('find_table', 'success')] == [('find_table', 'error')]" in printed
