# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the worker runs in a job process before anything of the package or of LiveKit's does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from multiprocessing import util
from pathlib import Path
from typing import Any

from faults import points

RECORD = "record"
"""Given in place of a point: the functions that run are noted instead."""

_folder = Path()
_number = 0


def main(
    number: int, point: str, folder: str, target: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    """Arm a point in this process, and run what it was started for.

    Args:
        number: Of the call; names its files.
        point: What is to raise; empty for nothing.
        folder: Where the process writes what became of its call.
        target: What the process was to run.
        args: The arguments of that.
    """
    global _folder, _number
    _folder, _number = Path(folder), number
    if point == RECORD:
        recorder = points.Recorder()
        # after the exit handlers of everybody else, which is where the last of ours run
        util.Finalize(None, lambda: write("points", recorder.stop()), exitpriority=-100)
    elif point:
        points.arm(point)
    target(*args)


def write(what: str, content: object) -> None:
    """Write something of this process's call down, all of it or nothing."""
    path = _folder / f"{_number}.{what}"
    path.with_suffix(f".{os.getpid()}").write_text(json.dumps(content))
    path.with_suffix(f".{os.getpid()}").rename(path)
