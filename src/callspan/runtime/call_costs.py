# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""From what models and services report to money: on the call, and on the span that caused it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .. import semconv
from ..call.call import Call
from ..call.events import CostRecorded, ModelUsed
from ..pricing.price_book import PriceBook, Priced
from ..tracing.call_trace import CallTrace

_FLAT: Final = (semconv.OTHER, "flat", "flat")
"""Component, provider and model of what is paid by the minute or by the call."""


class Pricing:
    """Prices the calls of this process.

    Args:
        own: The user's own prices.
    """

    def __init__(self, own: Mapping[str, Any]) -> None:
        self._book = PriceBook(own)

    def spend(self, call_trace: CallTrace, used: ModelUsed) -> CostRecorded | None:
        """Price one report, as it comes; None for what costs nothing by its nature."""
        priced = self._book.price(used)
        if priced is None:
            return None
        model = (used.component, used.provider, used.model)
        span = call_trace.take_request(used.request_id)
        if not isinstance(priced, Priced):
            if span is not None:
                span.set_attribute(semconv.UNPRICED, True)
            return CostRecorded(*model, None)
        # recognition is paid for by the turn: its span is made when the turn is over
        if span is not None and used.component != semconv.COMPONENT_STT:
            span.set_attribute(semconv.SPAN_COST, priced.dollars)
        return CostRecorded(*model, priced.dollars)

    def flat_costs(self, call: Call) -> CostRecorded | None:
        """Price what is paid by the minute or by the call, up to the session's last close."""
        due = self._book.flat(call.duration_s or 0.0).dollars - call.costs.by_model.get(_FLAT, 0.0)
        return CostRecorded(*_FLAT, due) if due > 0 else None
