# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``callspan``: each subcommand is a module with ``add_to``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from . import cost, doctor


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        argv: What follows the command's name; that of the process by default.

    Returns:
        The process's exit status: 0 for done, 1 for an answer that asks for something to be done.

    Raises:
        SystemExit: The arguments are not understood (2), or help was asked for (0).
    """
    parser = argparse.ArgumentParser(
        prog="callspan", description="Look into the telemetry of LiveKit agents."
    )
    subparsers = parser.add_subparsers(required=True, metavar="command")
    cost.add_to(subparsers)
    doctor.add_to(subparsers)
    arguments = parser.parse_args(argv)
    status: int = arguments.run(arguments)
    return status
