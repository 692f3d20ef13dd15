# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The worker's main process: its start, and the way into each job process."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from ..diagnostics.guard import guarded
from .observer import Observer
from .patches import Patches

_dispatch_name: ContextVar[str] = ContextVar("callspan_dispatch_name", default="")
"""The agent name of the AgentServer whose tasks are running: one process can hold several."""

_PRELOADED = tuple(
    f"callspan.{name}"
    for name in (
        "instrumentor",
        "runtime.process",
        "pricing.price_book",
        "pricing.genai_catalog",
    )
)
"""Imported once, by the forkserver: each job process inherits them copy-on-write."""


def patch(patches: Patches, observer: Observer) -> None:
    """Observe the worker's start and the creation of job processes."""

    async def run(wrapped: Any, server: Any, args: Any, kwargs: Any) -> Any:
        name = str(getattr(server, "_agent_name", "") or "")
        with guarded("starting the worker"):
            _preload(server)
            files = getattr(server, "_prometheus_multiproc_dir", None)
            observer.worker_starting(
                name, str(files or ""), development=bool(kwargs.get("devmode"))
            )
        token = _dispatch_name.set(name)
        try:
            return await wrapped(*args, **kwargs)
        finally:
            _dispatch_name.reset(token)
            with guarded("ending the worker"):
                await observer.worker_ended()

    def create_process(wrapped: Any, executor: Any, args: Any, kwargs: Any) -> Any:
        process = wrapped(*args, **kwargs)
        with guarded("preparing a job process"):
            # not started yet: livekit's own channels travel in the same arguments
            target: Callable[..., Any] = process._target
            process._target, process._args = observer.job_process_target(
                _dispatch_name.get(), target, process._args
            )
        return process

    patches.wrap("livekit.agents.worker", "AgentServer.run", run)
    patches.wrap(
        "livekit.agents.ipc.job_proc_executor", "ProcJobExecutor._create_process", create_process
    )


def _preload(server: Any) -> None:
    known = getattr(server, "_preload_modules", None)
    if known is not None:
        server._preload_modules = list(dict.fromkeys([*known, *_PRELOADED]))
