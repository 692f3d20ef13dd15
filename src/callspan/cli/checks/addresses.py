# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Where a destination connects to, and which variables say so."""

from __future__ import annotations

from typing import Final

from ...providers.exporters import Destination
from .verdict import Setup

OWN_ENDPOINT: Final = "the endpoint of your exporter"
"""Stands where a variable is named otherwise: it may be passed in code."""
OWN_HEADERS: Final = "the headers of your exporter"
"""The same for headers."""


def headers_variable(target: Destination, signal: str, setup: Setup) -> tuple[str, bool]:
    """Return the variable that a signal's headers come from, and whether it is set."""
    if target.variable == OWN_ENDPOINT:
        return OWN_HEADERS, True
    own = f"OTEL_EXPORTER_OTLP_{signal}_HEADERS"
    if setup.environ.get(own, "").strip():
        return own, True
    name = "OTEL_EXPORTER_OTLP_HEADERS"
    return name, bool(setup.environ.get(name, "").strip())
