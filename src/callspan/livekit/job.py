# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A job, in its own process or thread: from the warm-up to the end of its task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from .. import semconv
from ..call.call import Call
from ..call.events import EntrypointFailed, KeyPressed
from ..diagnostics.guard import guarded, observed
from .listeners import listener
from .observer import Observer
from .patches import Patches


def patch(patches: Patches, observer: Observer) -> None:
    """Observe the warm-up of the process, and the job's task as a whole."""

    def initialize(wrapped: Any, job_proc: Any, args: Any, kwargs: Any) -> Any:
        result = wrapped(*args, **kwargs)
        # after the user's setup function: a provider that it set is the one to use
        with guarded("preparing the job's telemetry"):
            observer.process_ready()
        return result

    async def run_job_task(wrapped: Any, job_proc: Any, args: Any, kwargs: Any) -> Any:
        with guarded("opening the call"):
            call = call_of(job_proc._job_ctx, observer)
            job_proc._job_entrypoint_fnc = observed(
                "observing the entrypoint",
                job_proc._job_entrypoint_fnc,
                _noting_failure(call, observer),
            )
            observer.job_started(call)
        try:
            return await wrapped(*args, **kwargs)
        finally:
            with guarded("ending the call"):
                await observer.job_ended()

    def on_cleanup(wrapped: Any, ctx: Any, args: Any, kwargs: Any) -> Any:
        # the root span has just ended: deliver while LiveKit cleans up
        with guarded("starting the flush"):
            observer.root_ended()
        return wrapped(*args, **kwargs)

    module = "livekit.agents.ipc.job_proc_lazy_main"
    patches.wrap(module, "_JobProc.initialize", initialize)
    patches.wrap(module, "_JobProc._run_job_task", run_job_task)
    patches.wrap("livekit.agents.job", "JobContext._on_cleanup", on_cleanup)


def missing() -> list[str]:
    """Return what this version of livekit-agents has no place for, in plain words."""
    from livekit.agents.ipc.job_proc_lazy_main import _JobProc

    if hasattr(_JobProc, "_shutdown_job"):
        return []
    return ["before livekit-agents 1.8.2 the root ends with the entrypoint, without a summary"]


def call_of(ctx: Any, observer: Observer) -> Call:
    """Make the record of a job's call, and count the keys that its caller presses."""
    call = Call(
        id=ctx.job.id, agent_name=ctx.job.agent_name, kind=_kind_of(ctx), tags=lambda: _tags(ctx)
    )

    on_key = listener("a key", lambda _: observer.call_event(call, KeyPressed()))
    ctx.room.on("sip_dtmf_received", on_key)
    return call


def _tags(ctx: Any) -> Collection[str]:
    """Return the tags that LiveKit keeps of a call, since 1.4: the user's, its own, judges'."""
    tagger = getattr(ctx, "tagger", None)
    return frozenset() if tagger is None else tagger.tags


def _noting_failure(call: Call, observer: Observer) -> Callable[..., Awaitable[Any]]:
    """Return what runs a job's entrypoint so that the call knows when it raised."""

    async def note(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        try:
            return await wrapped(*args, **kwargs)
        except Exception:
            with guarded("noting a failure"):
                observer.call_event(call, EntrypointFailed())
            raise

    return note


def _kind_of(ctx: Any) -> str:
    """Tell production from the rest; a job of ``simulate_job`` stands in for production."""
    from livekit.agents.cli import AgentsConsole

    if AgentsConsole.get_instance().enabled:
        return semconv.KIND_CONSOLE
    simulation = getattr(ctx, "simulation_context", None)
    if simulation is not None and simulation() is not None:
        return semconv.KIND_SIMULATION
    return semconv.KIND_PRODUCTION
