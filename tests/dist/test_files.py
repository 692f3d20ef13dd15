# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What is in the sdist and in the wheel, and what is not; ``make dist`` builds them first."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "callspan"


def only(pattern: str) -> Path:
    """Return the one file in dist/ of a pattern."""
    matching = sorted((ROOT / "dist").glob(pattern))
    assert len(matching) == 1, f"dist/ has {len(matching)} files {pattern}; run make dist"
    return matching[0]


@pytest.fixture(scope="module")
def wheel() -> dict[str, bytes]:
    """The files of the wheel; it was built from the sdist, not from the tree."""
    with zipfile.ZipFile(only("*.whl")) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def sdist() -> dict[str, bytes]:
    """The files of the sdist, by their paths below its one folder."""
    files = {}
    with tarfile.open(only("*.tar.gz")) as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None, f"{member.name} is no file"
            files[member.name.split("/", 1)[1]] = content.read()
    return files


def test_the_wheel_is_the_package(wheel: dict[str, bytes]) -> None:
    """Each file as it is in the tree, and nothing else: no tests, no caches."""
    in_tree = {
        f"callspan/{path.relative_to(PACKAGE)}": path.read_bytes()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    in_wheel = {name: content for name, content in wheel.items() if ".dist-info/" not in name}
    assert in_wheel.keys() == in_tree.keys()
    assert [name for name in in_tree if in_wheel[name] != in_tree[name]] == []


@pytest.mark.parametrize("name", ["py.typed", "pricing/speech_prices.json"])
def test_what_is_no_module_is_in_the_wheel(wheel: dict[str, bytes], name: str) -> None:
    """What type checkers look for, and what is read when the package runs."""
    assert f"callspan/{name}" in wheel


def test_the_licence_is_in_the_wheel(wheel: dict[str, bytes]) -> None:
    """Apache-2.0 asks for it; readers of the metadata find it by its field."""
    [info] = {name.split("/")[0] for name in wheel if ".dist-info/" in name}
    assert wheel[f"{info}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    metadata = wheel[f"{info}/METADATA"].decode()
    assert "License-Expression: Apache-2.0\nLicense-File: LICENSE\n" in metadata


def test_the_sdist_is_the_repository(sdist: dict[str, bytes]) -> None:
    """Whoever packages this again has the tests, and the pages and files that they read."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = {line for line in listed.stdout.splitlines() if (ROOT / line).exists()}
    assert sdist.keys() - {"PKG-INFO"} == files


def test_no_path_of_the_machine_that_built_it(
    wheel: dict[str, bytes], sdist: dict[str, bytes]
) -> None:
    """Neither where the repository lies nor where its environment does."""
    paths = [str(path).encode() for path in (ROOT, sys.prefix)]
    naming = [
        name
        for files in (wheel, sdist)
        for name, content in files.items()
        if any(path in content for path in paths)
    ]
    assert naming == []
