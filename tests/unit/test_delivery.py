# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Delivery: what arrived is counted, what hangs is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from callspan import semconv
from callspan.call.call import Call
from callspan.config import settings
from callspan.export.content_filter import without_content
from callspan.export.delivery import DeliveringSpanProcessor
from callspan.export.flush import Flush
from callspan.export.span_filter import SpanFilter
from callspan.providers.tracer_provider import Tracing
from callspan.runtime import shutdown
from callspan.tracing.call_trace import CallTrace


class _Backend(SpanExporter):
    """A backend that does as it is told."""

    def __init__(self, answer: SpanExportResult = SpanExportResult.SUCCESS) -> None:
        self.answer = answer
        self.names: list[str] = []
        self.threads: set[int] = set()
        self.let_go = threading.Event()
        self.let_go.set()
        self.entered = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.threads.add(threading.get_ident())
        self.entered.set()
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


def test_a_target_that_gives_up_itself_is_not_finished() -> None:
    """Whether its own deadline or the flush's passes first, the same is said of it."""
    flush = Flush([("slow", lambda: False), ("healthy", lambda: True)], 10)
    flush.done.result(timeout=10)
    assert flush.unfinished == {"slow"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (SpanExportResult.SUCCESS, []),
        (
            SpanExportResult.FAILURE,
            ["1 of 2 spans of call 1 did not get to backend within 2 s of its end"],
        ),
    ],
)
def test_a_span_that_ends_after_the_flush_is_not_said_to_be_lost(
    answer: SpanExportResult, said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """LiveKit makes some while it cleans up; what was refused by then is said."""
    provider, delivery = _deliver(_Backend(answer))
    tracer = provider.get_tracer("t")
    root = tracer.start_span("root")
    root.end()
    flush = Flush([("backend", delivery.force_flush)], 10)
    flush.done.result(timeout=10)
    tracer.start_span("late", trace.set_span_in_context(root)).end()

    shutdown.report_losses(
        CallTrace(Call("1"), root=root),
        flush,
        Tracing(provider, is_ours=True, deliveries=[delivery]),
        2,
    )

    assert caplog.messages == said


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


class _Failing:
    """What stands below the processors, with one thing in it that raises."""

    def __init__(self, backend: _Backend, **options: Any) -> None:
        self.failures = 0
        options = {"copy": lambda span: span, **options}
        self.delivery = DeliveringSpanProcessor(backend, "backend", failed=self._count, **options)
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(self.delivery)

    def _count(self) -> None:
        self.failures += 1


def _fail_at(name: str) -> Callable[[ReadableSpan], ReadableSpan]:
    def copy(span: ReadableSpan) -> ReadableSpan:
        if span.name == name:
            raise RuntimeError("this span cannot be copied")
        return span

    return copy


@pytest.mark.usefixtures("production")
def test_a_copy_that_fails_loses_one_span() -> None:
    """The others of its batch are sent; it is counted once, and not as not delivered."""
    backend = _Backend()
    failing = _Failing(backend, copy=_fail_at("root"))
    first, second = _two_calls(failing.provider)
    failing.delivery.force_flush()
    assert backend.names == ["child"] * 3
    assert failing.failures == 2
    assert failing.delivery.missing(first) == (0, 1)
    assert failing.delivery.missing(second) == (0, 2)


@pytest.mark.usefixtures("production")
def test_a_copy_that_fails_after_its_call_was_closed_is_counted_once() -> None:
    """The end of a call counts nothing: its spans may still arrive."""
    backend = _Backend()
    backend.let_go.clear()
    failing = _Failing(backend, copy=_fail_at("root"))
    first, second = _two_calls(failing.provider)
    assert failing.delivery.missing(first) == (2, 2)
    assert failing.delivery.missing(second) == (3, 3)
    backend.let_go.set()
    failing.delivery.force_flush()
    assert failing.failures == 2
    assert failing.delivery.pending == (0, 0)


def test_what_is_on_its_way_is_known_at_any_time() -> None:
    """Queued, sent without an answer, refused, taken: what a kill would lose, and what is lost."""
    backend = _Backend(SpanExportResult.FAILURE)
    backend.let_go.clear()
    provider, delivery = _deliver(backend)
    exports: list[tuple[str, bool, int]] = []
    delivery.on_export = lambda *export: exports.append(export)
    _two_calls(provider)
    assert delivery.pending == (5, 0)

    flushing = threading.Thread(target=delivery.force_flush)
    flushing.start()
    assert backend.entered.wait(10)
    assert delivery.pending == (0, 5)
    _two_calls(provider)
    assert delivery.pending == (5, 5)

    backend.let_go.set()
    flushing.join(10)
    backend.answer = SpanExportResult.SUCCESS
    _two_calls(provider)
    delivery.force_flush()
    assert delivery.pending == (0, 0)
    assert exports == [("backend", False, 5), ("backend", False, 5), ("backend", True, 0)]


@pytest.mark.usefixtures("production")
def test_a_span_whose_content_cannot_be_taken_off_is_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even as it is."""
    backend = _Backend()
    failing = _Failing(backend, copy=without_content)
    monkeypatch.setattr(
        "callspan.export.content_filter.is_content",
        lambda key: 1 / 0,
    )
    tracer = failing.provider.get_tracer("t")
    tracer.start_span("with content", attributes={semconv.LK_USER_INPUT: "Zanzibar"}).end()
    tracer.start_span("without").end()
    failing.delivery.force_flush()
    assert backend.names == ["without"]
    assert failing.failures == 1


class _FailingFilter(SpanFilter):
    def __init__(self, at: str) -> None:
        super().__init__()
        self._at = at

    def started(self, *args: Any) -> None:
        assert self._at != "start"

    def ended(self, span: ReadableSpan) -> ReadableSpan | None:
        assert self._at != "end"
        return span


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize(("at", "sent"), [("start", 1), ("end", 0)])
def test_an_error_at_a_span_s_start_or_end_is_seen_by_no_caller(at: str, sent: int) -> None:
    """One at its end loses the span, which is counted; one at its start does not."""
    backend = _Backend()
    failing = _Failing(backend, span_filter=_FailingFilter(at))
    failing.provider.get_tracer("t").start_span("span").end()
    failing.delivery.force_flush()
    assert len(backend.names) == sent
    assert failing.failures == 1 - sent


@pytest.mark.usefixtures("production")
def test_a_held_span_that_cannot_be_sent_is_counted_and_the_next_one_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that fails does not keep the rest of its call back."""
    backend = _Backend()
    failing = _Failing(backend, hold=True)
    first, _ = _two_calls(failing.provider)
    queue, queued = failing.delivery._batches.on_end, []

    def on_end(span: ReadableSpan) -> None:
        queued.append(span.name)
        if len(queued) == 1:
            raise RuntimeError("no room")
        queue(span)

    monkeypatch.setattr(failing.delivery._batches, "on_end", on_end)
    assert failing.delivery.held is not None
    failing.delivery.held.decide(first, keep=True)
    failing.delivery.force_flush()
    assert queued == ["child", "root"]
    assert backend.names == ["root"]
    assert failing.failures == 1
    assert failing.delivery.missing(first) == (0, 1)


@pytest.mark.usefixtures("production")
def test_a_span_that_cannot_be_handed_over_is_counted() -> None:
    """An error on the way to a provider that was set in mid-call reaches nobody."""
    ours = TracerProvider(shutdown_on_exit=False)
    theirs = TracerProvider(resource=Resource.get_empty(), shutdown_on_exit=False)
    tracing = Tracing(ours, is_ours=True)
    failures: list[int] = []
    tracing.count_failed = failures.append
    root = ours.get_tracer("t").start_span("root")
    context = trace.set_span_in_context(root)
    tracing.hand_over(
        theirs,
        settings.resolve({}),
        trace_id=root.get_span_context().trace_id,
        restore=_fail_at("root"),
    )
    ours.get_tracer("t").start_span("child", context).end()
    root.end()
    assert failures == [1]
