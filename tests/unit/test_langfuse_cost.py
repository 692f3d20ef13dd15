# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The cost of a call among its observations: with the SDK's spans and batches, all adds up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, Span, SpanKind, Tracer, TraceState
from opentelemetry.util.types import Attributes

from callspan import semconv
from callspan.export import langfuse, langfuse_cost
from callspan.export.delivery import DeliveringSpanProcessor
from callspan.export.span_filter import SpanFilter

COST = "agent.cost.dollars"
USED = {
    "gen_ai.usage.input_tokens": 3,
    "gen_ai.usage.output_tokens": 1,
    "gen_ai.request.model": "gpt-4o-mini",
}


class NotSent(Sampler):
    """Records spans of one name without sampling them."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        sent = name != "tts_request"
        return SamplingResult(
            Decision.RECORD_AND_SAMPLE if sent else Decision.RECORD_ONLY, attributes
        )

    def get_description(self) -> str:
        return "NotSent"


class Langfuse:
    """What Langfuse would be sent."""

    def __init__(self) -> None:
        self._sent = InMemorySpanExporter()
        self.delivery = DeliveringSpanProcessor(
            self._sent, "langfuse", langfuse.mapping(), SpanFilter()
        )
        provider = TracerProvider(sampler=NotSent(), shutdown_on_exit=False)
        provider.add_span_processor(self.delivery)
        self.tracer: Tracer = provider.get_tracer(semconv.LIVEKIT_SCOPE_NAME)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        self.delivery.force_flush()
        return self._sent.get_finished_spans()

    def costs(self, call: str = "AJ_1") -> list[tuple[str, dict[str, float]]]:
        """What the observations of a call say, as they came."""
        return [
            (span.name, json.loads(str(attributes["langfuse.observation.cost_details"])))
            for span in self.spans
            if "langfuse.observation.cost_details" in (attributes := span.attributes or {})
            and attributes.get("session.id") == call
        ]

    def root(self, call: str = "AJ_1") -> Span:
        return self.tracer.start_span("job_entrypoint", attributes={"session.id": call})

    def request(
        self, root: Span, name: str = "llm_request", call: str = "AJ_1", **attributes: Any
    ) -> Span:
        context = trace.set_span_in_context(root)
        attributes = {"session.id": call, **USED, **attributes}
        return self.tracer.start_span(name, context, attributes=attributes)


@pytest.fixture
def sent() -> Langfuse:
    return Langfuse()


def end(span: Span, dollars: float | None = None) -> None:
    if dollars is not None:
        span.set_attribute(COST, dollars)
    span.end()


def test_a_root_whose_requests_said_it_all_says_nothing(sent: Langfuse) -> None:
    """Ten tenths that do not add up to one in binary are no rest, either."""
    root = sent.root()
    for _ in range(10):
        end(sent.request(root), 0.1)
    end(root, 1.0)
    assert sent.costs() == [("llm_request", {"total": 0.1})] * 10


def test_the_root_says_what_no_request_said(sent: Langfuse) -> None:
    """Flat prices, for example: under a name that is no part of anybody's usage."""
    root = sent.root()
    end(sent.request(root), 0.002)
    end(root, 0.252)
    assert sent.costs()[1:] == [("job_entrypoint", {"other": 0.25, "total": 0.25})]


def test_what_is_not_sent_has_said_nothing(sent: Langfuse) -> None:
    """A span that is left out, one that is not sampled, one that had ended when its cost came."""
    root = sent.root()
    end(sent.request(root, "application_request"), 0.01)
    end(sent.request(root, "tts_request"), 0.02)
    ended = sent.request(root)
    ended.end()
    end(ended, 0.04)
    end(root, 0.07)
    assert sent.costs() == [
        # Langfuse has a price for it in its own table
        ("llm_request", {"total": 0.0}),
        ("job_entrypoint", {"other": 0.07, "total": 0.07}),
    ]


def test_what_ends_after_the_root_has_been_said(sent: Langfuse) -> None:
    """Its cost was part of the call's when the root was sent."""
    root = sent.root()
    late = sent.request(root)
    end(root, 0.01)
    end(late, 0.01)
    assert sent.costs() == [
        ("job_entrypoint", {"other": 0.01, "total": 0.01}),
        ("llm_request", {"total": 0.0}),
    ]


def test_a_request_without_a_price_is_left_to_langfuse(sent: Langfuse) -> None:
    """Its table of models may have one."""
    root = sent.root()
    end(sent.request(root, **{"agent.unpriced_usage": True}))
    end(root)
    assert sent.costs() == []


def test_a_request_of_no_call_is_left_to_langfuse(sent: Langfuse) -> None:
    """Nothing is known of what it cost."""
    sent.tracer.start_span("llm_request", attributes=USED).end()
    [span] = sent.spans
    assert "langfuse.observation.cost_details" not in (span.attributes or {})


def test_without_a_root_requests_say_their_own(sent: Langfuse) -> None:
    """A call whose part `attributes` is off has no sum to be said."""
    root = sent.root()
    end(root)
    end(sent.request(root), 0.01)
    assert sent.costs() == [("llm_request", {"total": 0.01})]


def test_calls_in_one_process_are_told_apart(sent: Langfuse) -> None:
    """Each root gives the rest of its own."""
    roots = {call: sent.root(call) for call in ("AJ_1", "AJ_2")}
    for call, root in roots.items():
        end(sent.request(root, call=call), 0.01)
    for root in roots.values():
        end(root, 0.03)
    for call in roots:
        assert sent.costs(call)[1:] == [("job_entrypoint", {"other": 0.02, "total": 0.02})]


def test_a_cost_that_is_no_number_is_none(sent: Langfuse) -> None:
    """An application may write what it likes; the batch goes out."""
    root = sent.root()
    end(sent.request(root, **{COST: "cheap", "agent.unpriced_usage": True}))
    end(root, 0.01)
    assert sent.costs() == [("job_entrypoint", {"other": 0.01, "total": 0.01})]


def test_a_long_life_remembers_the_latest_calls_alone(
    sent: Langfuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may take calls for years."""
    monkeypatch.setattr(langfuse_cost, "_REMEMBERED", 2)
    costs = langfuse_cost.ObservationCosts()
    for number in range(5):
        costs.of_root({"session.id": f"AJ_{number}", COST: 0.01})
    assert list(costs._attributed) == ["AJ_3", "AJ_4"]
