# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What we rely on in OpenTelemetry beyond its documented surface."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider

_PROBE = """
import os
from opentelemetry import trace
provider = trace.get_tracer_provider()
print("telemetry.auto.version" in provider.resource.attributes)
print(os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL"))
import psutil
print("OTEL_EXPORTER_OTLP_PROTOCOL" in psutil.Process().environ())
"""


def test_the_wrapper_marks_the_provider_that_it_configures() -> None:
    """That is how a provider of the command is told from one that the user brought.

    And it fills in a protocol, which is not in the environment that the process was started
    with: that is how its default is told from the user's word.
    """
    environ = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    command = Path(sys.executable).parent / "opentelemetry-instrument"
    done = subprocess.run(
        [command, sys.executable, "-c", _PROBE],
        env={**environ, "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["True", "grpc", "False"]


def test_a_provider_made_by_hand_has_no_such_mark() -> None:
    """A user's own provider is not taken for the command's."""
    provider = TracerProvider(shutdown_on_exit=False)
    assert "telemetry.auto.version" not in provider.resource.attributes


def test_processors_of_a_provider_can_be_listed() -> None:
    """A provider set in mid-call is handed open spans through these."""
    provider = TracerProvider(shutdown_on_exit=False)
    assert provider._active_span_processor._span_processors == ()
