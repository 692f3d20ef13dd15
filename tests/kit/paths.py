# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Where things lie, and what a worker under test can import."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TESTS: Final = ROOT / "tests"
AGENTS: Final = Path(__file__).parent / "agents"
"""The agents under test, each named for the behaviour it shows."""
EXAMPLE: Final = ROOT / "examples" / "dental_receptionist"
PYTHONPATH: Final = os.pathsep.join(str(folder) for folder in (TESTS, EXAMPLE))
"""So that a process of its own finds this kit, and the example's stand-ins."""
