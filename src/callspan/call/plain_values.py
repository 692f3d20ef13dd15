# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Whatever an application passes, as a plain value of Python or as words about it.

A subclass of ``str``, ``int`` or ``float`` has methods of its own, and a worker takes plain
numbers only: one ``numpy.float64`` in a sum would cost the values that it is summed with. What is
refused is named in a message, and a ``__repr__`` can raise like any other code.

Types are told by ``type()``, never by ``isinstance``, which asks the object for its ``__class__``.
"""

from __future__ import annotations

import reprlib
from typing import Any, Final, cast

_REPR: Final = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 120


def plain_text(value: object) -> str | None:
    """Return a text, or None for anything else; what no encoding has becomes a question mark."""
    if not issubclass(type(value), str):
        return None
    text = str.__str__(cast("str", value))
    return text if text.isascii() else text.encode(errors="replace").decode()


def is_empty(value: object) -> bool:
    """Tell whether a value is None or an empty text."""
    return value is None or plain_text(value) == ""


def any_text(value: object) -> str | None:
    """Return a text or what an object's ``str()`` says, or None where that raises."""
    if (text := plain_text(value)) is not None:
        return text
    try:
        return plain_text(str(value))
    except Exception:  # noqa: BLE001  any code can run in __str__
        return None


def plain_number(value: object) -> int | float | None:
    """Return a number, or None for anything else.

    A subclass is one if it counts and compares as the number that it was made from.
    """
    number: Any = value
    if type(value) is int or type(value) is float:
        return cast("int | float", number)
    if issubclass(type(value), float):
        plain: int | float = float.__float__(number)
    elif issubclass(type(value), int):
        plain = int.__int__(number)
    else:
        return None
    try:
        return plain if number + 0 == plain and plain <= number <= plain else None
    except Exception:  # noqa: BLE001  any code can run in its methods
        return None


def safe_repr(value: object) -> str:
    """Return a short ``repr()`` of anything, whatever its own does."""
    try:
        return str.__str__(_REPR.repr(value))
    except Exception:  # noqa: BLE001  any code can run in __repr__
        return object.__repr__(value)
