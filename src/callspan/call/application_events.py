# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What an application says in a call, as plain records."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..semconv import Metric


@dataclass(frozen=True, slots=True)
class OutcomeSet:
    """The application said how the call ended.

    Attributes:
        outcome: One of the outcomes that were declared.
        reason: Why. Content.
    """

    outcome: str
    reason: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Converted:
    """The call came to what the application declared as a goal.

    Attributes:
        name: Of the conversion.
        first: Whether it is the first of its name in the call.
        value: What it was worth; 0 without a currency.
        currency: ISO 4217; empty for no value.
    """

    name: str
    first: bool
    value: float = 0.0
    currency: str = ""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The application gave the call a label.

    Attributes:
        name: The label.
        value: One of those that were declared.
    """

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FeedbackGiven:
    """The caller gave a score.

    Attributes:
        kind: One of the ``FEEDBACK_*`` values of semconv.
        score: On the scale of that kind.
    """

    kind: str
    score: float


@dataclass(frozen=True, slots=True)
class UserSet:
    """The application said whose call it is.

    Attributes:
        user_id: As the application knows them.
    """

    user_id: str


@dataclass(frozen=True, slots=True)
class TenantSet:
    """The application said on whose behalf the call is taken.

    Attributes:
        tenant_id: As the application knows them.
    """

    tenant_id: str


@dataclass(frozen=True, slots=True)
class Transferred:
    """The caller was passed on to a human."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The application recorded on a metric that it declared.

    Attributes:
        metric: The metric.
        value: What is added or recorded.
        labels: Values of the metric's labels but the agent's name, in their order.
    """

    metric: Metric
    value: float
    labels: tuple[str, ...]


ApplicationEvent = (
    OutcomeSet | Converted | LabelSet | FeedbackGiven | UserSet | TenantSet | Transferred | Measured
)
