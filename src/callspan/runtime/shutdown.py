# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What an end waits for, of a call or a worker: what holds telemetry back, and what was lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from opentelemetry import _logs, metrics, trace

from ..call.tail_sampling import TailSamplingRules
from ..diagnostics.log import logger
from ..export.flush import Flush
from ..livekit import tracer as livekit_tracer
from ..metrics.job import native
from ..metrics.job.job_metrics import JobMetrics
from ..providers.tracer_provider import Tracing
from ..tracing.call_trace import CallTrace
from .worker_metrics import WorkerMetrics

METRICS: Final = "metrics to the worker"
"""Name of the target that holds back what was recorded in calls."""
_LAST_PUSH_S: Final = 5.0
"""Seconds that the end of a worker may wait for its last metrics to be read, and to be sent."""
_MOMENT_S: Final = 0.5


def flush_targets(
    tracing: Tracing, job_metrics: JobMetrics | None, timeout_s: float
) -> list[tuple[str, Callable[[], object]]]:
    """Return everything in this process that holds telemetry back, ours and other people's."""
    targets: list[tuple[str, Callable[[], object]]] = [
        (delivery.name, delivery.force_flush) for delivery in tracing.deliveries
    ]
    if job_metrics is not None:
        targets.insert(0, (METRICS, lambda: job_metrics.flush(timeout_s)))
    others = {
        "traces": trace.get_tracer_provider(),
        "traces of LiveKit": livekit_tracer.provider(),
        "metrics": metrics.get_meter_provider(),
        "logs": _logs.get_logger_provider(),
    }
    seen: set[int] = {id(tracing.provider)} if tracing.is_ours else set()
    for name, provider in others.items():
        flush = getattr(provider, "force_flush", None)
        if flush is not None and id(provider) not in seen:
            seen.add(id(provider))
            targets.append((name, flush))
    return targets


def decide(call_trace: CallTrace, tracing: Tracing, keep: TailSamplingRules | None) -> None:
    """Decide whether a call's spans are sent, now that all is known of it."""
    if keep is None or call_trace.trace_id is None:
        return
    kept = keep.should_keep(
        call_trace.call, call_trace.rules.outcome_of(call_trace.call), call_trace.trace_id
    )
    for delivery in tracing.deliveries:
        if delivery.held is not None:
            delivery.held.decide(call_trace.trace_id, keep=kept)


def report_losses(call_trace: CallTrace, flush: Flush, tracing: Tracing, timeout_s: float) -> None:
    """Say once what of a call has not got out by now.

    It is not counted here: some of it may leave with the end of the process.
    """
    if call_trace.trace_id is not None:
        for delivery in tracing.deliveries:
            missing, made = delivery.missing(call_trace.trace_id)
            if delivery.name not in flush.unfinished:
                # these ended after the flush, and leave with the end of the process
                missing -= min(missing, delivery.pending.waiting)
            if missing:
                logger.warning(
                    "%d of %d spans of call %s did not get to %s within %g s of its end",
                    missing,
                    made,
                    call_trace.call.id,
                    delivery.name,
                    timeout_s,
                )
    ours = {delivery.name for delivery in tracing.deliveries}
    if others := sorted(flush.unfinished - ours):
        logger.warning(
            "%s of call %s: the provider that holds them did not finish its flush within %g s",
            ", ".join(others),
            call_trace.call.id,
            timeout_s,
        )


def end_metrics(
    of_jobs: JobMetrics | None,
    of_worker: WorkerMetrics | None,
    timeout_s: float = _LAST_PUSH_S,
    *,
    given_up: bool = False,
) -> None:
    """Send the last metrics of a process and stop.

    Args:
        of_jobs: Those of its jobs, if it has any.
        of_worker: Those of its worker, if it is one.
        timeout_s: Seconds that each step may block. Default: 5.
        given_up: Whether a flush has run into its deadline. Then only what is our own is waited
            for, which needs a moment where the worker reads.
    """
    if given_up:
        timeout_s = min(timeout_s, _MOMENT_S)
    if of_jobs is not None:
        of_jobs.close(timeout_s, others=not given_up)
    if of_worker is not None:
        of_worker.close(timeout_s)
    # not before: what they still had to collect would be lost. The SDK has a lock that a callback
    # of the application may hold for as long as it likes
    Flush([("readers", native.detach)], 0.1 if given_up else timeout_s).wait()


async def end_metrics_on_a_thread(
    of_jobs: JobMetrics | None, of_worker: WorkerMetrics | None
) -> None:
    """End metrics, whatever becomes of this task.

    LiveKit's command cancels all tasks as soon as its server is closed. A thread that runs goes on,
    and the interpreter does not end before it; an executor's item that has not begun is dropped.
    """
    ended: Future[None] = Future()

    def end() -> None:
        ended.set_running_or_notify_cancel()
        try:
            end_metrics(of_jobs, of_worker)
        except Exception:
            logger.exception("ending metrics failed; their last values may be missing")
        ended.set_result(None)

    threading.Thread(target=end, name="callspan-metrics-end", daemon=False).start()
    await asyncio.wrap_future(ended)
