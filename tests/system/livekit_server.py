# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The real LiveKit server, built once from its own source and run on the loopback.

Dispatch, rooms, participants, WebRTC and DTMF are LiveKit's to define; a mock room would only
repeat what we believe about them.
"""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from typing import Final

from kit.go_program import GoProgram
from kit.logged_process import LoggedProcess

SERVER: Final = GoProgram(
    name="livekit-server",
    package="github.com/livekit/livekit-server/cmd/server",
    version="v1.13.5",
    variable="LIVEKIT_SERVER_BINARY",
)
"""What is run, built from its own source."""

_HOST: Final = "127.0.0.1"
_READY: Final = "starting LiveKit server"
"""Logged once the server's listener is bound; a connection made after it is never refused."""


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
