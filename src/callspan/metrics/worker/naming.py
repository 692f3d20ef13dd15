# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""OpenTelemetry names as Prometheus spells them, by the rules that the Collector follows too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from ..wire.rows import AttributeValue, Kind

_UNITS: Final[Mapping[str, str]] = {
    "ns": "nanoseconds",
    "us": "microseconds",
    "ms": "milliseconds",
    "s": "seconds",
    "min": "minutes",
    "h": "hours",
    "d": "days",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "kBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "Hz": "hertz",
    "%": "percent",
}
_PER: Final[Mapping[str, str]] = {"s": "second", "min": "minute", "h": "hour", "d": "day"}

_ANNOTATION: Final = re.compile(r"\{[^}]*\}")
_NOT_IN_A_NAME: Final = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_A_LABEL: Final = re.compile(r"[^a-zA-Z0-9]+")
_CACHED: Final = 4096


@lru_cache(_CACHED)
def unit_suffix(name: str, unit: str, kind: Kind) -> str:
    """Return the unit that a metric's name ends in, without underscore; empty for none."""
    suffix = "ratio" if (unit, kind) == ("1", "gauge") else "_".join(filter(None, _units(unit)))
    return suffix if suffix and family_name(name, unit, kind).endswith(f"_{suffix}") else ""


@lru_cache(_CACHED)
def family_name(name: str, unit: str, kind: Kind) -> str:
    """Return the name of a metric family; a counter's ``_total`` is not part of it."""
    words = [word for word in _NOT_IN_A_NAME.split(name) if word]
    over, per = _units(unit)
    if over and over not in words:
        words.append(over)
    # the Collector adds this to a name that ends in it, too
    if per:
        words.append(per)
    if kind == "counter":
        words = [word for word in words if word != "total"]
    if (unit, kind) == ("1", "gauge"):
        words = [*(word for word in words if word != "ratio"), "ratio"]
    spelled = "_".join(words)
    return f"_{spelled}" if spelled[:1].isdigit() else spelled


@lru_cache(_CACHED)
def label_name(key: str) -> str:
    """Return the label of an attribute."""
    spelled = _NOT_IN_A_LABEL.sub("_", key)
    return f"key_{spelled}" if spelled[:1].isdigit() else spelled


def labels(attributes: Mapping[str, AttributeValue]) -> dict[str, str]:
    """Return attributes as labels; those that come to be spelled alike are joined by ``;``."""
    spelled: dict[str, str] = {}
    for key, value in attributes.items():
        text = value if isinstance(value, str) else str(value).lower()
        name = label_name(key)
        spelled[name] = f"{spelled[name]};{text}" if name in spelled else text
    return spelled


def _units(unit: str) -> tuple[str, str]:
    """Return what a unit adds to a name: ``By/s`` gives ``bytes``, ``per_second``."""
    if unit == "1":
        return "", ""
    over, _, per = _ANNOTATION.sub("", unit).partition("/")
    over, per = _clean(_UNITS.get(over, over)), _clean(_PER.get(per, per))
    return over, f"per_{per}" if per else ""


def _clean(unit: str) -> str:
    return _NOT_IN_A_LABEL.sub("_", unit).strip("_")
