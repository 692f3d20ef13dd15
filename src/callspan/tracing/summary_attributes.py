# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The summary of a call on the spans that outlive it: agent_session, then the root."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from .. import semconv
from ..call.call import Call
from .call_trace import CallTrace


def write_session(call_trace: CallTrace) -> None:
    """Write on ``agent_session`` what is known when LiveKit closes it, and on the root its usage.

    Args:
        call_trace: The call.
    """
    usage = call_trace.call.usage.fields()
    if call_trace.session is not None:
        call_trace.session.set_attributes({**_numbers(call_trace.call), **usage})
    if call_trace.root is not None:
        call_trace.root.set_attributes(usage)


def write_summary(call_trace: CallTrace, *, content: bool) -> None:
    """Write on the root what is known at the end.

    Args:
        call_trace: The call.
        content: Whether the caller's telephone number may be written.
    """
    if call_trace.root is None:
        return
    call = call_trace.call
    attributes = _numbers(call)
    attributes[semconv.OUTCOME] = call_trace.rules.outcome_of(call)
    if content and call.annotations.reason:
        attributes[semconv.OUTCOME_REASON] = call.annotations.reason
    for name, value in call_trace.rules.labels_of(call).items():
        attributes[f"{semconv.LABEL_PREFIX}{name}"] = value
    if call.annotations.conversions:
        attributes[semconv.CONVERSIONS] = call.annotations.conversions
    if call.costs.by_model:
        attributes[semconv.SPAN_COST] = call.costs.total
    for component, dollars in call.costs.by_component().items():
        attributes[f"{semconv.COST_PREFIX}{component}"] = dollars
    attributes.update(_telephony(call_trace.session, content=content))
    if call.dtmf_count:
        attributes[semconv.CALL_DTMF_COUNT] = call.dtmf_count
    call_trace.root.set_attributes(attributes)


def _numbers(call: Call) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        semconv.TURNS: call.user_message_count,
        semconv.INTERRUPTIONS: call.interruptions,
    }
    if call.duration_s is not None:
        attributes[semconv.DURATION] = call.duration_s
    if call.close_reason is not None:
        attributes[semconv.CLOSE_REASON] = call.close_reason
    return attributes


def _telephony(session: Span | None, *, content: bool) -> dict[str, AttributeValue]:
    """Read the line from what LiveKit wrote on agent_session about a SIP participant."""
    known = session.attributes if isinstance(session, ReadableSpan) else None
    if not known or not any(key.startswith(semconv.LK_SIP_PREFIX) for key in known):
        return {}
    # a call that came in was matched by a dispatch rule; one that went out was not
    direction = "inbound" if known.get(semconv.LK_SIP_RULE_ID) else "outbound"
    attributes: dict[str, AttributeValue] = {semconv.CALL_DIRECTION: direction}
    for ours, theirs in (
        (semconv.CALL_TRUNK_ID, semconv.LK_SIP_TRUNK_ID),
        (semconv.CALL_SIP_ID, semconv.LK_SIP_CALL_ID),
    ):
        if value := known.get(theirs):
            attributes[ours] = value
    if content and (number := known.get(semconv.LK_SIP_PHONE_NUMBER)):
        attributes[semconv.LK_SIP_PHONE_NUMBER] = number
    return attributes
