# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""Every instrument of ours, made once; names, units and bounds are those of ``semconv``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from opentelemetry.metrics import (
    CallbackOptions,
    Counter,
    Histogram,
    Meter,
    MeterProvider,
    Observation,
    UpDownCounter,
)

from .. import semconv
from ..semconv import Metric
from ..version import __version__


def meter_of(provider: MeterProvider) -> Meter:
    """Return the meter that all of ours are made on: this package's scope, with its version."""
    return provider.get_meter(semconv.SCOPE_NAME, __version__, schema_url=semconv.SCHEMA_URL)


class Instruments:
    """The instruments that calls are recorded on.

    Args:
        meter: What they are made on; see :func:`meter_of`.
    """

    def __init__(self, meter: Meter) -> None:
        def counter(metric: Metric) -> Counter:
            return meter.create_counter(metric.name, metric.unit, metric.description)

        def histogram(metric: Metric) -> Histogram:
            return meter.create_histogram(
                metric.name,
                metric.unit,
                metric.description,
                explicit_bucket_boundaries_advisory=metric.bounds,
            )

        self.sessions = counter(semconv.M_SESSIONS)
        self.nonproduction_sessions = counter(semconv.M_NONPRODUCTION_SESSIONS)
        self.sessions_active: UpDownCounter = meter.create_up_down_counter(
            semconv.M_SESSIONS_ACTIVE.name,
            semconv.M_SESSIONS_ACTIVE.unit,
            semconv.M_SESSIONS_ACTIVE.description,
        )
        self.session_duration = histogram(semconv.M_SESSION_DURATION)
        self.session_turns = histogram(semconv.M_SESSION_TURNS)
        self.session_llm_duration = histogram(semconv.M_SESSION_LLM_DURATION)
        self.jobs = counter(semconv.M_JOBS)
        self.turn_latency = histogram(semconv.M_TURN_LATENCY)
        self.turn_stage_duration = histogram(semconv.M_TURN_STAGE_DURATION)
        self.first_response_latency = histogram(semconv.M_FIRST_RESPONSE_LATENCY)
        self.tool_calls = counter(semconv.M_TOOL_CALLS)
        self.tool_call_duration = histogram(semconv.M_TOOL_CALL_DURATION)
        self.llm_tokens_per_second = histogram(semconv.M_LLM_TOKENS_PER_SECOND)
        self.interruptions = counter(semconv.M_INTERRUPTIONS)
        self.backchannels = counter(semconv.M_BACKCHANNELS)
        self.interruption_detection_duration = histogram(semconv.M_INTERRUPTION_DETECTION_DURATION)
        self.vad_inferences = counter(semconv.M_VAD_INFERENCES)
        self.vad_inference_duration = counter(semconv.M_VAD_INFERENCE_DURATION)
        self.speech_duration = counter(semconv.M_SPEECH_DURATION)
        self.handoffs = counter(semconv.M_HANDOFFS)
        self.errors = counter(semconv.M_ERRORS)
        self.telemetry_dropped = counter(semconv.M_TELEMETRY_DROPPED)


class Destination(NamedTuple):
    """How deliveries to one destination go.

    Attributes:
        name: The destination's, from the configuration.
        up: Whether the last delivery succeeded.
        age_s: Seconds since the last one that did; None before the first.
    """

    name: str
    up: bool
    age_s: float | None


def observe_destinations(meter: Meter, read: Callable[[], Iterable[Destination]]) -> None:
    """Make the gauges of the deliveries; ``read`` is called whenever metrics are collected."""

    def up(_: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(int(destination.up), {semconv.L_DESTINATION: destination.name})
            for destination in read()
        ]

    def age(_: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(destination.age_s, {semconv.L_DESTINATION: destination.name})
            for destination in read()
            if destination.age_s is not None
        ]

    for metric, callback in (
        (semconv.M_TELEMETRY_UP, up),
        (semconv.M_TELEMETRY_EXPORT_AGE, age),
    ):
        meter.create_observable_gauge(metric.name, [callback], metric.unit, metric.description)
