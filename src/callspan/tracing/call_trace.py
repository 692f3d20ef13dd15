# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A call as its spans see it: found from any span through the OpenTelemetry context."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from .. import semconv
from ..call.application_events import Converted
from ..call.call import Call
from ..call.declarations import Declarations
from ..call.events import CallEvent
from ..call.outcome import OutcomeRules

_REQUEST_METRICS = (
    semconv.LK_LLM_METRICS,
    semconv.LK_TTS_METRICS,
    semconv.LK_REALTIME_MODEL_METRICS,
)
_KEY = otel_context.create_key("callspan.call")
_of_trace: Final[WeakValueDictionary[int, CallTrace]] = WeakValueDictionary()


@dataclass(slots=True, weakref_slot=True)
class CallTrace:
    """One call and the live spans that are still written to.

    Attributes:
        call: What is known of the call.
        sink: Takes in what happened in it. Default: the call alone does.
        rules: How its outcome is found, and what was declared.
        development: Whether wrong words of the application are refused loudly.
        root: The job's root span, once started.
        session: The ``agent_session`` span, once started.
        requests: Spans of requests to models, by id, while they are live.
    """

    call: Call
    sink: Callable[[CallEvent], None] | None = None
    rules: OutcomeRules = field(default_factory=OutcomeRules)
    development: bool = False
    root: Span | None = None
    session: Span | None = None
    requests: dict[int, Span] = field(default_factory=dict)

    @property
    def trace_id(self) -> int | None:
        """The id of the call's trace, once a span of it was started."""
        span = self.root or self.session
        return None if span is None else span.get_span_context().trace_id

    @property
    def declared(self) -> Declarations:
        """What the application declared."""
        return self.rules.declared

    def attributes(self) -> dict[str, AttributeValue]:
        """Return what every span of the call carries."""
        attributes: dict[str, AttributeValue] = {
            semconv.SESSION_ID: self.call.id,
            semconv.AGENT_NAME: self.call.agent_name,
            semconv.CALL_KIND: self.call.kind,
        }
        annotations = self.call.annotations
        if annotations.user_id:
            attributes[semconv.USER_ID] = annotations.user_id
        if annotations.tenant_id:
            attributes[semconv.TENANT_ID] = annotations.tenant_id
        for name, value in annotations.labels.items():
            attributes[f"{semconv.LABEL_PREFIX}{name}"] = value
        return attributes

    def emit(self, event: CallEvent) -> None:
        """Say what happened in the call."""
        (self.sink or self.call.apply)(event)

    def write(self, attributes: dict[str, AttributeValue]) -> None:
        """Write on the spans that stand for the call as a whole, while they are live."""
        for span in (self.root, self.session):
            if span is not None and span.is_recording():
                span.set_attributes(attributes)

    def convert(self, name: str, value: float = 0.0, currency: str = "") -> None:
        """Note that the call came to a goal that was declared."""
        first = name not in self.call.annotations.conversions
        self.emit(Converted(name, first, value, currency))

    def take_request(self, request_id: str) -> Span | None:
        """Return the live span of a request, by what LiveKit wrote of it, and forget it."""
        if not request_id:
            return None
        for span_id, span in list(self.requests.items()):
            if not span.is_recording():
                del self.requests[span_id]
            elif request_id in _request_ids(span):
                return self.requests.pop(span_id)
        return None

    def attach(self) -> None:
        """Make the call findable from this task and every task it starts.

        There is no detach: it is called in the task that the call runs in, which ends with it.
        Without a job, that task may have had a call before: the new one is no part of that one's
        trace.
        """
        context = otel_context.get_current()
        before = CallTrace.find(context)
        if before is not None and trace.get_current_span(context) is before.session:
            # LiveKit leaves the session's span current in the task that started it
            context = trace.set_span_in_context(trace.INVALID_SPAN, context)
        otel_context.attach(otel_context.set_value(_KEY, self, context))

    def remember(self, span: Span) -> None:
        """Make the call findable from whatever is in the trace of a span."""
        _of_trace[span.get_span_context().trace_id] = self

    @staticmethod
    def find(context: Context | None = None) -> CallTrace | None:
        """Return the call of a context (default: the current one), or None outside of a call."""
        value = otel_context.get_value(_KEY, context)
        if isinstance(value, CallTrace):
            return value
        # a thread of the application's starts without a context; what LiveKit does for it has a
        # span
        return _of_trace.get(trace.get_current_span(context).get_span_context().trace_id)


def _request_ids(span: Span) -> Iterator[str]:
    """Yield the ids in what LiveKit wrote on a request's span, which is a metrics object's JSON."""
    attributes = span.attributes if isinstance(span, ReadableSpan) else None
    for key in _REQUEST_METRICS:
        if (written := (attributes or {}).get(key)) is not None:
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                yield json.loads(str(written)).get("request_id", "")
