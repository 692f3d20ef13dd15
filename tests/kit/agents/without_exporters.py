# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""An environment where some exporters are not installed, or are and cannot be imported.

ABSENT names entry points to hide, BROKEN a module to refuse, each a list with commas.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys

_absent = set(os.environ.get("ABSENT", "").split(","))
_installed = importlib.metadata.entry_points


def _entry_points(**params: str) -> importlib.metadata.EntryPoints:
    return importlib.metadata.EntryPoints(
        point for point in _installed(**params) if point.name not in _absent
    )


importlib.metadata.entry_points = _entry_points
for module in filter(None, os.environ.get("BROKEN", "").split(",")):
    sys.modules[module] = None  # type: ignore[assignment]  # what import then calls not found

from callspan import instrument  # noqa: E402
from short_call import make_server, serve  # noqa: E402

instrument()

server = make_server()

if __name__ == "__main__":
    serve(server)
