# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The README's pictures of dashboards: real calls, real queries, drawn by dashboard_svg.

Run as a program it has callers ring for about two minutes, and writes the pictures to the folder
it is given.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from backends.dashboard_calls import Filled, filled_prometheus
from backends.dashboard_svg import Drawn, draw
from backends.grafana import Dashboard, View
from kit.prometheus import PrometheusUnavailableError, find

PICTURED: Final = ("business", "voice")

OLD_CALLS: Final = ("call-books-1", "call-asks-1", "call-tool-fails-1", "call-hangs-up-1")
NEW_CALLS: Final = ("call-books-2", "call-asks-2", "call-interrupts-2", "call-books-3")


def caption(calls: int, at: float) -> str:
    """Return what stands below a picture."""
    day = f"{datetime.fromtimestamp(at, UTC):%d %B %Y}"
    return (
        f"Drawn from real query results by a small renderer, not by Grafana: {calls} calls of the "
        f"demo's callers on two workers, in a real Prometheus, {day}."
    )


def picture(name: str, filled: Filled, view: View, calls: int) -> str:
    """Return a dashboard as SVG.

    Args:
        name: Of the dashboard.
        filled: Where its queries are evaluated.
        view: What is chosen above it.
        calls: How many there were.
    """
    dashboard = Dashboard(name)
    drawn = []
    for panel in dashboard.panels:
        targets = dashboard.targets(panel)
        drawn.append(
            Drawn(
                panel,
                dashboard.filled(panel["title"], targets[0], view),
                [
                    line
                    for target in targets
                    for line in dashboard.evaluate(filled.prometheus, target, view)
                ],
                [
                    (exemplar.at, exemplar.value)
                    for target in targets[:1]
                    if target.exemplar
                    for exemplar in dashboard.exemplars(filled.prometheus, target, view)
                ],
            )
        )
    rows = [panel for panel in dashboard.json["panels"] if panel["type"] == "row"]
    return draw(drawn, rows, view, caption(calls, view.end))


def main() -> int:
    """Write the pictures, and return the exit status."""
    if len(sys.argv) != 2:
        print("name the folder to write to: python -m backends.dashboard_pictures docs")
        return 2
    try:
        programs = find()
    except PrometheusUnavailableError as problem:
        print(f"no picture was drawn: {problem}", file=sys.stderr)
        return 2
    with (
        tempfile.TemporaryDirectory(prefix="prometheus-") as folder,
        filled_prometheus(programs, Path(folder), OLD_CALLS, NEW_CALLS) as filled,
    ):
        # a minute or two is looked at, through a window that fits
        view = View(filled.start, filled.end, {"window": "1m"})
        for name in PICTURED:
            drawn = picture(name, filled, view, len(OLD_CALLS) + len(NEW_CALLS))
            path = Path(sys.argv[1]) / f"dashboard-{name}.svg"
            path.write_text(drawn)
            print(f"{path}: {len(drawn) / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
