# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What one call cost, as it was priced."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

from .events import CostRecorded


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

    def add(self, recorded: CostRecorded) -> None:
        """Take in what one use was priced at."""
        model = (recorded.component, recorded.provider, recorded.model)
        if recorded.dollars is None:
            self.unpriced[model] += 1
        else:
            self.by_model[model] += recorded.dollars

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
