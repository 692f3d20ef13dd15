# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Writes each dashboard as the JSON that Grafana imports.

The JSON is committed, so that nobody needs this to use it; a test sees to it that both agree.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dashboards import business, cost, tools, voice, workers
from grafana_foundation_sdk.cog.encoder import JSONEncoder

_HERE = Path(__file__).parent / "json"


def main() -> int:
    """Write the dashboards to the folder that is named, by default to ``json``."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _HERE
    folder.mkdir(parents=True, exist_ok=True)
    for module in (business, voice, tools, cost, workers):
        name = module.__name__.rpartition(".")[2]
        built = json.dumps(module.build().build(), cls=JSONEncoder, indent=2, sort_keys=True)
        (folder / f"{name}.json").write_text(f"{built}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
