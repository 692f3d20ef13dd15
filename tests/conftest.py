# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What holds for all tests, and what they are given."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from kit.memory import SpanMemory

# how fast examples are made says how busy the machine is, and nothing of the code under test
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture
def span_memory() -> SpanMemory:
    """A tracer provider of the SDK, and the spans that have ended in it."""
    return SpanMemory()
