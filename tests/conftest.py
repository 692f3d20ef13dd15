# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# how fast examples are made says how busy the machine is, and nothing of the code under test
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
