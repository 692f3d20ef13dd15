# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the doctor knows of backends: of each that has a preset, and more of some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ....providers.exporters import Destination
from ....providers.presets import PRESETS
from . import grafana_cloud, langfuse
from .backend import Backend

BACKENDS: Final[Mapping[str, Backend]] = {
    **{name: Backend(preset) for name, preset in PRESETS.items()},
    **{backend.preset.name: backend for backend in (grafana_cloud.BACKEND, langfuse.BACKEND)},
}
"""By the names of their presets."""


def backend_of(target: Destination) -> Backend | None:
    """Return the backend that a destination is, by the preset or by the address."""
    if target.entry_point in BACKENDS:
        return BACKENDS[target.entry_point]
    return next((backend for backend in BACKENDS.values() if backend.is_at(target)), None)
