# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What CONTRIBUTING.md names is there: files, make's targets, what a recipe looks for in a file."""

from __future__ import annotations

import re

import pytest

from kit.docs import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
RECIPES = PAGE[PAGE.index("## Recipes") : PAGE.index("## A release")]
STEPS = re.findall(r"^\d+\. (.*(?:\n   .*)*)", RECIPES, re.MULTILINE)


def paths_in(text: str) -> list[str]:
    """Return the paths between backticks: what has a folder, or is a file at the root."""
    quoted = re.findall(r"`([^`\s]+)`", text)
    return [name for name in quoted if "/" in name or re.fullmatch(r"[\w-]+\.(txt|md|toml)", name)]


def test_files_that_are_named_exist() -> None:
    text = re.sub(r"<!-- generated.*?<!-- end -->", "", PAGE, flags=re.DOTALL)
    paths = paths_in(text)
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_targets_that_are_named_exist() -> None:
    quoted = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", PAGE)
    named = {name for text in quoted for name in re.findall(r"^make ([a-z-]+)", text)}
    assert {"check", "docs", "changelog"} <= named <= TARGETS


@pytest.mark.parametrize("step", STEPS)
def test_what_a_step_names_is_in_its_file(step: str) -> None:
    """A recipe that names what has another name now leads nowhere."""
    paths = paths_in(step)
    files = [(ROOT / path).read_text() for path in paths if (ROOT / path).is_file()]
    names = re.findall(r"`(\w+)(?:\(|`)", step)
    assert paths or step.startswith("`make ")
    assert [name for name in names if files and not any(name in text for text in files)] == []


def test_the_recipes_are_short() -> None:
    """Ten steps at most."""
    recipes = RECIPES.split("\n### ")[1:]
    assert recipes
    assert max(len(re.findall(r"^\d+\. ", recipe, re.MULTILINE)) for recipe in recipes) <= 10
