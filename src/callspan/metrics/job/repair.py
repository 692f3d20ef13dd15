# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What makes the instruments of others usable: bounds that fit, units, no per-call attributes.

LiveKit's own instruments give no bounds for values in seconds, no unit for tokens, and the room
and job of a call with every value.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from opentelemetry.sdk.metrics.export import ExponentialHistogramDataPoint
from opentelemetry.sdk.metrics.view import (
    Aggregation,
    DefaultAggregation,
    ExplicitBucketHistogramAggregation,
    View,
)

from ...diagnostics.guard import contained

# Doubling seconds and quadrupling tokens are the steps of OpenTelemetry's GenAI conventions.
_SECONDS: Final = tuple(0.01 * 2**step for step in range(14))
_BY_UNIT: Final[Mapping[str, tuple[float, ...]]] = {
    "s": _SECONDS,
    "ms": tuple(1000 * bound for bound in _SECONDS),
    "{token}": tuple(4.0**step for step in range(14)),
    "By": tuple(256 * 4.0**step for step in range(14)),
}
_OTHERWISE: Final = tuple(
    float(bound)
    for bound in (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)
)
"""The SDK's own default: nothing is known of the values."""

_UNITS_BY_ENDING: Final[Mapping[str, str]] = {
    "_tokens": "{token}",
    "_characters": "{character}",
    "_requests": "{request}",
}

_PER_CALL_PREFIX: Final = "lk."
"""LiveKit stamps what it knows of the job on every measurement under this prefix."""
_PER_CALL: Final = frozenset(
    {
        "identity",
        "participant",
        "participant_identity",
        "phone_number",
        "room",
        "room_name",
        "user",
        "user_name",
    }
)


def fitting_bounds(unit: str) -> tuple[float, ...]:
    """Return bucket bounds for values in a unit, for an instrument that advises none."""
    return _BY_UNIT.get(unit, _OTHERWISE)


def unit_of(name: str, unit: str) -> str:
    """Return the unit of an instrument, by the ending of its name where it gives none."""
    if unit:
        return unit
    return next((known for ending, known in _UNITS_BY_ENDING.items() if name.endswith(ending)), "")


@lru_cache(maxsize=1024)
@contained("looking at an attribute", otherwise=lambda _: True)
def is_per_call(key: str) -> bool:
    """Tell whether an attribute would make a series of every call: an id, a room, a person."""
    return (
        key.startswith(_PER_CALL_PREFIX)
        or key.replace(".", "_").rpartition("_")[2] in ("id", "sid")
        or key.replace(".", "_") in _PER_CALL
    )


class _NotPerCall(set[str]):
    """The keys of all attributes that do not tell calls apart."""

    @contained("looking at an attribute", otherwise=lambda *_: False)
    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and not is_per_call(key)


def without_per_call_attributes() -> View:
    """Return a view for a MeterProvider that is built for a process with many calls.

    The SDK keeps every set of attributes that it has seen for as long as the process lives. In a
    job process that is one call; where calls share a process, memory and the cost of a
    collection would grow with each, unless the attributes are dropped before they are kept.
    """
    return View(instrument_name="*", attribute_keys=_NotPerCall())


def _as_the_sdk_does(_: Aggregation, *args: Any, **kwargs: Any) -> Any:
    return DefaultAggregation()._create_aggregation(*args, **kwargs)


class FittingBounds(Aggregation):
    """Histograms with the bounds that their instrument advises, else with bounds that fit.

    Given to a reader as its preferred aggregation, it leaves alone what a view has decided.
    """

    @contained("fitting bounds", otherwise=_as_the_sdk_does)
    def _create_aggregation(
        self,
        instrument: Any,
        attributes: Any,
        reservoir_factory: Callable[..., Any],
        start_time_unix_nano: int,
    ) -> Any:
        advisory = getattr(instrument, "_advisory", None)
        advised: Sequence[float] | None = getattr(advisory, "explicit_bucket_boundaries", None)
        if advised is None:
            advised = fitting_bounds(unit_of(instrument.name, instrument.unit))
        return ExplicitBucketHistogramAggregation(advised)._create_aggregation(
            instrument, attributes, reservoir_factory, start_time_unix_nano
        )


def explicit_counts(
    point: ExponentialHistogramDataPoint, bounds: tuple[float, ...]
) -> tuple[int, ...]:
    """Return what an exponential histogram counted, in explicit buckets.

    Each of its buckets goes where its upper bound belongs; none is below 0, since the SDK
    records no negative values.
    """
    counts = [0] * (len(bounds) + 1)
    base = 2.0 ** (2.0**-point.scale)
    counts[bisect_left(bounds, 0.0)] += point.zero_count
    for step, count in enumerate(point.positive.bucket_counts, point.positive.offset + 1):
        counts[bisect_left(bounds, base**step)] += count
    return tuple(counts)
