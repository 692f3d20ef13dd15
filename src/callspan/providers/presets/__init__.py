# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Backends by name: each has a module here, with its ``PRESET``; ``PRESETS`` has them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from . import grafana_cloud, http_exporter, langfuse
from .preset import METRICS, Preset, PresetError, Target

PRESETS: Final[Mapping[str, Preset]] = {
    preset.name: preset for preset in (grafana_cloud.PRESET, langfuse.PRESET)
}
"""What can stand in OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER for a backend."""


def names_for(signal: str) -> list[str]:
    """Return the names of the backends that take a signal."""
    return [name for name, preset in PRESETS.items() if signal in preset.signals]


def target_of(name: str, signal: str, environ: Mapping[str, str]) -> Target:
    """Return where a backend takes a signal.

    Args:
        name: One of ``PRESETS``.
        signal: ``TRACES`` or ``METRICS``.
        environ: The variables.

    Raises:
        PresetError: If the backend does not take the signal, or a variable is missing or wrong.
    """
    preset = PRESETS[name]
    if signal not in preset.signals:
        others = ["otlp for a Collector", *names_for(signal)]
        if signal == METRICS:
            others.insert(0, "prometheus to be scraped")
        raise PresetError(
            f"OTEL_{signal}_EXPORTER={name}: {preset.title} takes "
            f"{' and '.join(preset.signals).lower()} only, none are sent there",
            f"write OTEL_{signal}_EXPORTER={', '.join(others)}, or none",
        )
    return preset.target(signal, environ)


def exporter_of(name: str, signal: str, environ: Mapping[str, str]) -> Callable[[], Any]:
    """Return what makes the exporter of a backend.

    Args:
        name: One of ``PRESETS``.
        signal: ``TRACES`` or ``METRICS``.
        environ: The variables.

    Raises:
        PresetError: As for ``target_of``.
    """
    return partial(http_exporter.make, target_of(name, signal, environ), signal)
