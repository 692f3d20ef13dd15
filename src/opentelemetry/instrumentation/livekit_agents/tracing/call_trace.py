# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""A call as its spans see it: found from any span through the OpenTelemetry context."""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from opentelemetry import context as otel_context

from .. import semconv
from ..call.record import Call

_KEY = otel_context.create_key("livekit_agents.call")


@dataclass(slots=True)
class CallTrace:
    """One call and the live spans that are still written to when it ends.

    Attributes:
        call: What is known of the call.
        root: The job's root span, once started.
        session: The ``agent_session`` span, once started.
    """

    call: Call
    root: Span | None = None
    session: Span | None = None

    @property
    def trace_id(self) -> int | None:
        """The id of the call's trace, once a span of it was started."""
        span = self.root or self.session
        return None if span is None else span.get_span_context().trace_id

    def attributes(self) -> dict[str, AttributeValue]:
        """Return what every span of the call carries."""
        return {
            semconv.SESSION_ID: self.call.id,
            semconv.AGENT_NAME: self.call.agent_name,
            semconv.CALL_KIND: self.call.kind,
        }


def attach(call_trace: CallTrace) -> None:
    """Make the call findable from this task and every task it starts.

    There is no detach: it is called in the task that the call runs in, which ends with it.
    """
    otel_context.attach(otel_context.set_value(_KEY, call_trace))


def find(context: Context | None = None) -> CallTrace | None:
    """Return the call of a context (default: the current one), or None outside of a call."""
    value = otel_context.get_value(_KEY, context)
    return value if isinstance(value, CallTrace) else None
