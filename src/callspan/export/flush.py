# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""One bounded flush: every target on a daemon thread of its own, one deadline for all.

The SDK's ``force_flush`` ignores its timeout, so a thread that hangs is left behind; being a
daemon, it ends with the process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from ..diagnostics.log import logger


class Flush:
    """A flush that is under way.

    Args:
        targets: (name, blocking call) pairs; started at once, in parallel. A call that returns
            False has given up.
        timeout_s: Seconds from now that anybody may wait for it.
    """

    def __init__(
        self, targets: Sequence[tuple[str, Callable[[], object]]], timeout_s: float
    ) -> None:
        self._deadline = time.monotonic() + timeout_s
        self._lock = threading.Lock()
        self._unfinished = {name for name, _ in targets}
        self._running = len(targets)
        self.done: Future[None] = Future()
        """Completes when the last target has; awaited through ``asyncio.wrap_future``."""
        if not targets:
            self.done.set_result(None)
        for name, call in targets:
            threading.Thread(
                target=self._run,
                args=(name, call),
                name=f"callspan-flush-{name}",
                daemon=True,
            ).start()

    @property
    def remaining_s(self) -> float:
        """Seconds left until the deadline; 0 after it."""
        return max(0.0, self._deadline - time.monotonic())

    @property
    def unfinished(self) -> frozenset[str]:
        """Names of the targets that have not answered, or have given up themselves."""
        with self._lock:
            return frozenset(self._unfinished)

    def wait(self) -> None:
        """Block until all targets have answered or the deadline has passed."""
        try:
            self.done.result(timeout=self.remaining_s)
        except TimeoutError:
            return

    def _run(self, name: str, call: Callable[[], object]) -> None:
        given_up = False
        try:
            given_up = call() is False
        except Exception:
            logger.exception("flushing %s failed", name)
        finally:
            with self._lock:
                if not given_up:
                    self._unfinished.discard(name)
                self._running -= 1
                last = not self._running
            if last:
                self.done.set_result(None)
