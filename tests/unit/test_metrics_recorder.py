# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""From what happens in a call to points, by name and labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from callspan import semconv
from callspan.call import application_events, events
from callspan.call.call import Call
from callspan.call.declarations import (
    Conversion,
    Declarations,
)
from callspan.call.outcome import OutcomeRules
from callspan.metrics.job.accumulator import DeltaAccumulator
from callspan.metrics.recorder import Recorder
from callspan.metrics.wire.rows import Batch, delivery_rows
from callspan.metrics.worker.state import State
from callspan.semconv import Usage

BOOKINGS = Conversion("bookings", "booking")


@dataclass(eq=False)
class Points:
    """What a worker makes of what one job process recorded."""

    accumulator: DeltaAccumulator = field(default_factory=DeltaAccumulator)
    state: State = field(default_factory=State)

    def metrics(self) -> dict[str, Any]:
        self.state.apply(Batch(tuple(self.accumulator.drain())), self)
        return {metric.name: metric for scope in self.state.read() for metric in scope.metrics}

    def points(self, metric: semconv.Metric) -> dict[tuple[str, ...], Any]:
        """The points of a metric by the values of its labels, in the order of its declaration."""
        metric_data = self.metrics().get(metric.name)
        if metric_data is None:
            return {}
        return {
            tuple(point.attributes[label] for label in metric.labels): point
            for point in metric_data.data.data_points
        }

    def values(self, metric: semconv.Metric) -> dict[tuple[str, ...], float]:
        """Of a counter its value, of a histogram its sum."""
        return {
            labels: point.sum if metric.kind == "histogram" else point.value
            for labels, point in self.points(metric).items()
        }


@pytest.fixture
def points() -> Points:
    return Points()


@pytest.fixture
def recorder(points: Points) -> Recorder:
    declared = Declarations(conversions={BOOKINGS.name: BOOKINGS})
    return Recorder(points.accumulator, rules=OutcomeRules(declared=declared))


@pytest.fixture
def call() -> Call:
    return Call("job", agent_name="front-desk", opened_instant=100.0)


def used(component: str, **usage: float) -> events.ModelUsed:
    named = {Usage[name.upper()]: amount for name, amount in usage.items()}
    return events.ModelUsed(component, "provider", "model", named)


def test_a_call_counts_once(points: Points, recorder: Recorder, call: Call) -> None:
    """One session, its duration, turns and model time; then nobody is on the line any more."""
    recorder.record(call, events.CallStarted())
    assert points.values(semconv.M_SESSIONS_ACTIVE) == {("front-desk",): 1}
    assert points.values(semconv.M_SESSIONS) == {}
    call.apply(used("llm", request_duration=1.5))
    call.apply(used("llm", request_duration=0.5))
    call.apply(used("realtime", request_duration=2.0))
    call.apply(used("tts", request_duration=9.0))
    call.user_message_count, call.closed_instant = 3, 142.0
    recorder.record(call, events.CallEnded())
    assert points.values(semconv.M_SESSIONS_ACTIVE) == {("front-desk",): 0}
    assert points.values(semconv.M_SESSIONS) == {("front-desk", "completed"): 1}
    assert points.values(semconv.M_SESSION_DURATION) == {("front-desk", "completed"): 42.0}
    assert points.values(semconv.M_SESSION_TURNS) == {("front-desk",): 3}
    assert points.values(semconv.M_SESSION_LLM_DURATION) == {("front-desk",): 4.0}


def test_what_is_no_measurement_is_said_to_be_none(
    points: Points, recorder: Recorder, call: Call
) -> None:
    """Nobody has to hurry because of it."""
    assert not recorder.record(call, events.MessageAdded(semconv.SPEAKER_USER, "Hi.", False, {}))
    assert not recorder.record(call, application_events.OutcomeSet("booking"))
    assert points.metrics() == {}
    assert recorder.record(call, events.FirstResponse(1.2))


@pytest.mark.parametrize("kind", [semconv.KIND_SIMULATION, semconv.KIND_CONSOLE, semconv.KIND_TEST])
def test_other_kinds_of_calls_are_one_counter(points: Points, kind: str) -> None:
    """Nothing else of them is recorded."""
    recorder = Recorder(points.accumulator)
    call = Call(
        "job", agent_name="front-desk", kind=kind, opened_instant=100.0, closed_instant=142.0
    )
    for event in ALL_EVENTS:
        recorder.record(call, event)
    assert set(points.metrics()) == {semconv.M_NONPRODUCTION_SESSIONS.name}
    assert points.values(semconv.M_NONPRODUCTION_SESSIONS) == {("front-desk", kind): 1}


def test_kinds_can_be_included(points: Points) -> None:
    """Then they are calls like any other."""
    recorder = Recorder(points.accumulator, counted_kinds={semconv.KIND_CONSOLE})
    call = Call("job", agent_name="front-desk", kind=semconv.KIND_CONSOLE, started_at=1.0)
    recorder.record(call, events.CallStarted())
    recorder.record(call, events.CallEnded())
    assert points.values(semconv.M_SESSIONS) == {("front-desk", "completed"): 1}
    assert points.values(semconv.M_NONPRODUCTION_SESSIONS) == {}


def test_a_turn(points: Points, recorder: Recorder, call: Call) -> None:
    """Its latency and what of it each stage took."""
    recorder.record(call, events.TurnAnswered(0.9, {"llm_first_token": 0.7, "other": 0.2}))
    assert points.values(semconv.M_TURN_LATENCY) == {("front-desk",): 0.9}
    assert points.values(semconv.M_TURN_STAGE_DURATION) == {
        ("front-desk", "llm_first_token"): 0.7,
        ("front-desk", "other"): 0.2,
    }


@pytest.mark.parametrize("latency", [-0.001, 60.001, float("nan")])
def test_a_suspect_latency_is_counted_and_kept_out(
    points: Points, recorder: Recorder, call: Call, latency: float
) -> None:
    """A wrong clock must not move a percentile."""
    recorder.record(call, events.TurnAnswered(latency, {"other": latency}))
    assert points.values(semconv.M_TURN_LATENCY) == {}
    assert points.values(semconv.M_TURN_STAGE_DURATION) == {}
    assert points.values(semconv.M_TELEMETRY_DROPPED) == {("metrics", "suspect_latency"): 1}


def test_durations_that_cannot_be_are_counted(
    points: Points, recorder: Recorder, call: Call
) -> None:
    """They are in no sum; how many there were is known."""
    used = events.ModelUsed("realtime", "acme", "one", {Usage.OUTPUT_TOKENS: 36}, suspect=2)
    recorder.record(call, used)
    assert points.values(semconv.M_TELEMETRY_DROPPED) == {("metrics", "suspect_latency"): 2}


def test_an_exemplar_leads_to_the_turn(points: Points, recorder: Recorder, call: Call) -> None:
    """To the span of the context that is given, and carries nothing else."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("livekit-agents")
    turn = tracer.start_span(semconv.SPAN_AGENT_TURN)
    recorder.record(call, events.TurnAnswered(0.9, {"other": 0.9}), trace.set_span_in_context(turn))
    [point] = points.points(semconv.M_TURN_LATENCY).values()
    [exemplar] = point.exemplars
    assert exemplar.trace_id == turn.get_span_context().trace_id
    assert exemplar.span_id == turn.get_span_context().span_id
    assert not exemplar.filtered_attributes


def test_the_sampler_changes_no_number(points: Points, recorder: Recorder, call: Call) -> None:
    """What is not traced is measured all the same."""
    tracer = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("x")
    with tracer.start_as_current_span(semconv.SPAN_AGENT_TURN):
        recorder.record(call, events.TurnAnswered(0.9, {"other": 0.9}))
    [point] = points.points(semconv.M_TURN_LATENCY).values()
    assert point.count == 1
    assert not point.exemplars


def test_tools_begin_at_zero(points: Points, recorder: Recorder, call: Call) -> None:
    """So that the first call of a tool is an increase; durations only of those that ran."""
    recorder.record(call, events.ToolsDeclared(("book",)))
    recorder.record(call, events.ToolFinished("book", semconv.TOOL_SUCCESS, 0.4))
    recorder.record(call, events.ToolFinished(semconv.OTHER, semconv.TOOL_ERROR))
    assert points.values(semconv.M_TOOL_CALLS) == {
        ("front-desk", "book", "success"): 1,
        ("front-desk", "book", "error"): 0,
        ("front-desk", "book", "cancelled"): 0,
        ("front-desk", "other", "error"): 1,
    }
    assert points.values(semconv.M_TOOL_CALL_DURATION) == {("front-desk", "book"): 0.4}


@pytest.mark.parametrize(
    ("started_at", "failed", "status"),
    [(None, True, "failed"), (None, False, "done"), (1.0, True, "done")],
)
def test_jobs(
    points: Points, recorder: Recorder, started_at: float | None, failed: bool, status: str
) -> None:
    """One that raised after its session began is a call with an error, and a job that is done."""
    call = Call("job", agent_name="front-desk", started_at=started_at, failed=failed)
    recorder.record(call, events.JobEnded())
    assert points.values(semconv.M_JOBS) == {("front-desk", status): 1}


def test_interruption_detection(points: Points, recorder: Recorder, call: Call) -> None:
    """Its parts, and speech over the agent that was none."""
    recorder.record(
        call,
        used(
            "interruption",
            detection_duration=0.3,
            inference_duration=0.1,
            detection_delay=0.2,
            backchannels=1,
        ),
    )
    recorder.record(call, used("interruption", interruptions=1))
    assert points.values(semconv.M_BACKCHANNELS) == {("front-desk",): 1}
    assert points.values(semconv.M_INTERRUPTION_DETECTION_DURATION) == {
        ("front-desk", "total"): 0.3,
        ("front-desk", "prediction"): 0.1,
        ("front-desk", "detection_delay"): 0.2,
    }


def test_the_rest(points: Points, recorder: Recorder, call: Call) -> None:
    """Speech, interruptions, handoffs, errors, tokens, VAD and the first response."""
    for event in ALL_EVENTS:
        recorder.record(call, event)
    assert points.values(semconv.M_SPEECH_DURATION) == {("front-desk", "user"): 2.5}
    assert points.values(semconv.M_INTERRUPTIONS) == {("front-desk", "barge_in"): 1}
    assert points.values(semconv.M_HANDOFFS) == {("front-desk", "greeter", "accounts"): 1}
    assert points.values(semconv.M_ERRORS) == {
        ("front-desk", "llm", "unknown", "APITimeoutError", "true"): 1
    }
    assert points.values(semconv.M_LLM_TOKENS_PER_SECOND) == {
        ("front-desk", "unknown", "small"): 80.0
    }
    assert points.values(semconv.M_VAD_INFERENCES) == {("front-desk",): 31}
    assert points.values(semconv.M_VAD_INFERENCE_DURATION) == {("front-desk",): 0.05}
    assert points.values(semconv.M_FIRST_RESPONSE_LATENCY) == {("front-desk",): 1.2}
    assert points.values(semconv.M_COST) == {("front-desk", "tts", "openai", "tts-1"): 0.003}
    assert points.values(semconv.M_UNPRICED_USAGE) == {("stt", "unknown", "unknown"): 1}
    assert points.values(BOOKINGS.metric) == {("front-desk",): 1}
    assert points.values(semconv.M_CONVERSION_VALUE) == {("front-desk", "bookings", "EUR"): 200}
    assert points.values(semconv.M_FEEDBACK_SCORE) == {("front-desk", "csat"): 4}


ALL_EVENTS: list[events.CallEvent] = [
    events.CallStarted(),
    events.ToolsDeclared(("book",)),
    events.FirstResponse(1.2),
    events.SpeechEnded(semconv.SPEAKER_USER, 2.5),
    events.TurnAnswered(0.9, {"other": 0.9}),
    events.ToolFinished("book", semconv.TOOL_SUCCESS, 0.4),
    events.Interrupted(semconv.INTERRUPTION_BARGE_IN),
    events.ModelUsed(semconv.COMPONENT_LLM, "", "small", {}, tokens_per_second=80.0),
    events.ModelUsed(
        semconv.COMPONENT_VAD,
        "",
        "silero",
        {Usage.INFERENCES: 31.0, Usage.INFERENCE_DURATION: 0.05},
    ),
    events.ModelUsed(
        semconv.COMPONENT_INTERRUPTION,
        "",
        "",
        {Usage.BACKCHANNELS: 1.0, Usage.DETECTION_DURATION: 0.2},
    ),
    events.ErrorRaised(semconv.COMPONENT_LLM, "", "APITimeoutError", recoverable=True),
    events.HandedOff("greeter", "accounts"),
    events.CostRecorded(semconv.COMPONENT_TTS, "openai", "tts-1", 0.003),
    events.CostRecorded(semconv.COMPONENT_STT, "", "", None),
    application_events.Converted("bookings", first=True, value=120.0, currency="EUR"),
    application_events.Converted("bookings", first=False, value=80.0, currency="EUR"),
    application_events.FeedbackGiven(semconv.FEEDBACK_CSAT, 4),
    events.CallEnded(),
    events.JobEnded(),
]


def test_every_metric_is_made_as_declared(points: Points, recorder: Recorder) -> None:
    """Name, unit, description, bounds and labels are those of the one table in semconv."""
    call = Call("job", agent_name="front-desk", opened_instant=100.0, closed_instant=142.0)
    for event in ALL_EVENTS:
        recorder.record(call, event)
    recorder.record(call, events.TurnAnswered(-1.0, {}))
    recorder.record(
        Call("test", agent_name="front-desk", kind=semconv.KIND_TEST), events.CallStarted()
    )
    recorder.record(
        Call("test", agent_name="front-desk", kind=semconv.KIND_TEST), events.CallEnded()
    )
    for row in delivery_rows("https://otlp.example.com", delivered=True):
        points.state.add(row)
    metrics = points.metrics()
    declared = (*semconv.METRICS, BOOKINGS.metric)
    assert set(metrics) == {metric.name for metric in declared}
    for metric in declared:
        made = metrics[metric.name]
        assert (made.unit, made.description) == (metric.unit, metric.description)
        for point in made.data.data_points:
            assert set(point.attributes) == set(metric.labels), metric.name
            if metric.kind == "histogram":
                assert tuple(point.explicit_bounds) == metric.bounds
        if metric.kind in ("counter", "updowncounter"):
            assert made.data.is_monotonic == (metric.kind == "counter")


def test_a_destination_that_was_never_reached_has_no_age(points: Points) -> None:
    """It is down, and that is all there is to say."""
    for row in delivery_rows("a", delivered=False):
        points.state.add(row)
    assert points.values(semconv.M_TELEMETRY_UP) == {("a",): 0}
    assert points.values(semconv.M_TELEMETRY_EXPORT_AGE) == {}


def test_what_a_job_says_of_a_destination_outlives_the_job(points: Points) -> None:
    """A destination is there when no call is."""
    points.accumulator.record(semconv.M_TELEMETRY_UP, 1, ("a",))
    points.accumulator.record(semconv.M_TELEMETRY_EXPORT_AGE, 0, ("a",))
    points.metrics()
    points.state.disconnect(points)
    assert points.values(semconv.M_TELEMETRY_UP) == {("a",): 1}
    assert 0 < points.values(semconv.M_TELEMETRY_EXPORT_AGE)[("a",)] < 60
