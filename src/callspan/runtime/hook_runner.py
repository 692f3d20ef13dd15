# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls data hooks: beside the call, in the order of what happened.

Sync ones run on a thread, async ones as tasks of the job's loop; a call never waits for one while
it goes on, and no longer at its end than for the rest of its telemetry.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
from collections import deque
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

from ..business.hooks import Hook, hooks_of, name_of
from ..call.summary import CallSummary
from ..diagnostics.log import LogOnce

_log_once: Final = LogOnce()


class _Waiting(NamedTuple):
    record: object
    context: contextvars.Context


class CallHooks:
    """Calls the hooks of one call; made on the loop of its job.

    Records wait for each other, so that hooks see a call in order. A hook that does not return
    in time is left behind and not called again in this call: it holds the others up once.

    Args:
        timeout_s: Seconds that a hook may take with one record.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Waiting] = deque()
        self._emitted = False
        self._worker: asyncio.Task[None] | None = None
        self._running: dict[asyncio.Task[None], Hook] = {}
        self._left_behind: set[int] = set()

    def emit(self, record: object) -> None:
        """Give a record to its hooks, from any thread, in the context of what happened."""
        if hooks_of(type(record)):
            self._emitted = True
            waiting = _Waiting(record, contextvars.copy_context())
            self._loop.call_soon_threadsafe(self._add, waiting)

    def end(self, summary: CallSummary, timeout_s: float) -> Future[None] | None:
        """Give the last record to its hooks; None where there is nothing to wait for.

        Args:
            summary: The record.
            timeout_s: Seconds for all that is left to do. What still runs after half of it is
                left behind, so that the summary is not.
        """
        if not (hooks_of(CallSummary) or self._emitted):
            return None
        ending = self._end(_Waiting(summary, contextvars.copy_context()), timeout_s)
        return asyncio.run_coroutine_threadsafe(ending, self._loop)

    def _add(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        if self._worker is None or self._worker.done():
            self._worker = self._loop.create_task(self._work(), name="callspan-hooks")

    async def _work(self) -> None:
        while self._waiting:
            await self._call(self._waiting.popleft(), self._timeout_s)

    async def _end(self, last: _Waiting, timeout_s: float) -> None:
        until = self._loop.time() + timeout_s
        if self._worker is not None and not self._worker.done():
            await asyncio.wait({self._worker}, timeout=timeout_s / 2)
            if not self._worker.done():
                self._worker.cancel()
                self._leave_behind(timeout_s / 2)
        while self._waiting:
            await self._call(self._waiting.popleft(), max(until - self._loop.time(), 0.0) / 2)
        await self._call(last, max(until - self._loop.time(), 0.0))

    async def _call(self, waiting: _Waiting, timeout_s: float) -> None:
        hooks = [h for h in hooks_of(type(waiting.record)) if id(h) not in self._left_behind]
        if not hooks:
            return
        self._running = {
            self._loop.create_task(_contained(hook, waiting), context=waiting.context.copy()): hook
            for hook in hooks
        }
        await asyncio.wait(self._running, timeout=timeout_s)
        self._leave_behind(timeout_s)

    def _leave_behind(self, timeout_s: float) -> None:
        """Give up on the hooks that still run; one that is left alone costs nobody anything."""
        running, self._running = self._running, {}
        for task, hook in running.items():
            if not task.done():
                task.cancel()
                # one that will not be cancelled would keep the loop, and the job, from ending. The
                # function is documented, for those who write tasks of their own ("Extending" in
                # asyncio's pages): it takes a task off all_tasks(), which is what loops wait for
                asyncio._unregister_task(task)
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                self._left_behind.add(id(hook))
                _log(
                    hook,
                    "late",
                    f"did not return within {timeout_s:.2g} s; it is not called again in this "
                    "call, the others are",
                )


async def _contained(hook: Hook, waiting: _Waiting) -> None:
    """Call a hook; whatever it raises stays here."""
    try:
        if _is_async(hook):
            result: Any = hook(waiting.record)
        else:
            result = await _on_a_thread(hook, waiting)
        if inspect.isawaitable(result):
            await result
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001  sys.exit() of a hook ends no call
        _log(hook, "raised", f"raised {type(error).__name__}", error)


def _is_async(hook: Any) -> bool:
    return inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(
        getattr(hook, "__call__", None)  # noqa: B004  whether it is async is the question
    )


def _on_a_thread(hook: Hook, waiting: _Waiting) -> asyncio.Future[object]:
    """Call a hook on a thread of its own: one that hangs holds nobody up."""
    done: Future[object] = Future()

    def run() -> None:
        if done.set_running_or_notify_cancel():
            try:
                done.set_result(waiting.context.copy().run(hook, waiting.record))
            except BaseException as error:  # noqa: BLE001  a thread has nobody to raise to
                done.set_exception(error)

    threading.Thread(target=run, name=f"callspan-hook-{name_of(hook)}", daemon=True).start()
    return asyncio.wrap_future(done)


def _log(hook: Hook, what: str, message: str, error: BaseException | None = None) -> None:
    """Say once of a hook what was wrong with it, however many calls it fails in."""
    name = name_of(hook)
    line = "hook %s %s; the call goes on, further ones are not logged"
    _log_once((name, what), logging.ERROR, line, name, message, exc_info=error)
