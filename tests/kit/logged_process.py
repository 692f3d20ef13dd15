# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A child process that says in its log when it is ready, so that no test sleeps and hopes."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

_SHOWN_LINES = 40


class LoggedProcess:
    """Runs a command and keeps what it prints.

    Args:
        command: The program and its arguments.
        ready: A text of the line that the command prints when it is ready.
        env: Variables to add to, or replace in, those of this process.
    """

    def __init__(
        self, command: Sequence[str], *, ready: str, env: Mapping[str, str] | None = None
    ) -> None:
        self._command = command
        self._ready = ready
        self._env = {**os.environ, **(env or {})}
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._ended = False

    @property
    def log(self) -> str:
        """Everything printed so far, to standard output and standard error."""
        with self._changed:
            return "".join(self._lines)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, name="logged-process", daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop(timeout_s=5)

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait for the line that says so.

        Raises:
            RuntimeError: If it does not come in this many seconds, or the process ends first.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._is_ready(), timeout_s)
            if not self._is_ready():
                what = "ended without printing" if self._ended else "did not print"
                raise RuntimeError(
                    f"{self._command[0]} {what} {self._ready!r} within {timeout_s:g} s; "
                    "the end of its log:\n" + "".join(self._lines[-_SHOWN_LINES:])
                )

    def stop(self, *, timeout_s: float) -> int:
        """Ask the process to end, and make it, then read the rest of what it printed.

        Args:
            timeout_s: Seconds until it is killed.

        Returns:
            Its exit code; negative, the signal that ended it. The same again if it had ended.
        """
        assert self._process is not None
        assert self._reader is not None
        self._process.terminate()
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        # a grandchild that outlives it could hold the pipe open for ever
        self._reader.join(timeout=5)
        return code

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _is_ready(self) -> bool:
        return any(self._ready in line for line in self._lines)
