# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Programs that tests run and that are built from their own source, once, with Go."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest


class ProgramUnavailableError(Exception):
    """There is no such program to run; the message says why and what to do."""


@dataclass(frozen=True)
class GoProgram:
    """A program as a Go module has it.

    Attributes:
        name: What it is called in messages.
        package: What ``go install`` builds.
        version: Of the package's module; a tag of its repository.
        variable: Names an executable to use instead of building one.
    """

    name: str
    package: str
    version: str
    variable: str

    def find_or_build(self) -> Path:
        """Return the executable, and build it into a cache directory if it is not there.

        Building takes minutes and the network the first time; the cache is outside of the tree and
        named after the version.

        Raises:
            ProgramUnavailableError: If it can be neither found nor built.
        """
        if given := os.environ.get(self.variable):
            if os.access(given, os.X_OK) and Path(given).is_file():
                return Path(given)
            raise ProgramUnavailableError(
                f"{self.variable}={given}: no executable file; name one, or unset the variable to "
                f"have {self.package} {self.version} built"
            )
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        built = Path(cache) / "callspan" / f"bin-{self.version}" / self.package.rsplit("/", 1)[1]
        return built if built.is_file() else self._build(built)

    def required(self) -> Path:
        """Return the executable for a test.

        Where none can be had, a user's run skips and a run under CI fails: there, a skip would hide
        that nothing was tested.
        """
        try:
            return self.find_or_build()
        except ProgramUnavailableError as problem:
            if os.environ.get("CI"):
                pytest.fail(str(problem), pytrace=False)
            pytest.skip(str(problem))

    def _build(self, target: Path) -> Path:
        go = shutil.which("go")
        if go is None:
            raise ProgramUnavailableError(
                f"no {self.name} at {target}, and no Go to build one with: install Go "
                f"(https://go.dev/dl), or set {self.variable} to a {self.name} executable"
            )
        package = f"{self.package}@{self.version}"
        target.parent.mkdir(parents=True, exist_ok=True)
        # beside the target, then renamed: two test runs may build at once
        with tempfile.TemporaryDirectory(dir=target.parent) as directory:
            done = subprocess.run(
                [go, "install", package],
                env={**os.environ, "GOBIN": directory},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise ProgramUnavailableError(
                    f"go install {package} failed ({done.returncode}); set {self.variable} to a "
                    f"{self.name} executable to do without. It said:\n{done.stderr[-2000:]}"
                )
            (Path(directory) / target.name).replace(target)
        return target
