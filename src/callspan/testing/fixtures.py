# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The pytest fixture ``call_recorder``.

In the topmost conftest.py of a project's tests::

    pytest_plugins = ["callspan.testing.fixtures"]

It is no entry point of pytest's: pytest would import callspan and the OpenTelemetry SDK in every
run of every project that has them installed, whether it tests calls or not.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .recorder import CallRecorder, record_calls


@pytest.fixture
def call_recorder() -> Iterator[CallRecorder]:
    """Record the calls of a test; look at them once their sessions are closed."""
    with record_calls() as recorder:
        yield recorder
