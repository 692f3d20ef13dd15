# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a process that never imports livekit pays for this package under the wrapper command.

Runs ``opentelemetry-instrument python -c pass`` with the instrumentation on and switched off, in
turns, and prints medians, their difference and their ratio. The switched-off run still loads the
command, the SDK and the distro: the difference is ours alone.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 15


def _run(**variables: str) -> float:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    environ |= {
        f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")
    } | variables
    command = [
        Path(sys.executable).parent / "opentelemetry-instrument",
        sys.executable,
        "-c",
        "pass",
    ]
    start = time.perf_counter()
    subprocess.run(command, env=environ, check=True)
    return (time.perf_counter() - start) * 1000


def main() -> None:
    """Measure and print."""
    on, off = [], []
    for _ in range(ROUNDS):
        off.append(_run(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="livekit_agents"))
        on.append(_run())
    with_us, without = statistics.median(on), statistics.median(off)
    pairs = statistics.median(a - b for a, b in zip(on, off, strict=True))
    print(f"process without livekit under opentelemetry-instrument, median of {ROUNDS}:")
    print(f"  switched off {without:7.1f} ms")
    print(f"  switched on  {with_us:7.1f} ms, ratio {with_us / without:.3f}")
    print(f"  difference within a pair, median {pairs:.1f} ms")


if __name__ == "__main__":
    main()
