# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Prints what CHANGELOG.md says of a release, for the tag that is given, such as v1.2.3.

Refuses a tag whose commit is not that release.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def release_notes(tag: str, changelog: str, package_version: str) -> str:
    """Return the section of a release, without its heading.

    Args:
        tag: The release's, such as ``v1.2.3``.
        changelog: What CHANGELOG.md says.
        package_version: What version.py says.

    Raises:
        ValueError: The tagged commit is not the release; the message says what to do.
    """
    version = tag.removeprefix("v")
    if version != package_version:
        raise ValueError(
            f"the tag is {tag}, but src/callspan/version.py says {package_version!r}; write "
            f"__version__ = {version!r} there, commit, and tag that commit"
        )
    sections = re.split(r"^## \[([^]]+)\].*\n", changelog, flags=re.MULTILINE)
    notes = dict(zip(sections[1::2], sections[2::2], strict=True))
    if "Unreleased" in notes:
        raise ValueError(
            f"CHANGELOG.md has a section [Unreleased]; move what it says to [{version}], commit, "
            "and tag that commit"
        )
    if version not in notes:
        raise ValueError(
            f"CHANGELOG.md has no section [{version}]; run make changelog VERSION={version}, "
            "commit, and tag that commit"
        )
    return notes[version].strip()


def _main() -> None:
    version = re.search(r'"(.+)"$', (_ROOT / "src/callspan/version.py").read_text().strip())
    assert version is not None
    try:
        changelog = (_ROOT / "CHANGELOG.md").read_text()
        sys.stdout.write(f"{release_notes(sys.argv[1], changelog, version[1])}\n")
    except ValueError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    _main()
