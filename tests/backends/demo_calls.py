# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The demo's five calls, sent to a backend, and what its job processes say that they made.

The demo is run as it is, by its own function, in a process of its own: it sets up telemetry for a
whole process. It leaves its log of spans in a folder of ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from kit.paths import EXAMPLE
from offline.span_log import read_span_log

PROJECT: Final = "dental-receptionist"
"""Where Phoenix puts the calls: it is told so by an attribute of the resource."""

_SCRIPT: Final = """
import asyncio, pathlib, sys
import demo
sys.exit(0 if asyncio.run(demo.demo(pathlib.Path(sys.argv[1]))) else 1)
"""
_TIMEOUT_S: Final = 400
"""The calls take about 40 s, and the demo gives them five minutes."""


def make_calls(endpoint: str, folder: Path) -> list[tuple[str, str]]:
    """Have the demo's callers ring all at once, and wait until their calls are over.

    Args:
        endpoint: Where the worker and its jobs send their spans, by OTLP over HTTP.
        folder: An empty one for what the demo writes.

    Returns:
        Trace id and span id of each span made, in lower-case hex.

    Raises:
        AssertionError: If the demo failed; the message has what it printed.
    """
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "LIVEKIT_", "PYTEST_"))
    }
    log = folder / "demo.log"
    with log.open("w") as output:
        # into a file: a pipe would be held open by a job process that hangs
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(folder)],
            cwd=EXAMPLE,
            env={
                **environ,
                "OTEL_TRACES_EXPORTER": "otlp",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                "OTEL_RESOURCE_ATTRIBUTES": f"openinference.project.name={PROJECT}",
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_S,
            check=False,
        )
    assert done.returncode == 0, f"the demo ended with {done.returncode}:\n{log.read_text()}"
    return read_span_log(folder / "spans.txt")
