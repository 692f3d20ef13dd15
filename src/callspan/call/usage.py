# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the models and services of one call took, summed up."""

from __future__ import annotations

from collections import defaultdict

from .. import semconv
from ..semconv import Usage
from .events import ModelUsed


class CallUsage:
    """Sums over one call, by component, provider and model."""

    def __init__(self) -> None:
        self.totals: dict[tuple[str, str, str], dict[Usage, float]] = defaultdict(dict)

    def add(self, used: ModelUsed) -> None:
        """Take one more report in."""
        totals = self.totals[used.component, used.provider, used.model]
        for name, amount in used.usage.items():
            if name is Usage.LONGEST_IDLE:
                totals[name] = max(totals.get(name, 0.0), amount)
            else:
                totals[name] = totals.get(name, 0.0) + amount

    def total(self, name: Usage, *components: str) -> float:
        """Return a sum over all models of some components."""
        return sum(
            totals.get(name, 0.0)
            for (component, _, _), totals in self.totals.items()
            if component in components
        )

    def fields(self) -> dict[str, float]:
        """Return the call's summary over all models, ``agent.usage.llm.input_tokens`` and so on."""
        fields: dict[str, float] = {}
        for (component, _, _), totals in self.totals.items():
            for name, amount in totals.items():
                key = f"{semconv.USAGE_PREFIX}{component}.{name}"
                if name is Usage.LONGEST_IDLE:
                    fields[key] = max(fields.get(key, 0.0), amount)
                else:
                    fields[key] = fields.get(key, 0.0) + amount
        return fields
