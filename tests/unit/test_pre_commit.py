# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What git runs before a commit is what ``make lint`` runs."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_hook_is_make_lint() -> None:
    """Hooks of other repositories have versions of their own, which drift from constraints.txt."""
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [
        (repository["repo"], hook["entry"], hook["language"], hook["pass_filenames"])
        for repository in configuration["repos"]
        for hook in repository["hooks"]
    ]
    assert hooks == [("local", "make lint", "system", False)]
    assert not any("rev" in repository for repository in configuration["repos"])
