# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What somebody reads who has no LiveKit server and no Go."""

from __future__ import annotations

from pathlib import Path

import pytest

from system.livekit_server import BINARY_VARIABLE, ServerUnavailableError, find_or_build


def test_a_given_binary_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variable wins over the cache."""
    binary = tmp_path / "livekit-server"
    binary.touch(mode=0o755)
    monkeypatch.setenv(BINARY_VARIABLE, str(binary))
    assert find_or_build() == binary


def test_a_given_binary_that_is_none_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A typo in the variable is not answered by building something else."""
    monkeypatch.setenv(BINARY_VARIABLE, str(tmp_path / "nothing"))
    with pytest.raises(ServerUnavailableError, match=f"{BINARY_VARIABLE}=.*/nothing: no exec"):
        find_or_build()


def test_without_go_the_remedies_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The message says what to install, and what to set instead."""
    monkeypatch.delenv(BINARY_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerUnavailableError, match=f"install Go .*{BINARY_VARIABLE}"):
        find_or_build()
