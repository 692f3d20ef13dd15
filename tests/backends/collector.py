# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A real OpenTelemetry Collector run with the files that we ship.

What a configuration means is the Collector's to say; only addresses are put in by a test, as one
more configuration after the shipped ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from kit.logged_process import LoggedProcess
from kit.scrape import free_port

CONFIG: Final = Path(__file__).parents[2] / "collector-config"
"""Where the shipped files are."""

AGENT: Final = ("agent.yaml", "content-removal.yaml")
"""What the Collector on a node is started with."""

DESTINATIONS: Final = (
    "to-langfuse.yaml",
    "to-grafana-cloud.yaml",
    "to-prometheus.yaml",
    "to-prometheus-remote-write.yaml",
)
"""What the gateway can be started with, each for itself or several at once."""

_READY: Final = "Everything is ready. Begin running and processing data."
_BUILD_TIMEOUT_S: Final = 1800
_HOST: Final = "127.0.0.1"


class CollectorUnavailableError(Exception):
    """There is no Collector to run; the message says why and what to do."""


def find_or_build(variables: Mapping[str, str] | None = None) -> Path:
    """Return a Collector's executable, as ``make collector`` does.

    Args:
        variables: The whole environment to look in; the default is this process's.

    Raises:
        CollectorUnavailableError: If it can be neither found nor built.
    """
    done = subprocess.run(
        [sys.executable, str(CONFIG / "build.py")],
        env=None if variables is None else dict(variables),
        capture_output=True,
        text=True,
        timeout=_BUILD_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise CollectorUnavailableError(done.stderr)
    return Path(done.stdout.strip())


def required() -> Path:
    """Return a Collector's executable for a test.

    Where none can be had, a user's run skips and a run under CI fails: there, a skip would hide
    that nothing was tested.
    """
    try:
        return find_or_build()
    except CollectorUnavailableError as problem:
        if os.environ.get("CI"):
            pytest.fail(str(problem), pytrace=False)
        pytest.skip(str(problem))


def validate(binary: Path, files: tuple[str, ...], variables: Mapping[str, str]) -> str:
    """Return what ``otelcol validate`` has against some of the shipped files; empty for nothing."""
    done = subprocess.run(
        [str(binary), "validate", *_arguments(files)],
        env=dict(variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    return said if said or done.returncode == 0 else f"ended with {done.returncode}"


class Collector(LoggedProcess):
    """A Collector on free ports of the loopback.

    Args:
        binary: Its executable.
        files: The shipped files to start it with, in order.
        directory: Where its queues are.
        variables: Those that the files name.
        overrides: What to put in place of the files' addresses, beside those that are set here.

    Attributes:
        http_port: Where it takes OTLP over HTTP.
        grpc_port: Where it takes OTLP over gRPC.
    """

    def __init__(
        self,
        binary: Path,
        files: tuple[str, ...],
        directory: Path,
        variables: Mapping[str, str],
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        self.http_port, self.grpc_port = free_port(), free_port()
        addresses = {
            "extensions": {"health_check": {"endpoint": f"{_HOST}:{free_port()}"}},
            "receivers": {"otlp": {"protocols": self._protocols(files)}},
            # each Collector serves its own metrics on one port by default
            "service": {"telemetry": {"metrics": {"level": "none", "readers": []}}},
            **(overrides or {}),
        }
        super().__init__(
            [str(binary), *_arguments(files), "--config", f"yaml:{json.dumps(addresses)}"],
            ready=_READY,
            env={"STORAGE_DIRECTORY": str(directory), **variables},
        )

    def _protocols(self, files: tuple[str, ...]) -> dict[str, Any]:
        grpc = {"grpc": {"endpoint": f"{_HOST}:{self.grpc_port}"}}
        if "agent.yaml" not in files:
            return grpc
        return {**grpc, "http": {"endpoint": f"{_HOST}:{self.http_port}"}}


def _arguments(files: tuple[str, ...]) -> list[str]:
    return [argument for name in files for argument in ("--config", str(CONFIG / name))]
