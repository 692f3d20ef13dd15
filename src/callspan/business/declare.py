# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What an application declares before calls come: closed sets, and KPIs of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import fields
from typing import Final

from ..call.declarations import Conversion, Declarations
from ..call.plain_values import is_empty, plain_text
from ..diagnostics.guard import contained

declared: Final = Declarations()
"""What this process's application declared."""


@contextmanager
def declarations_restored() -> Iterator[None]:
    """Have what is declared inside forgotten afterwards."""
    before = deepcopy(declared)
    try:
        yield
    finally:
        for field in fields(Declarations):
            setattr(declared, field.name, getattr(before, field.name))


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
