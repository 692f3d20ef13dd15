# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a call was worth, and what it cost: as it was said, and as it was priced."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(slots=True)
class Worth:
    """What the application said of one call.

    Attributes:
        outcome: The last that was said; empty for none.
        reason: Why; free text.
        conversions: What the call came to, in order.
        values: What that was worth, by conversion and currency.
        labels: Dimensions of the call.
        feedback: Scores, by kind.
        transferred: Whether the caller was passed on to a human.
        user_id: Whose call it is, as the application knows them.
        tenant_id: On whose behalf it was taken.
    """

    outcome: str = ""
    reason: str = ""
    conversions: list[str] = field(default_factory=list)
    values: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    labels: dict[str, str] = field(default_factory=dict)
    feedback: dict[str, float] = field(default_factory=dict)
    transferred: bool = False
    user_id: str = ""
    tenant_id: str = ""

    def convert(self, name: str, value: float, currency: str) -> bool:
        """Note a conversion; return whether it is the first of its name in this call."""
        first = name not in self.conversions
        if first:
            self.conversions.append(name)
        if currency:
            self.values[name, currency] += value
        return first


@dataclass(slots=True)
class Costs:
    """What one call cost, in US dollars.

    Attributes:
        by_model: By component, provider and model.
        unpriced: Uses that no price was known for, by the same.
    """

    by_model: defaultdict[tuple[str, str, str], float] = field(
        default_factory=lambda: defaultdict(float)
    )
    unpriced: defaultdict[tuple[str, str, str], int] = field(
        default_factory=lambda: defaultdict(int)
    )

    @property
    def total(self) -> float:
        """Everything that a price is known for."""
        return math.fsum(self.by_model.values())

    @property
    def known(self) -> bool:
        """Whether the total says anything: it does not where nothing that was used has a price."""
        return bool(self.by_model) or not self.unpriced

    def by_component(self) -> dict[str, float]:
        """Return the sums of components."""
        sums: defaultdict[str, float] = defaultdict(float)
        for (component, _, _), dollars in self.by_model.items():
            sums[component] += dollars
        return dict(sums)
