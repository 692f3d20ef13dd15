# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""Plays a scenario and keeps every span of it, with or without the instrumentation."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from livekit.agents import telemetry
from livekit.agents.telemetry import tracer
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from callspan import LiveKitAgentsInstrumentor
from kit.behaviours.environment import Environment
from kit.memory import SpanMemory

Scenario = Callable[[Environment], Awaitable[None]]


class _Starts(SpanProcessor):
    def __init__(self) -> None:
        self.names: Counter[str] = Counter()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.names[span.name] += 1


@dataclass
class Recording:
    """The spans of one run.

    Attributes:
        spans: Those that ended, in the order in which they did.
        started: How many spans of each name began.
        late: Names of those that ended when the scenario, and its session with it, was over.
    """

    spans: list[ReadableSpan]
    started: Counter[str]
    late: Counter[str] = field(default_factory=Counter)

    @property
    def names(self) -> Counter[str]:
        return Counter(span.name for span in self.spans)

    @property
    def trace_ids(self) -> set[int]:
        return {span.context.trace_id for span in self.spans if span.context}

    @property
    def duplicates(self) -> list[str]:
        ids = Counter(span.context.span_id for span in self.spans if span.context)
        return [s.name for s in self.spans if s.context and ids[s.context.span_id] > 1]

    @property
    def orphans(self) -> list[str]:
        ids = {span.context.span_id for span in self.spans if span.context}
        return [s.name for s in self.spans if s.parent and s.parent.span_id not in ids]

    @property
    def roots(self) -> list[str]:
        return [span.name for span in self.spans if span.parent is None]

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def parent_of(self, span: ReadableSpan) -> ReadableSpan | None:
        wanted = span.parent.span_id if span.parent else None
        parents = [s for s in self.spans if s.context and s.context.span_id == wanted]
        return parents[0] if parents else None


async def record_reference(scenario: Scenario) -> Recording:
    """Plays a scenario with nothing of ours, as LiveKit documents it for a provider."""
    return await _record(scenario, _reference)


async def record_instrumented(scenario: Scenario) -> Recording:
    """Plays a scenario with the instrumentation on a provider that the user brought."""
    return await _record(scenario, _instrumented)


async def _record(
    scenario: Scenario, telemetry_of: Callable[[TracerProvider], AbstractContextManager[None]]
) -> Recording:
    starts, provider = _Starts(), TracerProvider()
    provider.add_span_processor(starts)
    memory = SpanMemory(provider)
    with telemetry_of(provider):
        async with Environment() as environment:
            # A session leaves its span current in the task that started it: each run has its own.
            await asyncio.create_task(_play(scenario, environment))
            in_time = len(memory.spans)
    spans = memory.spans
    late = Counter(span.name for span in spans[in_time:])
    return Recording(spans=spans, started=starts.names, late=late)


async def _play(scenario: Scenario, environment: Environment) -> None:
    await scenario(environment)


@contextmanager
def _reference(provider: TracerProvider) -> Iterator[None]:
    before = tracer._tracer_provider
    telemetry.set_tracer_provider(provider)
    try:
        yield
    finally:
        tracer.set_provider(before)


@contextmanager
def _instrumented(provider: TracerProvider) -> Iterator[None]:
    instrumentor = LiveKitAgentsInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        yield
    finally:
        instrumentor.uninstrument()
