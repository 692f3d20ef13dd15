# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""How what an application says of a call is checked, and what happens if it is wrong."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection
from typing import Final, cast

from ..call.plain_values import plain_number, plain_text
from ..diagnostics.log import LogOnce
from ..diagnostics.problem import InvalidValueError
from ..tracing.call_trace import CallTrace

_GREATEST: Final = 1e15
"""No amount, score or measurement of a call is more; sums of more would lose cents."""

_log_once = LogOnce()
"""A million wrong values are one line for each function."""


class RefusedError(InvalidValueError):
    """A value of the application's is refused; raised in development alone."""


def refuse(call_trace: CallTrace, function: str, finding: str, remedy: str) -> None:
    """Raise in development; in production say it once for each function that is called wrongly.

    Args:
        call_trace: The call.
        function: Of ``business``, by name.
        finding: What is wrong, and with which value.
        remedy: What to write.

    Raises:
        RefusedError: In development.
    """
    error = RefusedError(finding, f"write {remedy}")
    if call_trace.development or "PYTEST_CURRENT_TEST" in os.environ:
        raise error
    message = "business.%s: %s; further ones are not logged"
    _log_once(function, logging.ERROR, message, function, error)


def member(value: object, known: Collection[str]) -> str | None:
    """Return a text that is one of a closed set; None for anything else."""
    text = plain_text(value)
    return text if text is not None and text in known else None


def bounded_number(value: object) -> int | float | None:
    """Return a number that can be added up with others; None for anything else."""
    number = plain_number(value)
    # compared, since the whole numbers that no float can hold cannot be asked for isfinite
    return number if number is not None and -_GREATEST <= number <= _GREATEST else None


def amount_of(value: object) -> int | float | None:
    """Return a number that is 0 or more; None for anything else."""
    number = bounded_number(value)
    return number if number is not None and number >= 0 else None


def pair_of(value: object) -> tuple[int | float, int | float] | None:
    """Return a tuple of two numbers; None for anything else."""
    if not issubclass(type(value), tuple):
        return None
    match [*map(bounded_number, tuple.__iter__(cast("tuple[object, ...]", value)))]:
        case [int() | float() as first, int() | float() as second]:
            return first, second
    return None
