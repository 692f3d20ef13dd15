# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What an application said of one call."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(slots=True)
class CallAnnotations:
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
