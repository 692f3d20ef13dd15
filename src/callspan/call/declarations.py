# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What an application declares before calls come: the closed sets that labels are taken from."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from .. import semconv
from ..diagnostics.problem import InvalidValueError
from ..semconv import Metric
from .plain_values import is_empty, plain_number, plain_text, safe_repr

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_LABEL: Final = re.compile(r"[a-z][a-z0-9_]*")
_SUFFIXES: Final = re.compile(r"(_(total|seconds|dollars))+$")
_BUCKET: Final = "le"
_MOST: Final = 10_000
"""Items that are looked at of what may have no end."""
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
        self.outcomes.update(
            [_check(name, "outcome", _LABEL, "billing_question") for name in names]
        )

    def add_conversion(self, conversion: Conversion) -> None:
        """Allow a conversion, and the outcome that it stands for.

        Raises:
            ValueError: If the name is taken or none, or it was declared otherwise before.
        """
        name = self._check_metric(conversion.name, "conversion")
        outcome = ""
        if not is_empty(conversion.outcome):
            outcome = _check(conversion.outcome, "outcome", _LABEL, "booking")
        conversion = Conversion(name, outcome, _text(conversion.description, "description", name))
        if self.conversions.setdefault(name, conversion) != conversion:
            raise InvalidValueError(
                f"conversion {name!r} is declared twice, and differently",
                "declare it once, at the top of agent.py",
            )
        if outcome:
            self.add_outcomes([outcome])

    def add_label(self, name: str, values: Collection[str]) -> None:
        """Allow a label of calls.

        Raises:
            ValueError: If the name is taken or none, the values are no closed set, or it was
                declared otherwise before.
        """
        name = _check_label(name, "intent", semconv.L_AGENT, semconv.L_OUTCOME)
        allowed = _values(name, values)
        if self.labels.setdefault(name, allowed) != allowed:
            raise InvalidValueError(
                f"label {name!r} is declared twice, and differently",
                "declare it once, at the top of agent.py",
            )

    def add_kpi(
        self,
        kind: str,
        name: str,
        *,
        unit: str,
        description: str,
        labels: Mapping[str, Collection[str]] | None,
        bounds: Collection[float] = (),
    ) -> None:
        """Allow a metric of the application's own.

        Raises:
            ValueError: If the name is taken or none, the bounds do not rise, or the values of a
                label are no closed set.
        """
        name = self._check_metric(name, "KPI")
        sets = {} if labels is None else _sets(name, labels)
        metric = Metric(
            f"{semconv.OWN_PREFIX}{name}",
            kind,
            _text(unit, "unit", name),
            (semconv.L_AGENT, *sets),
            _text(description, "description", name),
            _bounds(name, bounds) if kind == "histogram" else (),
        )
        if self.kpis.setdefault(name, (metric, sets)) != (metric, sets):
            raise InvalidValueError(
                f"KPI {name!r} is declared twice, and differently",
                "declare it once, at the top of agent.py",
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

    def _check_metric(self, name: object, what: str) -> str:
        text = _check(name, what, _NAME, "bookings")
        same_kind, others = (self.kpis, self.conversions)[:: 1 if what == "KPI" else -1]
        own = (metric.name.removeprefix(semconv.OWN_PREFIX) for metric in semconv.METRICS)
        taken = {_scraped(one) for one in (*own, *others, *(set(same_kind) - {text}))}
        if _scraped(text) in taken:
            raise InvalidValueError(
                f"{what} {text!r} is the name of another metric", "choose another"
            )
        return text


def _check(name: object, what: str, pattern: re.Pattern[str], example: str) -> str:
    text = plain_text(name)
    if text is None or not pattern.fullmatch(text) or len(text) > 100:
        raise InvalidValueError(
            f"{what} {safe_repr(name)}: not a name",
            f"write lower case letters, digits and _, "
            f"beginning with a letter, for example {example!r}",
        )
    return text


def _check_label(name: object, example: str, *taken: str) -> str:
    text = _check(name, "label", _LABEL, example)
    if text in taken:
        raise InvalidValueError(f"label {text!r} is there already", "choose another name")
    if text == _BUCKET:
        raise InvalidValueError(f"label {text!r} is Prometheus's own", "choose another name")
    return text


def _text(value: object, argument: str, name: str) -> str:
    text = plain_text(value)
    if text is None:
        raise InvalidValueError(
            f"{argument}={safe_repr(value)} of {name!r}: not a text",
            "write one in quotes, or leave it out",
        )
    return text


def _scraped(name: str) -> str:
    """Return what is left of a name on a scrape, where dots and suffixes tell nothing apart."""
    return _SUFFIXES.sub("", name.replace(".", "_"))


def _bounds(name: str, bounds: Collection[float]) -> tuple[float, ...]:
    given = _listed(bounds)
    numbers = [number for each in given if (number := plain_number(each)) is not None]
    if (
        not numbers
        or len(numbers) < len(given)
        or numbers != sorted(set(numbers))
        or not all(abs(number) <= sys.float_info.max for number in numbers)
    ):
        shown = safe_repr(tuple(given) or bounds)
        raise InvalidValueError(
            f"bounds={shown} of {name!r}: not rising numbers", "write for example (1, 5, 10, 30)"
        )
    return tuple(numbers)


def _sets(name: str, labels: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
    try:
        items = [(label, values) for label, values in labels.items()]
    except Exception:  # noqa: BLE001  any code can run in a mapping of the application's
        raise InvalidValueError(
            f"labels={safe_repr(labels)} of {name!r}: not the values of each label",
            'write for example {"reason": ("busy", "late")}',
        ) from None
    names = [_check_label(label, "kind", semconv.L_AGENT) for label, _ in items]
    return {name: _values(name, values) for name, (_, values) in zip(names, items, strict=True)}


def _values(name: str, values: Collection[str]) -> frozenset[str]:
    # a text is a collection of texts too
    is_list = plain_text(values) is None and issubclass(type(values), Collection)
    given = _listed(values) if is_list else []
    texts = [text for each in given if (text := plain_text(each)) is not None]
    if not texts or len(texts) < len(given):
        raise InvalidValueError(
            f"values={safe_repr(values)} of label {name!r}: not a list of texts",
            'write for example ("billing", "booking")',
        )
    if len(texts) > MAX_VALUES:
        raise InvalidValueError(
            f"label {name!r} has {len(texts)} values, more than {MAX_VALUES}: each makes a series "
            "of every metric",
            "declare the few that a dashboard tells apart",
        )
    return frozenset(texts)


def _listed(values: Collection[object]) -> list[object]:
    """Return what is in a collection of the application's; nothing where it cannot be told."""
    try:
        return list(islice(values, _MOST))
    except Exception:  # noqa: BLE001  any code can run in an iteration
        return []
