# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Failures of this package as its users meet them: logged, and raised to nobody."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from callspan.diagnostics import guard
from callspan.diagnostics.log import LogOnce


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail as in production; the places of other tests are forgotten."""
    monkeypatch.setattr(guard, "_log_once", LogOnce())
    # not the variable itself: pytest sets it anew between the fixtures and the test
    monkeypatch.setattr(guard, "os", SimpleNamespace(environ={}))
