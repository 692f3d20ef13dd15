# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Finds an OpenTelemetry Collector for the files beside this one, or builds it; prints its path.

The official builder makes one from pinned Go modules (builder.yaml) with the components that the
files use, once, into a cache outside of the tree: some minutes and a gigabyte of Go's own caches
the first time. An installed otelcol-contrib does as well. Needs nothing but Python and Go.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

BINARY_VARIABLE: Final = "OTELCOL_BINARY"
"""Names an executable to use instead of one that is installed or built."""

MANIFEST: Final = Path(__file__).with_name("builder.yaml")
"""What the Collector is built from."""

_BUILDER: Final = "go.opentelemetry.io/collector/cmd/builder"
_SHOWN_CHARACTERS: Final = 2000


class CollectorUnavailableError(Exception):
    """There is no Collector to run; the message says why and what to do."""


def version() -> str:
    """Return the version in the manifest, which is also the builder's."""
    found = re.search(r"^  version: (\S+)$", MANIFEST.read_text(), re.MULTILINE)
    if found is None:
        raise CollectorUnavailableError(
            f"{MANIFEST.name} has no line '  version: 0.161.0' or alike"
        )
    return found[1]


def find_or_build() -> Path:
    """Return a Collector's executable: the one that is named, built before, installed, or built.

    Raises:
        CollectorUnavailableError: If it can be neither found nor built.
    """
    if given := os.environ.get(BINARY_VARIABLE):
        if os.access(given, os.X_OK) and Path(given).is_file():
            return Path(given)
        raise CollectorUnavailableError(
            f"{BINARY_VARIABLE}={given}: no executable file; name one, or unset the variable to "
            f"have version {version()} built"
        )
    built = _cache_directory() / "otelcol"
    if _is_of_this_manifest(built):
        return built
    if installed := shutil.which("otelcol-contrib"):
        return Path(installed)
    return _build(built)


def _cache_directory() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "callspan" / f"collector-{version()}"


def _is_of_this_manifest(built: Path) -> bool:
    kept = built.with_name(MANIFEST.name)
    return built.is_file() and kept.is_file() and kept.read_text() == MANIFEST.read_text()


def _build(target: Path) -> Path:
    go = shutil.which("go")
    if go is None:
        raise CollectorUnavailableError(
            f"no Collector of this version at {target}, no otelcol-contrib on the PATH, and no Go "
            "to build one with: install Go (https://go.dev/dl) or otelcol-contrib, or set "
            f"{BINARY_VARIABLE} to a Collector's executable"
        )
    sys.stderr.write(f"building the Collector {version()}, some minutes the first time\n")
    target.parent.mkdir(parents=True, exist_ok=True)
    # beside the target, then renamed: two test runs may build at once
    with tempfile.TemporaryDirectory(dir=target.parent) as directory:
        work = Path(directory)
        manifest = work / "manifest.yaml"
        manifest.write_text(
            MANIFEST.read_text().replace("dist:\n", f"dist:\n  output_path: {work / 'source'}\n", 1)
        )
        _run([go, "install", f"{_BUILDER}@v{version()}"], {"GOBIN": directory})
        _run([str(work / "builder"), "--config", str(manifest)], {})
        (work / "source" / "otelcol").replace(target)
    target.with_name(MANIFEST.name).write_text(MANIFEST.read_text())
    return target


def _run(command: list[str], variables: dict[str, str]) -> None:
    done = subprocess.run(  # noqa: S603
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CollectorUnavailableError(
            f"{' '.join(command)} ended with {done.returncode}; install otelcol-contrib or set "
            f"{BINARY_VARIABLE} to do without. It said:\n{done.stderr[-_SHOWN_CHARACTERS:]}"
        )


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{find_or_build()}\n")
    except CollectorUnavailableError as problem:
        sys.exit(str(problem))
