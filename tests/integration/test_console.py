# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Console mode: a call in the developer's own terminal, in one process with its worker."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from kit.paths import AGENTS
from kit.workers import assert_whole
from offline.receiver import OtlpReceiver

_AGENT = AGENTS / "instrument_at_import.py"


def test_a_call_at_the_console_is_a_whole_trace_of_its_kind() -> None:
    """It arrives whole while the console goes on, and is not taken for production.

    The socket stands for LiveKit's command line, whose terminal the console talks to.
    """
    with OtlpReceiver() as receiver, socket.create_server(("127.0.0.1", 0)) as terminal:
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OTEL_", "LIVEKIT_", "PYTEST_"))
        }
        command = [sys.executable, "-m", "livekit.agents", "console", str(_AGENT)]
        process = subprocess.Popen(
            [*command, "--connect-addr", f"127.0.0.1:{terminal.getsockname()[1]}"],
            env={
                **environ,
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
                "OTEL_METRICS_EXPORTER": "none",
            },
            start_new_session=True,
        )
        try:
            assert receiver.wait_for(
                lambda _: any(span.name == "job_entrypoint" for span in receiver.spans), 60
            )
        finally:
            process.kill()
            process.wait()
        assert_whole(receiver.spans)
        assert {span.attributes["agent.call.kind"] for span in receiver.spans} == {"console"}
