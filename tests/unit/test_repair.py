# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Repair of other people's instruments when it fails itself: they go on recording."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import View

from callspan.metrics.job import repair
from callspan.metrics.job.reader import RowReader
from callspan.metrics.job.repair import without_per_call_attributes
from callspan.metrics.wire.rows import Distribution, Row


def _only_row(reader: RowReader) -> Row:
    (row,) = reader.drain()
    return row


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("failing", ["unit_of", "fitting_bounds"])
def test_bounds_that_cannot_be_fitted_are_the_sdk_s(
    failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever records never sees the error, and the value is kept."""
    reader = RowReader(repair=True)
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("t")
    with monkeypatch.context() as patch:
        patch.setattr(repair, failing, lambda *_: 1 / 0)
        meter.create_histogram("h", "s").record(0.3)
    row = _only_row(reader)
    assert isinstance(row.value, Distribution)
    assert sum(row.value.counts) == 1
    assert row.instrument.bounds[:4] == (0.0, 5.0, 10.0, 25.0)


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("views", [[], [without_per_call_attributes()]])
def test_an_attribute_that_cannot_be_looked_at_is_dropped(
    views: list[View], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It might make a series of every call."""
    monkeypatch.setattr(repair, "_PER_CALL_PREFIX", 42)
    repair.is_per_call.cache_clear()
    reader = RowReader(repair=True)
    meter = MeterProvider([reader], views=views, shutdown_on_exit=False).get_meter("t")
    meter.create_counter("c").add(1, {"model_name": "m"})
    try:
        row = _only_row(reader)
    finally:
        repair.is_per_call.cache_clear()
    assert (row.value, row.attributes) == (1, ())
