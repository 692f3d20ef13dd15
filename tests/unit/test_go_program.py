# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What somebody reads who has neither a program that tests run nor Go."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.go_program import GoProgram, ProgramUnavailableError

VARIABLE = "THING_BINARY"
THING = GoProgram("thing", "example.org/things/cmd/thing", "v1.2.3", VARIABLE)


def test_a_given_binary_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variable wins over the cache."""
    binary = tmp_path / "thing"
    binary.touch(mode=0o755)
    monkeypatch.setenv(VARIABLE, str(binary))
    assert THING.find_or_build() == binary


def test_what_was_built_before_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is named after its version."""
    built = tmp_path / "callspan" / "bin-v1.2.3" / "thing"
    built.parent.mkdir(parents=True)
    built.touch(mode=0o755)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert THING.find_or_build() == built


def test_a_given_binary_that_is_none_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A typo in the variable is not answered by building something else."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nothing"))
    with pytest.raises(ProgramUnavailableError, match=f"{VARIABLE}=.*/nothing: no executable file"):
        THING.find_or_build()


@pytest.fixture
def without_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that has neither the program nor Go."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("without_go")
def test_without_go_the_remedies_are_named() -> None:
    """The message says what to install, and what to set instead."""
    with pytest.raises(ProgramUnavailableError, match=f"install Go .*{VARIABLE} to a thing exec"):
        THING.find_or_build()


@pytest.mark.usefixtures("without_go")
def test_a_user_skips_what_cannot_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="install Go"):
        THING.required()


@pytest.mark.usefixtures("without_go")
def test_ci_fails_on_what_cannot_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """There, nobody reads what was skipped."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="install Go"):
        THING.required()
