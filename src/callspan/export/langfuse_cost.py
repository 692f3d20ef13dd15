# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The cost of a call, divided among its observations: Langfuse adds up all of them, the root too.

What was written on the spans of requests is known for certain when they have been copied. So the
root is given the rest of the call's cost: flat prices, and whatever came when the span of its
request had ended, was never made, or was not sent.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from .. import semconv

_REMEMBERED: Final = 1000
_DECIMALS: Final = 12
"""What is less than a millionth of a millionth of a dollar is an error of addition."""


class ObservationCosts:
    """Says what each observation cost, so that those of a call add up to what the call cost.

    Not safe for threads: spans come in the order in which they are sent, a root after all that
    ended before it.
    """

    def __init__(self) -> None:
        # what observations of a call were given so far, by its id; None when its root had the rest
        self._attributed: OrderedDict[str, float | None] = OrderedDict()

    def of_root(self, attributes: Mapping[str, Any]) -> dict[str, float]:
        """Return what a call cost beside what its other observations said.

        Args:
            attributes: Of the root.

        Returns:
            Dollars by Langfuse's names; empty where there is nothing to say.
        """
        call = str(attributes.get(semconv.SESSION_ID, ""))
        total = _dollars(attributes)
        if total is None:
            return {}
        rest = round(total - (self._attributed.get(call) or 0.0), _DECIMALS)
        self._note(call, None)
        return {semconv.COST_OTHER: rest, semconv.USAGE_TOTAL: rest} if rest > 0 else {}

    def of_request(self, attributes: Mapping[str, Any], *, estimated: bool) -> dict[str, float]:
        """Return what the request that a span stands for cost.

        Args:
            attributes: Of the span.
            estimated: Whether Langfuse would look the cost up in its own table, if none is said.

        Returns:
            Dollars by Langfuse's names; empty where there is nothing to say.
        """
        call = str(attributes.get(semconv.SESSION_ID, ""))
        cost = _dollars(attributes)
        if cost is not None:
            attributed = self._attributed.get(call, 0.0)
            if attributed is None:
                # it ended after the root, which has said this too
                return {semconv.USAGE_TOTAL: 0.0}
            self._note(call, attributed + cost)
            return {semconv.USAGE_TOTAL: cost}
        if estimated and call and not attributes.get(semconv.UNPRICED):
            # it has a price, so its cost is the root's to say; or is no part of the call's cost
            return {semconv.USAGE_TOTAL: 0.0}
        return {}

    def _note(self, call: str, attributed: float | None) -> None:
        if not call:
            return
        self._attributed[call] = attributed
        self._attributed.move_to_end(call)
        while len(self._attributed) > _REMEMBERED:
            self._attributed.popitem(last=False)


def _dollars(attributes: Mapping[str, Any]) -> float | None:
    value = attributes.get(semconv.SPAN_COST)
    return value if isinstance(value, int | float) else None
