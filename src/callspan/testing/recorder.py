# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What was recorded, as a test asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import ReadableSpan

from .. import semconv
from ..business.declare import declarations_restored, declared
from ..business.hooks import hooks_restored
from ..call.declarations import Declarations
from ..call.summary import CallSummary
from ..config.switches import is_disabled
from ..instrumentor import LiveKitAgentsInstrumentor
from ..semconv import Metric
from .recording import CallInMemory, InMemoryRecording

_HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call that is over.

    Attributes:
        summary: What it came to; the record that ``business.on_call_end`` hooks are given.
        spans: Its finished spans, in the order in which they ended.
    """

    summary: CallSummary
    spans: tuple[ReadableSpan, ...] = field(repr=False)

    def span(self, name: str) -> ReadableSpan:
        """Return the one span of a name.

        Raises:
            LookupError: If there is none, or more than one.
        """
        spans = self.spans_named(name)
        if not spans:
            names = sorted({span.name for span in self.spans})
            raise LookupError(f"no span {name!r} in this call; it has {', '.join(names) or 'none'}")
        if len(spans) > 1:
            raise LookupError(
                f"{len(spans)} spans {name!r} in this call; take one of spans_named({name!r})"
            )
        return spans[0]

    def spans_named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name, in the order in which they ended."""
        return [span for span in self.spans if span.name == name]


class CallRecorder:
    """The calls that ran inside of :func:`record_calls`, which makes it.

    A call is over when its AgentSession has closed. Nothing can be asked while one is not: the
    answer would not be final.
    """

    def __init__(self, recording: InMemoryRecording) -> None:
        self._recording = recording

    @property
    def calls(self) -> list[RecordedCall]:
        """The calls, in the order in which they started.

        Raises:
            LookupError: If one is not over.
        """
        return [
            RecordedCall(recorded.sum_up(), self._recording.spans_of(recorded.call_trace))
            for recorded in self._finished()
        ]

    @property
    def call(self) -> RecordedCall:
        """The call of a test that has one.

        Raises:
            LookupError: If there was none or more than one, or it is not over.
        """
        calls = self.calls
        if not calls:
            raise LookupError(
                "no call was recorded; start an AgentSession inside of record_calls(), in the "
                "process of the test"
            )
        if len(calls) > 1:
            raise LookupError(f"{len(calls)} calls were recorded; take one of recorder.calls")
        return calls[0]

    def counter(self, metric: str, **labels: str) -> int | float:
        """Return what a counter stands at, over all calls.

        Args:
            metric: Its OpenTelemetry name, for example ``agent.tool_calls``.
            **labels: Values of labels, for example ``status="success"``; only what has them is
                counted. Default: everything is.

        Raises:
            LookupError: If there is no counter or label of that name, or a call is not over.
        """
        if self._metric(metric).kind == _HISTOGRAM:
            raise LookupError(f"{metric} is a histogram; write histogram({metric!r})")
        return sum(self._values(metric, labels))

    def histogram(self, metric: str, **labels: str) -> list[int | float]:
        """Return the values that a histogram took in, over all calls.

        Args:
            metric: Its OpenTelemetry name, for example ``agent.tool_call.duration``.
            **labels: As of :meth:`counter`.

        Raises:
            LookupError: If there is no histogram or label of that name, or a call is not over.
        """
        if self._metric(metric).kind != _HISTOGRAM:
            raise LookupError(f"{metric} is no histogram; write counter({metric!r})")
        return self._values(metric, labels)

    def _finished(self) -> list[CallInMemory]:
        calls = list(self._recording.calls.values())
        if any(recorded.is_open for recorded in calls):
            raise LookupError(
                "a call is not over; close its AgentSession before you look: write "
                "async with AgentSession(...) as session, or await session.aclose()"
            )
        return calls

    def _values(self, name: str, labels: Mapping[str, str]) -> list[int | float]:
        metric = self._metric(name)
        known = (*metric.labels, *(self._declared.labels if metric.of_call else ()))
        if unknown := sorted(labels.keys() - set(known)):
            raise LookupError(
                f"{name} has no label {', '.join(unknown)}; it has {', '.join(known)}"
            )
        finished = self._finished()
        for recorded in finished:
            recorded.sum_up()
        return [
            measurement.value
            for recorded in finished
            for measurement in recorded.measurements
            if measurement.metric.name == name
            and all(measurement.labels.get(label) == value for label, value in labels.items())
        ]

    def _metric(self, name: str) -> Metric:
        metrics: list[Metric] = [
            *semconv.METRICS,
            *(conversion.metric for conversion in self._declared.conversions.values()),
            *(metric for metric, _ in self._declared.kpis.values()),
        ]
        for metric in metrics:
            if metric.name == name:
                return metric
        # as it is spelt on a scrape, or with a slip
        names = {metric.name.replace(".", "_"): metric.name for metric in metrics}
        close = get_close_matches(name.removesuffix("_total").replace(".", "_"), names, 1)
        hint = f"do you mean {names[close[0]]!r}?" if close else "docs/metrics.md has them all"
        raise LookupError(f"no metric {name!r}; {hint}")

    @property
    def _declared(self) -> Declarations:
        """What was declared when the calls ran; it is forgotten after them."""
        for recorded in self._recording.calls.values():
            return recorded.call_trace.declared
        return declared


@contextmanager
def record_calls(
    *, prices: Mapping[str, Any] | None = None, capture_content: bool = True
) -> Iterator[CallRecorder]:
    """Record the calls of this process in memory; nothing is sent, no port is opened.

    What was instrumented before is put back at the end, and what is declared or registered with
    ``business`` inside is forgotten: import your agent before, at the top of the test's module.
    The hooks of the application are not called.

    Args:
        prices: Your own prices, as ``instrument()`` takes them. Default: those that were passed
            to ``instrument()``, else the file that ``CALLSPAN_PRICES`` names, if any.
        capture_content: Whether spans and summaries carry what was said and passed through
            tools. Default: they do, unlike in production: nothing leaves the process.

    Yields:
        What was recorded.

    Raises:
        RuntimeError: If it is open already, or instrumentation is turned off by a variable.
        TypeError: If an argument is of the wrong kind.
        ValueError: If a price is none.
    """
    instrumentor = LiveKitAgentsInstrumentor()
    if instrumentor.is_recording:
        raise RuntimeError(
            "record_calls() is open already in this process; use the recorder of the outer one, "
            "or the fixture call_recorder alone"
        )
    if is_disabled(os.environ):
        names = ("OTEL_SDK_DISABLED", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS")
        given = ", ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ)
        raise RuntimeError(
            f"{given}: instrumentation is turned off, no call can be recorded; unset it where "
            "tests of calls run"
        )
    recording = InMemoryRecording(capture_content=capture_content)
    before = otel_context.get_current()
    with (
        declarations_restored(),
        hooks_restored(),
        instrumentor.recording(
            recording,
            tracer_provider=recording.provider,
            capture_content=capture_content,
            prices=prices,
        ),
    ):
        try:
            yield CallRecorder(recording)
        finally:
            recording.close()
            # a call stays findable in the task that started it
            otel_context.attach(before)
