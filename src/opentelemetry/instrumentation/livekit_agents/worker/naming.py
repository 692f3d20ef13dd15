# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""OpenTelemetry names as Prometheus spells them, by the rules that the Collector follows too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from .rows import AttributeValue, Kind

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
def unit_suffix(unit: str, kind: Kind) -> str:
    """Return the suffix that a unit adds to a name, without underscore; empty for none."""
    if unit == "1":
        return "ratio" if kind == "gauge" else ""
    over, slash, per = _ANNOTATION.sub("", unit).partition("/")
    over = _clean(_UNITS.get(over, over))
    per = _clean(_PER.get(per, per)) if slash else ""
    return "_".join(part for part in (over, "per" if per else "", per) if part)


@lru_cache(_CACHED)
def family_name(name: str, unit: str, kind: Kind) -> str:
    """Return the name of a metric family; a counter's ``_total`` is not part of it."""
    spelled = _NOT_IN_A_NAME.sub("_", name).strip("_")
    suffix = unit_suffix(unit, kind)
    if kind == "counter":
        spelled = spelled.removesuffix("_total")
    if suffix and not spelled.endswith(f"_{suffix}"):
        spelled = f"{spelled}_{suffix}"
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


def _clean(unit: str) -> str:
    return _NOT_IN_A_LABEL.sub("_", unit).strip("_")
