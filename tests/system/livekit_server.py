# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The real LiveKit server, built once from its own source and run on the loopback.

Dispatch, rooms, participants, WebRTC and DTMF are LiveKit's to define; a mock room would only
repeat what we believe about them.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from system.logged_process import LoggedProcess

MODULE: Final = "github.com/livekit/livekit-server"
"""The Go module that the server is built from."""

VERSION: Final = "v1.13.5"
"""The version of the module; a tag of its repository."""

BINARY_VARIABLE: Final = "LIVEKIT_SERVER_BINARY"
"""Names an executable to use instead of building one."""

_COMMAND: Final = "server"
"""What ``go install`` calls the program: the last part of its package's path."""
_HOST: Final = "127.0.0.1"
_READY: Final = "starting LiveKit server"
"""Logged once the server's listener is bound; a connection made after it is never refused."""


class ServerUnavailableError(Exception):
    """There is no LiveKit server to run; the message says why and what to do."""


def find_or_build() -> Path:
    """Return the server's executable, and build it into a cache directory if it is not there.

    Building takes minutes and the network the first time; the cache is outside of the tree and
    named after the version.

    Raises:
        ServerUnavailableError: If it can be neither found nor built.
    """
    if given := os.environ.get(BINARY_VARIABLE):
        if os.access(given, os.X_OK) and Path(given).is_file():
            return Path(given)
        raise ServerUnavailableError(
            f"{BINARY_VARIABLE}={given}: no executable file; name one, or unset the variable to "
            f"have {MODULE} {VERSION} built"
        )
    built = _cache_directory() / _COMMAND
    return built if built.is_file() else _build(built)


def _cache_directory() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "callspan" / f"bin-{VERSION}"


def _build(target: Path) -> Path:
    go = shutil.which("go")
    if go is None:
        raise ServerUnavailableError(
            f"no LiveKit server at {target}, and no Go to build one with: install Go "
            f"(https://go.dev/dl), or set {BINARY_VARIABLE} to a livekit-server executable"
        )
    package = f"{MODULE}/cmd/{_COMMAND}@{VERSION}"
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
            raise ServerUnavailableError(
                f"go install {package} failed ({done.returncode}); set {BINARY_VARIABLE} to a "
                f"livekit-server executable to do without. It said:\n{done.stderr[-2000:]}"
            )
        (Path(directory) / _COMMAND).replace(target)
    return target


class LiveKitServer(LoggedProcess):
    """A LiveKit server of this test run's own: no Redis, no TURN, nothing beyond the loopback.

    Args:
        binary: The server's executable.

    Attributes:
        url: What workers and participants connect to.
        api_key: The one key it knows.
        api_secret: That key's secret.
    """

    def __init__(self, binary: Path) -> None:
        http_port, udp_port = _free_port(socket.SOCK_STREAM), _free_port(socket.SOCK_DGRAM)
        self.url = f"ws://{_HOST}:{http_port}"
        self.api_key = "system-test"
        self.api_secret = secrets.token_hex(24)
        super().__init__(
            [str(binary), "--config-body", self._config(http_port, udp_port)],
            ready=_READY,
        )

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a worker finds this server by."""
        return {
            "LIVEKIT_URL": self.url,
            "LIVEKIT_API_KEY": self.api_key,
            "LIVEKIT_API_SECRET": self.api_secret,
        }

    def _config(self, http_port: int, udp_port: int) -> str:
        # WebRTC over UDP alone: the server's TCP listener for it would be on every interface
        return f"""
port: {http_port}
bind_addresses: ["{_HOST}"]
keys: {{{self.api_key}: {self.api_secret}}}
rtc:
  udp_port: {udp_port}
  tcp_port: 0
  node_ip: {_HOST}
  use_external_ip: false
  enable_loopback_candidate: true
  interfaces: {{includes: [lo, lo0]}}
"""


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
