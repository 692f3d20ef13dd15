# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Instants that durations are made of, on a clock that cannot step.

LiveKit stamps its events with the time of day, which an administrator or a time server can set
back in the middle of a call. What it measures itself, of models, is on ``time.perf_counter()``; so
are the instants here.
"""

from __future__ import annotations

import time
from typing import Final

_LONGEST_LAG_S: Final = 600.0
"""A stamp that is older, or in the future, is of another time of day than the one there is now."""


def now() -> float:
    """Return the instant."""
    return time.perf_counter()


def instant_of(time_of_day: float) -> float:
    """Return the instant of a stamp that LiveKit made not long ago, in Unix seconds."""
    lag_s = time.time() - time_of_day
    return now() - (lag_s if 0 <= lag_s <= _LONGEST_LAG_S else 0.0)
