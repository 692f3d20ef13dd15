# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Fragments in changelog.d/ can be put together, and a release finds its notes."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRAGMENTS = sorted(set((ROOT / "changelog.d").glob("*")) - {ROOT / "changelog.d" / "README.md"})
SHAPE = re.compile(r"[A-Z`][^\n]{0,129}(\n(?![-*#])[^\n]{1,130})*(?<=[.)])\n")
"""A paragraph: a capital, lines of at most 130 characters, a full stop."""

MARK = "<!-- changelog.d: make changelog puts the next release below this line -->\n"


def towncrier(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run towncrier in a folder, as make changelog does."""
    return subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--version", "9.9.9", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what towncrier reads and writes, without fragments."""
    for name in ("pyproject.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "changelog.d").mkdir()
    return tmp_path


def test_fragments_are_put_together() -> None:
    """Their names are such that towncrier knows the kind of each."""
    drafted = towncrier(ROOT, "--draft")
    assert drafted.returncode == 0, drafted.stderr


def test_each_fragment_is_a_paragraph() -> None:
    """See changelog.d/README.md."""
    assert [path.name for path in FRAGMENTS if not SHAPE.fullmatch(path.read_text())] == []


@pytest.mark.parametrize(
    ("text", "is_paragraph"),
    [
        ("`make check` takes 30 s.\n", True),
        ("The scrape is served\non another thread (in a worker).\n", True),
        ("", False),
        ("- The scrape is served.\n", False),
        ("The scrape is served.\n\n- On a thread.\n", False),
        ("The scrape is served\n", False),
        ("The scrape is served.", False),
        ("the scrape is served.\n", False),
        ("The scrape is served.\n\nIt is quick.\n", False),
        (f"The scrape is {'very ' * 25}quick.\n", False),
    ],
)
def test_what_is_a_paragraph(text: str, is_paragraph: bool) -> None:
    assert bool(SHAPE.fullmatch(text)) is is_paragraph


def test_a_fragment_of_no_kind_is_refused(copy: Path) -> None:
    """A file that would be left out of the changelog is named."""
    (copy / "changelog.d" / "42.bugfix.md").write_text("The scrape is served.\n")
    refused = towncrier(copy, "--draft")
    assert refused.returncode != 0
    assert "Invalid news fragment name: 42.bugfix.md" in refused.stderr


def test_a_release_stands_above_the_last_one(copy: Path) -> None:
    """In the form of the rest of the page; the fragments are gone."""
    (copy / "changelog.d" / "42.fixed.md").write_text("The scrape\nis served.\n")
    (copy / "changelog.d" / "+port.added.md").write_text("A port.\n")
    before = (copy / "CHANGELOG.md").read_text()
    built = towncrier(copy, "--yes", "--date", "2027-01-02")
    assert built.returncode == 0, built.stderr
    release = (
        "\n## [9.9.9] - 2027-01-02\n\n### Added\n\n- A port.\n\n"
        "### Fixed\n\n- The scrape\n  is served. (issue 42)\n\n"
    )
    assert (copy / "CHANGELOG.md").read_text() == before.replace(MARK, MARK + release)
    assert list((copy / "changelog.d").iterdir()) == []


# --- notes of a release --------------------------------------------------------------------------

release_notes = runpy.run_path(str(ROOT / ".ci" / "release_notes.py"))["release_notes"]
CHANGELOG = """# Changelog

## [1.1.0] - 2027-01-02

### Added

- A port.

## [1.0.0] - 2027-01-01

- All of it.
"""


def test_a_release_is_told_by_its_section() -> None:
    assert release_notes("v1.1.0", CHANGELOG, "1.1.0") == "### Added\n\n- A port."
    assert release_notes("v1.0.0", CHANGELOG, "1.0.0") == "- All of it."


@pytest.mark.parametrize(
    ("tag", "changelog", "version", "message"),
    [
        (
            "v1.1.0",
            CHANGELOG,
            "1.0.0",
            "the tag is v1.1.0, but src/callspan/version.py says '1.0.0'; write __version__ = "
            "'1.1.0' there, commit, and tag that commit",
        ),
        (
            "v1.2.0",
            CHANGELOG,
            "1.2.0",
            "CHANGELOG.md has no section [1.2.0]; run make changelog VERSION=1.2.0, commit, and "
            "tag that commit",
        ),
        (
            "v1.1.0",
            CHANGELOG.replace("## [1.0.0]", "## [Unreleased]"),
            "1.1.0",
            "CHANGELOG.md has a section [Unreleased]; move what it says to [1.1.0], commit, and "
            "tag that commit",
        ),
    ],
    ids=["another version", "no section", "unreleased"],
)
def test_a_tag_that_is_no_release_is_refused(
    tag: str, changelog: str, version: str, message: str
) -> None:
    with pytest.raises(ValueError, match="tag that commit") as refused:
        release_notes(tag, changelog, version)
    assert str(refused.value) == message


def test_this_commit_is_refused_for_a_tag_of_another_version() -> None:
    """As the workflow of a release runs it."""
    refused = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "release_notes.py"), "v999"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("the tag is v999, but src/callspan/version.py says ")
