# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What application code says about a call: outcome, conversions, KPIs, labels, feedback.

Declare at the top of agent.py, so that the worker knows the closed sets before the first call::

    business.declare_conversion("bookings", outcome="booking")
    business.declare_label("intent", ("booking", "billing", "other"))

and say what happens from anywhere inside a call, a tool, a hook of the agent, the entrypoint, a
shutdown callback::

    business.label("intent", "billing")
    business.convert("bookings", value=120, currency="EUR")

and take what calls come to where you want it, in functions that get typed records::

    @business.on_call_end
    async def store(summary: business.CallSummary) -> None:
        await database.insert(summary.to_dict())

The call is found by context. Outside of one, and without instrumentation, all of it does nothing.

What was not declared never becomes a label. In production it is logged once and counted as
``other``; in development (``python agent.py dev`` or ``console``, and under pytest) it raises
ValueError, and so does any other value that is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from . import semconv
from .call.currencies import CURRENCIES
from .call.declarations import Conversion, Declarations
from .call.events import Labelled, Measured, Rated
from .call.plain_values import any_text, is_empty, plain_text, safe_repr
from .call.summary import CallStart, CallSummary, Tool, Turn
from .diagnostics.guard import contained
from .hooks import on_call_end, on_call_start, on_tool, on_turn
from .tracing.call_trace import find as find_call_trace
from .tracked_tool import tracked_tool
from .validation import RefusedError, amount_of, bounded_number, member, pair_of, refuse

__all__ = [
    "CallStart",
    "CallSummary",
    "Tool",
    "Turn",
    "convert",
    "count",
    "declare_conversion",
    "declare_counter",
    "declare_histogram",
    "declare_label",
    "declare_outcomes",
    "feedback",
    "label",
    "on_call_end",
    "on_call_start",
    "on_tool",
    "on_turn",
    "outcome",
    "record",
    "tenant",
    "tracked_tool",
    "transfer",
    "user",
]

declared: Final = Declarations()
"""What this process's application declared."""


# --- declared before calls come ----------------------------------------------------------------


@contained("taking business.declare_outcomes", raises=(ValueError, TypeError))
def declare_outcomes(*names: str, default: str = "") -> None:
    """Allow further outcomes of calls, beside those that LiveKit itself can tell.

    Args:
        *names: For example ``"inquiry"``.
        default: The outcome of a call that no rule applies to; the variable
            ``CALLSPAN_DEFAULT_OUTCOME`` goes before it. Default:
            ``completed``.

    Raises:
        ValueError: If a name is none.
    """
    defaults = [] if is_empty(default) else [default]
    declared.add_outcomes([*names, *defaults])
    declared.default_outcome = plain_text(default) or declared.default_outcome


@contained("taking business.declare_conversion", raises=(ValueError, TypeError))
def declare_conversion(name: str, *, outcome: str = "", description: str = "") -> None:
    """Declare a goal of calls; ``bookings`` is ``agent_bookings_total`` on the scrape.

    Args:
        name: Of the metric, in the plural. It is counted at most once a call.
        outcome: The outcome of a call that reached it, unless it is said to be another. Default:
            none of its own.
        description: What a point of the metric says.

    Raises:
        ValueError: If the name is none or taken.
    """
    declared.add_conversion(Conversion(name, outcome, description))


@contained("taking business.declare_label", raises=(ValueError, TypeError))
def declare_label(name: str, values: Collection[str]) -> None:
    """Declare a dimension of calls: intent, direction, channel, tenant tier, experiment.

    It is added to the metrics of the call as a whole: sessions, duration, cost, conversions.

    Args:
        name: The label.
        values: All that it can be; each makes a series of those metrics.

    Raises:
        ValueError: If the name is none or taken, or the values are no closed set.
    """
    declared.add_label(name, values)


@contained("taking business.declare_counter", raises=(ValueError, TypeError))
def declare_counter(
    name: str,
    *,
    unit: str = "",
    description: str = "",
    labels: Mapping[str, Collection[str]] | None = None,
) -> None:
    """Declare a KPI that is counted; see :func:`count`.

    Args:
        name: Of the metric, ``agent.`` comes before it.
        unit: In UCUM. Default: none.
        description: What a point of it says.
        labels: The allowed values of each label. Default: the agent's name alone.

    Raises:
        ValueError: If a name is none or taken, or values are no closed set.
    """
    declared.add_kpi("counter", name, unit=unit, description=description, labels=labels)


@contained("taking business.declare_histogram", raises=(ValueError, TypeError))
def declare_histogram(
    name: str,
    *,
    bounds: Collection[float],
    unit: str = "",
    description: str = "",
    labels: Mapping[str, Collection[str]] | None = None,
) -> None:
    """Declare a KPI that is distributed; see :func:`record`.

    Args:
        name: Of the metric, ``agent.`` comes before it.
        bounds: Upper bounds of the buckets, rising.
        unit: In UCUM, for example ``s``. Default: none.
        description: What a point of it says.
        labels: The allowed values of each label. Default: the agent's name alone.

    Raises:
        ValueError: If a name is none or taken, the bounds do not rise, or values are no closed
            set.
    """
    declared.add_kpi(
        "histogram", name, unit=unit, description=description, labels=labels, bounds=bounds
    )


# --- said in a call ----------------------------------------------------------------------------


@contained("taking business.outcome", raises=(RefusedError,))
def outcome(name: str, reason: str = "") -> None:
    """Say how the call ended; the last word counts, and goes before every rule.

    Args:
        name: One of the outcomes that were declared, or that LiveKit can tell.
        reason: Why. It is content: on the root span if content is captured, never a label.
    """
    if not (call_trace := find_call_trace()):
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
    call_trace.call.worth.outcome, call_trace.call.worth.reason = known, why or ""


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
    if not (call_trace := find_call_trace()):
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
    if not (call_trace := find_call_trace()):
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
    if call_trace.call.worth.labels.get(key) == known:
        return
    call_trace.call.worth.labels[key] = known
    call_trace.write({f"{semconv.LABEL_PREFIX}{key}": known})
    call_trace.tell(Labelled(key, known))


@contained("taking business.transfer", raises=(RefusedError,))
def transfer() -> None:
    """Say that the caller was passed on to a human; the outcome is ``transferred``.

    A transfer by ``ctx.transfer_sip_participant`` or LiveKit's SIP API needs no word.
    """
    if call_trace := find_call_trace():
        call_trace.call.worth.transferred = True


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
    if not (call_trace := find_call_trace()):
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
    call_trace.call.worth.feedback[known] = on_scale
    call_trace.tell(Rated(known, on_scale))


@contained("taking business.user", raises=(RefusedError,))
def user(user_id: str) -> None:
    """Say whose call it is: ``user.id`` on its spans from now on; never a label of a metric."""
    if not (call_trace := find_call_trace()):
        return
    if (text := any_text(user_id)) is None:
        refuse(call_trace, "user", f"user_id={safe_repr(user_id)} is not a text", "an id as a str")
        return
    call_trace.call.worth.user_id = text
    call_trace.write({semconv.USER_ID: text})


@contained("taking business.tenant", raises=(RefusedError,))
def tenant(tenant_id: str) -> None:
    """Say on whose behalf the call is taken: ``tenant.id`` on its spans; never a label."""
    if not (call_trace := find_call_trace()):
        return
    if (text := any_text(tenant_id)) is None:
        what = f"tenant_id={safe_repr(tenant_id)} is not a text"
        refuse(call_trace, "tenant", what, "an id as a str")
        return
    call_trace.call.worth.tenant_id = text
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
    if not (call_trace := find_call_trace()):
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
        call_trace.tell(Measured(metric, amount, tuple(values)))
