# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""What an application declares before calls come: the closed sets that labels are taken from."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from .. import semconv
from ..semconv import Metric

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_LABEL: Final = re.compile(r"[a-z][a-z0-9_]*")
_SUFFIXES: Final = re.compile(r"(_(total|seconds|dollars))+$")
_BUCKET: Final = "le"
MAX_VALUES: Final = 100
"""Values of one label: a set that is larger is not written by hand."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A goal of calls.

    Attributes:
        name: Of the metric, without ``agent.``.
        outcome: The outcome of a call that reached it; empty for none of its own.
        description: What a point of the metric says.
    """

    name: str
    outcome: str = ""
    description: str = ""

    @property
    def metric(self) -> Metric:
        """Return the counter of calls that reached it."""
        return semconv.conversion_metric(
            self.name, self.description or f"Calls that came to {self.name}."
        )


@dataclass(slots=True)
class Declarations:
    """Everything that was declared; plain data, so that it can travel to a job process.

    Attributes:
        outcomes: Beside those that need no declaration.
        default_outcome: Of a call that no rule applies to; empty for ``completed``.
        conversions: By name.
        labels: The allowed values of each label of calls.
        kpis: Metrics of the application's own, by name without ``agent.``, and the allowed
            values of their labels.
    """

    outcomes: set[str] = field(default_factory=set)
    default_outcome: str = ""
    conversions: dict[str, Conversion] = field(default_factory=dict)
    labels: dict[str, frozenset[str]] = field(default_factory=dict)
    kpis: dict[str, tuple[Metric, dict[str, frozenset[str]]]] = field(default_factory=dict)

    def add_outcomes(self, names: Collection[str]) -> None:
        """Allow further outcomes.

        Raises:
            ValueError: If a name is none.
        """
        for name in names:
            _check(name, "outcome", _LABEL, "billing_question")
        self.outcomes.update(names)

    def add_conversion(self, conversion: Conversion) -> None:
        """Allow a conversion, and the outcome that it stands for.

        Raises:
            ValueError: If the name is taken or none, or it was declared otherwise before.
        """
        self._check_metric(conversion.name, "conversion")
        if conversion.outcome:
            _check(conversion.outcome, "outcome", _LABEL, "booking")
        if self.conversions.setdefault(conversion.name, conversion) != conversion:
            raise ValueError(
                f"conversion {conversion.name!r} is declared twice, and differently; "
                "declare it once, at the top of agent.py"
            )
        if conversion.outcome:
            self.add_outcomes([conversion.outcome])

    def add_label(self, name: str, values: Collection[str]) -> None:
        """Allow a label of calls.

        Raises:
            ValueError: If the name is taken or none, the values are no closed set, or it was
                declared otherwise before.
        """
        _check_label(name, "intent", semconv.L_AGENT, semconv.L_OUTCOME)
        allowed = _values(name, values)
        if self.labels.setdefault(name, allowed) != allowed:
            raise ValueError(
                f"label {name!r} is declared twice, and differently; declare it once, at the top "
                "of agent.py"
            )

    def add_kpi(self, metric: Metric, labels: Mapping[str, Collection[str]]) -> None:
        """Allow a metric of the application's own.

        Raises:
            ValueError: If the name is taken or none, the bounds do not rise, or the values of a
                label are no closed set.
        """
        name = metric.name.removeprefix(semconv.OWN_PREFIX)
        self._check_metric(name, "KPI")
        for label in labels:
            _check_label(label, "kind", semconv.L_AGENT)
        if metric.kind == "histogram" and not _rise(metric.bounds):
            raise ValueError(
                f"bounds={metric.bounds!r} of {name!r}: not rising numbers; "
                "write for example (1, 5, 10, 30)"
            )
        sets = {label: _values(label, values) for label, values in labels.items()}
        if self.kpis.setdefault(name, (metric, sets)) != (metric, sets):
            raise ValueError(
                f"KPI {name!r} is declared twice, and differently; declare it once, at the top "
                "of agent.py"
            )

    def merge(self, other: Declarations) -> None:
        """Take over what was declared elsewhere; what is declared here stays."""
        self.outcomes |= other.outcomes
        self.default_outcome = self.default_outcome or other.default_outcome
        for name, theirs in other.conversions.items():
            ours = self.conversions.setdefault(name, theirs)
            if ours != theirs:
                # a variable may leave to the code what it stands for, and the code to a variable
                self.conversions[name] = replace(
                    ours,
                    outcome=ours.outcome or theirs.outcome,
                    description=ours.description or theirs.description,
                )
        self.labels = other.labels | self.labels
        self.kpis = other.kpis | self.kpis

    @property
    def all_outcomes(self) -> tuple[str, ...]:
        """Every outcome that a call can have."""
        return (*semconv.OUTCOMES, *sorted(self.outcomes.difference(semconv.OUTCOMES)))

    def _check_metric(self, name: str, what: str) -> None:
        _check(name, what, _NAME, "bookings")
        same_kind, others = (self.kpis, self.conversions)[:: 1 if what == "KPI" else -1]
        own = (metric.name.removeprefix(semconv.OWN_PREFIX) for metric in semconv.METRICS)
        taken = {_scraped(one) for one in (*own, *others, *(set(same_kind) - {name}))}
        if _scraped(name) in taken:
            raise ValueError(f"{what} {name!r} is the name of another metric; choose another")


def _check(name: object, what: str, pattern: re.Pattern[str], example: str) -> None:
    if not isinstance(name, str) or not pattern.fullmatch(name) or len(name) > 100:
        raise ValueError(
            f"{what} {name!r}: not a name; write lower case letters, digits and _, beginning "
            f"with a letter, for example {example!r}"
        )


def _check_label(name: object, example: str, *taken: str) -> None:
    _check(name, "label", _LABEL, example)
    if name in taken:
        raise ValueError(f"label {name!r} is there already; choose another name")
    if name == _BUCKET:
        raise ValueError(f"label {name!r} is Prometheus's own; choose another name")


def _scraped(name: str) -> str:
    """Return what is left of a name on a scrape, where dots and suffixes tell nothing apart."""
    return _SUFFIXES.sub("", name.replace(".", "_"))


def _rise(bounds: tuple[object, ...]) -> bool:
    numbers = [bound for bound in bounds if isinstance(bound, int | float) and math.isfinite(bound)]
    return bool(bounds) and numbers == sorted(set(numbers)) and len(numbers) == len(bounds)


def _values(name: str, values: Collection[str]) -> frozenset[str]:
    if (
        isinstance(values, str)
        or not isinstance(values, Collection)
        or not values
        or not all(isinstance(value, str) for value in values)
    ):
        raise ValueError(
            f"values={values!r} of label {name!r}: not a list of texts; "
            'write for example ("billing", "booking")'
        )
    if len(values) > MAX_VALUES:
        raise ValueError(
            f"label {name!r} has {len(values)} values, more than {MAX_VALUES}: each makes a series "
            "of every metric; declare the few that a dashboard tells apart"
        )
    return frozenset(values)
