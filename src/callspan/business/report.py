# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What an application says in a call: checked, and written down on that call."""

from __future__ import annotations

from collections.abc import Mapping

from .. import semconv
from ..call.application_events import (
    FeedbackGiven,
    LabelSet,
    Measured,
    OutcomeSet,
    TenantSet,
    Transferred,
    UserSet,
)
from ..call.currencies import CURRENCIES
from ..call.plain_values import any_text, is_empty, plain_text, safe_repr
from ..diagnostics.guard import contained
from ..tracing.call_trace import CallTrace
from .validation import RefusedError, amount_of, bounded_number, member, pair_of, refuse


@contained("taking business.outcome", raises=(RefusedError,))
def outcome(name: str, reason: str = "") -> None:
    """Say how the call ended; the last word counts, and goes before every rule.

    Args:
        name: One of the outcomes that were declared, or that LiveKit can tell.
        reason: Why. It is content: on the root span if content is captured, never a label.
    """
    if not (call_trace := CallTrace.find()):
        return
    known = member(name, call_trace.declared.all_outcomes)
    if known is None or known == semconv.OUTCOME_CRASHED:
        shown = safe_repr(name)
        hint = f"business.declare_outcomes({shown})"
        refuse(call_trace, "outcome", f"outcome {shown} was not declared", hint)
        known = semconv.OTHER
    why = "" if is_empty(reason) else any_text(reason)
    if why is None:
        refuse(call_trace, "outcome", f"reason={safe_repr(reason)} is not a text", "why, in words")
    call_trace.emit(OutcomeSet(known, why or ""))


@contained("taking business.convert", raises=(RefusedError,))
def convert(name: str, value: float = 0.0, currency: str = "") -> None:
    """Say that the call reached a goal.

    Args:
        name: Of a conversion that was declared. It is counted once a call, so that a rate of
            conversion never exceeds 1; values are added up.
        value: What it is worth.
        currency: Of the value, as ISO 4217 has it, for example ``EUR``. Default: none, and the
            value is not recorded.
    """
    if not (call_trace := CallTrace.find()):
        return
    goal = member(name, call_trace.declared.conversions)
    if goal is None:
        shown = safe_repr(name)
        hint = f"business.declare_conversion({shown})"
        refuse(call_trace, "convert", f"conversion {shown} was not declared", hint)
        return
    amount = amount_of(value)
    code = "" if is_empty(currency) else member(currency, CURRENCIES)
    if amount is None:
        what = f"value={safe_repr(value)} of {goal!r} is not an amount"
        refuse(call_trace, "convert", what, "a number, 0 or more")
    elif code is None:
        what = f"currency={safe_repr(currency)} of {goal!r} is no ISO 4217 code"
        refuse(call_trace, "convert", what, "for example 'EUR'")
    elif amount and not code:
        what = f"value={amount!r} of {goal!r} has no currency"
        refuse(call_trace, "convert", what, "currency='EUR'")
    else:
        call_trace.convert(goal, amount, code)
        return
    call_trace.convert(goal)


@contained("taking business.label", raises=(RefusedError,))
def label(name: str, value: str) -> None:
    """Give the call a label; it is on what is recorded of the call as a whole from now on.

    Args:
        name: A label that was declared.
        value: One of its values.
    """
    if not (call_trace := CallTrace.find()):
        return
    key = member(name, call_trace.declared.labels)
    if key is None:
        shown = safe_repr(name)
        hint = f"business.declare_label({shown}, (…))"
        refuse(call_trace, "label", f"label {shown} was not declared", hint)
        return
    allowed = call_trace.declared.labels[key]
    known = member(value, allowed)
    if known is None:
        what = f"{safe_repr(value)} is no value of label {key!r}"
        refuse(call_trace, "label", what, f"any of {sorted(allowed)}")
        known = semconv.OTHER
    if call_trace.call.annotations.labels.get(key) == known:
        return
    call_trace.emit(LabelSet(key, known))
    call_trace.write({f"{semconv.LABEL_PREFIX}{key}": known})


@contained("taking business.transfer", raises=(RefusedError,))
def transfer() -> None:
    """Say that the caller was passed on to a human; the outcome is ``transferred``.

    A transfer by ``ctx.transfer_sip_participant`` or LiveKit's SIP API needs no word.
    """
    if call_trace := CallTrace.find():
        call_trace.emit(Transferred())


@contained("taking business.feedback", raises=(RefusedError,))
def feedback(
    score: float, *, kind: str = semconv.FEEDBACK_CSAT, scale: tuple[float, float] | None = None
) -> None:
    """Record a score that the caller gave.

    Args:
        score: The score; True and False are thumbs up and down.
        kind: ``csat`` (1 to 5), ``nps`` (0 to 10) or ``thumbs`` (0 or 1). Default: ``csat``.
        scale: The least and the greatest score of the question that was asked; the score is
            brought to the scale of its kind. Default: that scale.
    """
    if not (call_trace := CallTrace.find()):
        return
    known = member(kind, semconv.FEEDBACK_SCALES)
    if known is None:
        what = f"feedback of kind {safe_repr(kind)} is not known"
        refuse(call_trace, "feedback", what, f"any of {', '.join(semconv.FEEDBACK_SCALES)}")
        return
    low, high = semconv.FEEDBACK_SCALES[known]
    asked = (low, high) if scale is None else pair_of(scale)
    if asked is None:
        what = f"scale={safe_repr(scale)} is not a least and a greatest score"
        refuse(call_trace, "feedback", what, "(1, 5)")
        return
    least, greatest = asked
    given = bounded_number(score)
    if given is None or not (least <= given <= greatest and least < greatest):
        what = f"score={safe_repr(score)} is not on the scale of {least} to {greatest}"
        refuse(call_trace, "feedback", what, "one that is")
        return
    on_scale = low + (given - least) * (high - low) / (greatest - least)
    call_trace.emit(FeedbackGiven(known, on_scale))


@contained("taking business.user", raises=(RefusedError,))
def user(user_id: str) -> None:
    """Say whose call it is: ``user.id`` on its spans from now on; never a label of a metric."""
    if not (call_trace := CallTrace.find()):
        return
    if (text := any_text(user_id)) is None:
        refuse(call_trace, "user", f"user_id={safe_repr(user_id)} is not a text", "an id as a str")
        return
    call_trace.emit(UserSet(text))
    call_trace.write({semconv.USER_ID: text})


@contained("taking business.tenant", raises=(RefusedError,))
def tenant(tenant_id: str) -> None:
    """Say on whose behalf the call is taken: ``tenant.id`` on its spans; never a label."""
    if not (call_trace := CallTrace.find()):
        return
    if (text := any_text(tenant_id)) is None:
        what = f"tenant_id={safe_repr(tenant_id)} is not a text"
        refuse(call_trace, "tenant", what, "an id as a str")
        return
    call_trace.emit(TenantSet(text))
    call_trace.write({semconv.TENANT_ID: text})


@contained("taking business.count", raises=(RefusedError,))
def count(name: str, amount: float = 1, **labels: str) -> None:
    """Add to a KPI that was declared with :func:`declare_counter`.

    Args:
        name: Its name, without ``agent.``.
        amount: What is added, 0 or more. Default: 1.
        **labels: A value for each of its labels.
    """
    _measure("count", "counter", name, amount, labels)


@contained("taking business.record", raises=(RefusedError,))
def record(name: str, value: float, **labels: str) -> None:
    """Record a value of a KPI that was declared with :func:`declare_histogram`.

    Args:
        name: Its name, without ``agent.``.
        value: The value, 0 or more.
        **labels: A value for each of its labels.
    """
    _measure("record", "histogram", name, value, labels)


def _measure(
    function: str, kind: str, name: object, value: object, labels: Mapping[str, object]
) -> None:
    if not (call_trace := CallTrace.find()):
        return
    kpi = member(name, call_trace.declared.kpis)
    metric, allowed = call_trace.declared.kpis[kpi] if kpi is not None else (None, {})
    if metric is None or metric.kind != kind:
        shown = safe_repr(name)
        hint = f"business.declare_{kind}({shown}, …)"
        refuse(call_trace, function, f"{kind} {shown} was not declared", hint)
        return
    given = {plain_text(key) or "": each for key, each in labels.items()}
    if given.keys() != allowed.keys():
        what = f"{kpi!r} has other labels than {sorted(given)}"
        refuse(call_trace, function, what, f"{sorted(allowed)}")
    elif (amount := amount_of(value)) is None:
        what = f"{safe_repr(value)} of {kpi!r} is not an amount"
        refuse(call_trace, function, what, "a number, 0 or more")
    else:
        values = []
        for key, known in allowed.items():
            if (one := member(given[key], known)) is None:
                what = f"{safe_repr(given[key])} is no value of label {key!r} of {kpi!r}"
                refuse(call_trace, function, what, f"any of {sorted(known)}")
            values.append(semconv.OTHER if one is None else one)
        call_trace.emit(Measured(metric, amount, tuple(values)))
