# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The workflow files as actionlint reads them: their keys, their expressions, their contexts."""

from __future__ import annotations

import subprocess
from pathlib import Path

from kit.go_program import GoProgram

WORKFLOWS = Path(__file__).parents[2] / ".github" / "workflows"
ACTIONLINT = GoProgram(
    name="actionlint",
    package="github.com/rhysd/actionlint/cmd/actionlint",
    version="v1.7.12",
    variable="ACTIONLINT_BINARY",
)


def actionlint(*workflows: Path) -> str:
    """Return what actionlint has against workflow files; empty for nothing.

    The linters of other languages that it calls where they are installed are left out: what one
    machine says, another would not.
    """
    done = subprocess.run(
        [
            str(ACTIONLINT.required()),
            "-shellcheck=",
            "-pyflakes=",
            "-oneline",
            *map(str, workflows),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_the_workflows_are_valid() -> None:
    workflows = sorted(WORKFLOWS.glob("*.yml"))
    assert [path.name for path in workflows] == ["ci.yml", "release.yml"]
    assert actionlint(*workflows) == ""


def test_a_fault_is_seen(tmp_path: Path) -> None:
    """Planted in a copy: a name that is nowhere defined."""
    text = (WORKFLOWS / "ci.yml").read_text()
    assert "matrix.python }}" in text
    copy = tmp_path / "ci.yml"
    copy.write_text(text.replace("matrix.python }}", "matrix.pythn }}"))
    assert 'property "pythn" is not defined' in actionlint(copy)
