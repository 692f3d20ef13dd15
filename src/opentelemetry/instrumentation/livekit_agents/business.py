# Copyright The opentelemetry-instrumentation-livekit-agents Authors
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

import inspect
import logging
import os
from collections.abc import Collection, Mapping
from typing import Final, cast

from . import semconv
from .call.currencies import CURRENCIES
from .call.declarations import Conversion, Declarations
from .call.events import Labelled, Measured, Rated
from .call.summary import CallStart, CallSummary, Tool, Turn
from .hooks import on_call_end, on_call_start, on_tool, on_turn
from .semconv import Metric
from .tracing import call_trace
from .tracing.call_trace import CallTrace
from .tracked_tool import tracked_tool

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

_logger = logging.getLogger("opentelemetry.instrumentation.livekit_agents")

declared: Final = Declarations()
"""What this process's application declared."""


# --- declared before calls come ----------------------------------------------------------------


def declare_outcomes(*names: str, default: str = "") -> None:
    """Allow further outcomes of calls, beside those that LiveKit itself can tell.

    Args:
        *names: For example ``"inquiry"``.
        default: The outcome of a call that no rule applies to; the variable
            ``OTEL_INSTRUMENTATION_LIVEKIT_AGENTS_DEFAULT_OUTCOME`` goes before it. Default:
            ``completed``.

    Raises:
        ValueError: If a name is none.
    """
    declared.add_outcomes([*names, *([default] if default else [])])
    declared.default_outcome = default or declared.default_outcome


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
    _declare_kpi("counter", name, unit, description, (), labels or {})


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
    _declare_kpi("histogram", name, unit, description, tuple(bounds), labels or {})


def _declare_kpi(
    kind: str,
    name: str,
    unit: str,
    description: str,
    bounds: tuple[float, ...],
    labels: Mapping[str, Collection[str]],
) -> None:
    own = f"{semconv.OWN_PREFIX}{name}"
    declared.add_kpi(
        Metric(own, kind, unit, (semconv.L_AGENT, *labels), description, bounds), labels
    )


# --- said in a call ----------------------------------------------------------------------------


def outcome(name: str, reason: str = "") -> None:
    """Say how the call ended; the last word counts, and goes before every rule.

    Args:
        name: One of the outcomes that were declared, or that LiveKit can tell.
        reason: Why. It is content: on the root span if content is captured, never a label.
    """
    if found := call_trace.find():
        if name == semconv.OUTCOME_CRASHED or not _is_one_of(name, found.declared.all_outcomes):
            hint = f"business.declare_outcomes({name!r})"
            _refuse(found, f"outcome {name!r} was not declared", hint)
            name = semconv.OTHER
        found.call.worth.outcome, found.call.worth.reason = name, reason


def convert(name: str, value: float = 0.0, currency: str = "") -> None:
    """Say that the call reached a goal.

    Args:
        name: Of a conversion that was declared. It is counted once a call, so that a rate of
            conversion never exceeds 1; values are added up.
        value: What it is worth.
        currency: Of the value, as ISO 4217 has it, for example ``EUR``. Default: none, and the
            value is not recorded.
    """
    if not (found := call_trace.find()):
        return
    if not _is_one_of(name, found.declared.conversions):
        hint = f"business.declare_conversion({name!r})"
        _refuse(found, f"conversion {name!r} was not declared", hint)
        return
    if not _is_amount(value):
        _refuse(found, f"value={value!r} of {name!r} is not an amount", "a number, 0 or more")
        value, currency = 0.0, ""
    elif currency and not _is_one_of(currency, CURRENCIES):
        _refuse(
            found, f"currency={currency!r} of {name!r} is no ISO 4217 code", "for example 'EUR'"
        )
        value, currency = 0.0, ""
    elif value and not currency:
        _refuse(found, f"value={value!r} of {name!r} has no currency", "currency='EUR'")
        value = 0.0
    found.convert(name, value, currency)


def label(name: str, value: str) -> None:
    """Give the call a label; it is on what is recorded of the call as a whole from now on.

    Args:
        name: A label that was declared.
        value: One of its values.
    """
    if not (found := call_trace.find()):
        return
    if not _is_one_of(name, found.declared.labels):
        hint = f"business.declare_label({name!r}, (…))"
        _refuse(found, f"label {name!r} was not declared", hint)
        return
    allowed = found.declared.labels[name]
    if not _is_one_of(value, allowed):
        _refuse(found, f"{value!r} is no value of label {name!r}", f"any of {sorted(allowed)}")
        value = semconv.OTHER
    if found.call.worth.labels.get(name) == value:
        return
    found.call.worth.labels[name] = value
    found.write({f"{semconv.LABEL_PREFIX}{name}": value})
    found.tell(Labelled(name, value))


def transfer() -> None:
    """Say that the caller was passed on to a human; the outcome is ``transferred``.

    A transfer by ``ctx.transfer_sip_participant`` or LiveKit's SIP API needs no word.
    """
    if found := call_trace.find():
        found.call.worth.transferred = True


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
    if not (found := call_trace.find()):
        return
    if not _is_one_of(kind, semconv.FEEDBACK_SCALES):
        known = ", ".join(semconv.FEEDBACK_SCALES)
        _refuse(found, f"feedback of kind {kind!r} is not known", f"any of {known}")
        return
    low, high = semconv.FEEDBACK_SCALES[kind]
    scale = (low, high) if scale is None else scale
    if not (isinstance(scale, tuple) and len(scale) == 2 and all(map(_is_number, scale))):
        _refuse(found, f"scale={scale!r} is not a least and a greatest score", "(1, 5)")
        return
    least, greatest = scale
    if not (_is_number(score) and least <= score <= greatest and least < greatest):
        _refuse(
            found, f"score={score!r} is not on the scale of {least} to {greatest}", "one that is"
        )
        return
    score = low + (score - least) * (high - low) / (greatest - least)
    found.call.worth.feedback[kind] = score
    found.tell(Rated(kind, score))


def user(user_id: str) -> None:
    """Say whose call it is: ``user.id`` on its spans from now on; never a label of a metric."""
    if found := call_trace.find():
        found.call.worth.user_id = str(user_id)
        found.write({semconv.USER_ID: str(user_id)})


def tenant(tenant_id: str) -> None:
    """Say on whose behalf the call is taken: ``tenant.id`` on its spans; never a label."""
    if found := call_trace.find():
        found.call.worth.tenant_id = str(tenant_id)
        found.write({semconv.TENANT_ID: str(tenant_id)})


def count(name: str, amount: float = 1, **labels: str) -> None:
    """Add to a KPI that was declared with :func:`declare_counter`.

    Args:
        name: Its name, without ``agent.``.
        amount: What is added, 0 or more. Default: 1.
        **labels: A value for each of its labels.
    """
    _measure("counter", name, amount, labels)


def record(name: str, value: float, **labels: str) -> None:
    """Record a value of a KPI that was declared with :func:`declare_histogram`.

    Args:
        name: Its name, without ``agent.``.
        value: The value, 0 or more.
        **labels: A value for each of its labels.
    """
    _measure("histogram", name, value, labels)


def _measure(kind: str, name: str, value: float, labels: Mapping[str, str]) -> None:
    if not (found := call_trace.find()):
        return
    kpis = found.declared.kpis
    metric, allowed = kpis[name] if _is_one_of(name, kpis) else (None, {})
    if metric is None or metric.kind != kind:
        hint = f"business.declare_{kind}({name!r}, …)"
        _refuse(found, f"{kind} {name!r} was not declared", hint)
    elif labels.keys() != allowed.keys():
        _refuse(found, f"{name!r} has other labels than {sorted(labels)}", f"{sorted(allowed)}")
    elif not _is_amount(value):
        _refuse(found, f"{value!r} of {name!r} is not an amount", "a number, 0 or more")
    else:
        values = []
        for key, known in allowed.items():
            if _is_one_of(labels[key], known):
                values.append(labels[key])
            else:
                what = f"{labels[key]!r} is no value of label {key!r} of {name!r}"
                _refuse(found, what, f"any of {sorted(known)}")
                values.append(semconv.OTHER)
        found.tell(Measured(metric, value, tuple(values)))


def _is_one_of(value: object, known: Collection[str]) -> bool:
    """Tell, of whatever was passed: a list cannot be looked up."""
    return isinstance(value, str) and value in known


def _is_number(value: object) -> bool:
    # compared, since the whole numbers that no float can hold cannot be asked for isfinite
    return isinstance(value, int | float) and -_GREATEST <= value <= _GREATEST


def _is_amount(value: object) -> bool:
    return not isinstance(value, bool) and _is_number(value) and cast("float", value) >= 0


def _refuse(found: CallTrace, what: str, instead: str) -> None:
    """Raise in development; in production say it once for each call of this module that is wrong.

    Raises:
        ValueError: In development.
    """
    message = f"{what}; write {instead}"
    if found.development or "PYTEST_CURRENT_TEST" in os.environ:
        raise ValueError(message)
    caller = inspect.currentframe()
    while caller is not None and caller.f_code.co_name.startswith("_"):
        caller = caller.f_back
    place = "" if caller is None else caller.f_code.co_name
    if place not in _said:
        _said.add(place)
        _logger.error("business.%s: %s; further ones are not logged", place, message)


_GREATEST: Final = 1e15
"""No amount, score or measurement of a call is more; sums of more would lose cents."""

_said: Final[set[str]] = set()
"""Functions whose refusal was logged: a million wrong values are one line."""
