# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What agent.py is once it is imported: looked at in a process of its own, and never run.

A module does at import whatever it likes: its process is bounded in time and ended by force, and
what it prints is not shown.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

IMPORT_TIMEOUT_S: Final = 60.0
"""Seconds that the import of agent.py may take."""

_CHILD: Final = f"{__package__}.inspect_agent"


@dataclass(frozen=True, slots=True)
class Worker:
    """What importing agent.py showed.

    Attributes:
        path: Of agent.py.
        error: Why it cannot be imported; empty where it can.
        instrumented: Whether ``instrument()`` was called.
        uses_livekit: Whether livekit-agents was imported.
        content: What was passed as ``capture_content``.
        disabled_parts: What was passed as such.
        prices: What was passed as such.
        own_provider: Whether a TracerProvider was set or passed.
        own_answers: What the exporters of that provider were answered, each as the fields of an
            ``Answer``.
        own_meter_provider: Whether a MeterProvider was set.
        own_log_handler: Whether a log handler exports LiveKit's records.
        providers_set: Where global TracerProviders were set, as ``file:line``.
        providers_refused: Where that was refused, since there was one.
        multiprocess_dir: What ``prometheus_multiproc_dir`` was passed to AgentServer.
        setup_functions: The names of those that its servers run in each job process.
        models: What it is seen to use, as ``component:provider/model``.
        logged: Findings and remedies that this package logged meanwhile, warnings and worse.
        environ: Its variables afterwards; it may have loaded a file of them.
    """

    path: str
    error: str = ""
    instrumented: bool = False
    uses_livekit: bool = False
    content: bool | None = None
    disabled_parts: tuple[str, ...] = ()
    prices: Mapping[str, Any] | None = None
    own_provider: bool = False
    own_answers: tuple[Mapping[str, Any], ...] = ()
    own_meter_provider: bool = False
    own_log_handler: bool = False
    providers_set: tuple[str, ...] = ()
    providers_refused: tuple[str, ...] = ()
    multiprocess_dir: str = ""
    setup_functions: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    logged: tuple[tuple[str, str], ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def to_json(self) -> str:
        """Return it as text that ``from_json`` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Worker:
        """Read what ``to_json`` wrote."""
        content = json.loads(text)
        for one in fields(cls):
            if isinstance(content[one.name], list):
                content[one.name] = tuple(content[one.name])
        return cls(**content)


def import_worker(
    path: Path, timeout_s: float = IMPORT_TIMEOUT_S, *, answer_timeout_s: float = 5.0
) -> Worker:
    """Import agent.py as a job process would, and return what that showed.

    Args:
        path: Of agent.py.
        timeout_s: Seconds that it may take.
        answer_timeout_s: Seconds of it to wait for the exporters of a provider that it set.
    """
    with tempfile.TemporaryDirectory() as directory:
        answer = Path(directory) / "worker.json"
        process = subprocess.Popen(  # noqa: S603  our own module, with this Python
            [sys.executable, "-m", _CHILD, str(path), str(answer), str(answer_timeout_s)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return Worker(str(path), error=f"its import is not done after {timeout_s:g} s")
        finally:
            _end(process)
        if not answer.exists():
            return Worker(str(path), error=f"its import ended Python with {process.returncode}")
        return Worker.from_json(answer.read_text("utf-8"))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
