# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What was used and has no price: said once, with the line to add."""

from __future__ import annotations

from collections.abc import Mapping

from .. import semconv
from ..call.events import ModelUsed
from ..diagnostics.log import logger
from .price_book import PriceBook, Priced


def name_unpriced(book: PriceBook, labels: Mapping[str, object]) -> None:
    """Say what has no price, and the line to add.

    Args:
        book: The prices that there are.
        labels: Of the series that counts its uses.
    """
    component, provider, model = (
        str(labels.get(label, semconv.UNKNOWN))
        for label in (semconv.L_COMPONENT, semconv.L_PROVIDER, semconv.L_MODEL)
    )
    # on a label, unknown stands for no name too: a line for all models of the provider fits both
    used = ModelUsed(component, provider, "" if model == semconv.UNKNOWN else model, {})
    if isinstance(book.price(used), Priced):
        logger.warning(
            "%s %s of %s has a price, and was used without its provider saying how much of all "
            "that it charges for, as cancelled requests are: that is counted in "
            "agent_unpriced_usage_total and is in no cost",
            component,
            model,
            provider,
        )
        return
    logger.warning(
        "no price for %s %s of %s: its use is counted in agent_unpriced_usage_total and is in no "
        "cost; add to the file that CALLSPAN_PRICES names: %s",
        component,
        model,
        provider,
        book.price_file_example(used).replace("\n", " "),
    )
