# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""Delivery: what arrived is counted, what hangs is left behind."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from opentelemetry.instrumentation.livekit_agents.providers.delivery import DeliveringSpanProcessor
from opentelemetry.instrumentation.livekit_agents.providers.flush import Flush


class _Backend(SpanExporter):
    """A backend that does as it is told."""

    def __init__(self, answer: SpanExportResult = SpanExportResult.SUCCESS) -> None:
        self.answer = answer
        self.names: list[str] = []
        self.threads: set[int] = set()
        self.let_go = threading.Event()
        self.let_go.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.threads.add(threading.get_ident())
        self.let_go.wait()
        self.names += [span.name for span in spans]
        return self.answer


def _deliver(backend: _Backend) -> tuple[TracerProvider, DeliveringSpanProcessor]:
    provider = TracerProvider(shutdown_on_exit=False)
    delivery = DeliveringSpanProcessor(backend, "backend", lambda span: span)
    provider.add_span_processor(delivery)
    return provider, delivery


def _two_calls(provider: TracerProvider) -> tuple[int, int]:
    tracer = provider.get_tracer("t")
    ids = []
    for spans in (2, 3):
        with tracer.start_as_current_span("root") as root:
            for _ in range(spans - 1):
                tracer.start_span("child").end()
        ids.append(root.get_span_context().trace_id)
    return ids[0], ids[1]


def test_all_that_arrived_is_accounted_for_per_call() -> None:
    """With a healthy backend nothing is missing of either call, and nobody waited for it."""
    backend = _Backend()
    provider, delivery = _deliver(backend)
    first, second = _two_calls(provider)
    flush = Flush([("backend", delivery.force_flush)], 10)
    flush.done.result(timeout=10)
    assert delivery.missing(first) == (0, 2)
    assert delivery.missing(second) == (0, 3)
    assert len(backend.names) == 5
    assert threading.get_ident() not in backend.threads


def test_what_a_backend_refused_is_missing() -> None:
    """A flush that the SDK calls a success leaves spans missing when they were refused."""
    provider, delivery = _deliver(_Backend(SpanExportResult.FAILURE))
    first, second = _two_calls(provider)
    assert delivery.force_flush() is True
    assert delivery.missing(first) == (2, 2)
    assert delivery.missing(second) == (3, 3)


def test_a_hanging_backend_is_left_behind() -> None:
    """The wait ends at its deadline with the target named; the spans count as missing."""
    backend = _Backend()
    backend.let_go.clear()
    provider, delivery = _deliver(backend)
    first, _ = _two_calls(provider)
    flush = Flush([("backend", delivery.force_flush)], 0.05)
    flush.wait()
    assert flush.unfinished == {"backend"}
    assert flush.remaining_s == 0
    assert delivery.missing(first) == (2, 2)
    backend.let_go.set()
    flush.done.result(timeout=10)
    assert flush.unfinished == frozenset()


def test_one_target_that_hangs_does_not_hold_up_another() -> None:
    """Targets are flushed in parallel."""
    hanging, healthy = _Backend(), _Backend()
    hanging.let_go.clear()
    provider, first = _deliver(hanging)
    second = DeliveringSpanProcessor(healthy, "healthy", lambda span: span)
    provider.add_span_processor(second)
    call, _ = _two_calls(provider)
    finished = threading.Event()

    def flush_second() -> None:
        second.force_flush()
        finished.set()

    flush = Flush([("hanging", first.force_flush), ("healthy", flush_second)], 10)
    assert finished.wait(10)
    assert second.missing(call) == (0, 2)
    assert not flush.done.done()
    hanging.let_go.set()
    flush.done.result(timeout=10)


def test_a_target_that_raises_ends_the_flush_like_any_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A failing target is logged and does not keep the others' flush from completing."""

    def fail() -> None:
        raise RuntimeError("broken pipe")

    flush = Flush([("broken", fail)], 10)
    flush.done.result(timeout=10)
    assert flush.unfinished == frozenset()
    assert "flushing broken failed" in caplog.text


def test_an_unsampled_span_is_neither_sent_nor_missed() -> None:
    """What the sampler dropped was never promised."""
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    backend = _Backend()
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    delivery = DeliveringSpanProcessor(backend, "backend", lambda span: span)
    provider.add_span_processor(delivery)
    first, _ = _two_calls(provider)
    delivery.force_flush()
    assert delivery.missing(first) == (0, 0)
    assert backend.names == []
