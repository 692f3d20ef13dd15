# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The instrumentation of one process: ties what livekit-agents does to spans and providers."""

from __future__ import annotations

import asyncio
import atexit
import multiprocessing
import os
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from multiprocessing import util as multiprocessing_util
from typing import Any
from weakref import WeakValueDictionary

from opentelemetry import trace
from opentelemetry.trace import Span

from ..business.declare import declared
from ..call.application_events import Transferred
from ..call.call import Call
from ..call.events import CallEvent, Interrupted
from ..config import settings
from ..config.arguments import Options
from ..config.settings import PROMETHEUS, Settings
from ..diagnostics.guard import guarded
from ..diagnostics.log import logger
from ..diagnostics.problem import Problem
from ..export.flush import Flush
from ..livekit import log_content
from ..livekit import tracer as livekit_tracer
from ..livekit.install import UnsupportedError, install
from ..livekit.patches import Patches
from ..metrics.job.job_metrics import JobMetrics
from ..metrics.worker.prometheus import problems_of_multiprocess_mode
from ..providers import logger_provider, startup, tracer_provider
from ..providers.logger_provider import LogEvents
from ..providers.tracer_provider import Tracing
from ..semconv import KIND_TEST
from ..tracing import interruptions
from ..tracing.call_trace import CallTrace
from . import shutdown, tracer_wiring
from .active_call import ActiveCall
from .call_costs import Pricing
from .call_report import log_events
from .recording import Recording
from .worker_metrics import WorkerMetrics


class Runtime:
    """Observes livekit-agents in this process; worker and job are roles that it finds itself in.

    Args:
        options: What was passed in code.
        job_main: The entry of job processes: called with the worker's configuration, whether a
            provider of ours may become global, a channel, and LiveKit's entry and its arguments.
        recording: Keeps the calls of this process in its memory. Default: nobody does.
    """

    def __init__(
        self, options: Options, job_main: Callable[..., None], recording: Recording | None = None
    ) -> None:
        self.options = options
        self._job_main = job_main
        self._recording = recording
        self.active = True
        self._lock = threading.Lock()
        self._patches = Patches()
        self._degraded: list[str] = []
        # by the call's id; each lives as long as its spans can be written
        self._calls: WeakValueDictionary[str, ActiveCall] = WeakValueDictionary()
        self._pricing: Pricing
        self._logs: LogEvents | None = None
        self._settings: Settings | None = None
        self._tracing: Tracing | None = None
        self._native_provider: trace.TracerProvider | None = None
        self._restore_environ: dict[str, str | None] = {}
        self._given_up: frozenset[str] = frozenset()
        """What did not finish its last flush, by name: the end of the process does not wait."""
        self._channel: socket.socket | None = None
        self._worker_metrics: WorkerMetrics | None = None
        self._job_metrics: JobMetrics | None = None
        self._running_workers = 0
        # what is wrong with the configuration is said once: by the worker, where there is one
        self._problems_logged = False

    # --- life ----------------------------------------------------------------------------------

    def install(self) -> None:
        """Patch livekit-agents; logs, and leaves it untouched, where that cannot be done."""
        if not self.active:
            return
        try:
            self._degraded = install(self._patches, self)
        except UnsupportedError as error:
            logger.error("%s", error.problem)

    def uninstall(self) -> None:
        """Put everything back; what cannot be taken off a provider goes inert."""
        self.active = False
        self._patches.undo()
        log_content.restore()
        atexit.unregister(self._flush_at_exit)
        of_jobs, self._job_metrics = self._job_metrics, None
        of_worker, self._worker_metrics = self._worker_metrics, None
        endings: list[tuple[str, Callable[[], object]]] = [
            ("metrics", partial(shutdown.end_metrics, of_jobs, of_worker))
        ]
        if self._tracing is not None:
            endings += [(delivery.name, delivery.shutdown) for delivery in self._tracing.deliveries]
        if self._logs is not None:
            endings.append(("log events", self._logs.close))
        # on threads: it may be called where nothing may wait
        Flush(endings, 0)
        if self._tracing is not None and self._native_provider is not None:
            tracer_wiring.give_up(self._tracing, self._native_provider)
        for name, value in self._restore_environ.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

    @property
    def settings(self) -> Settings:
        """The configuration, read from the variables when first asked for."""
        if self._settings is None:
            self._settings = settings.resolve(
                capture_content=self.options.capture_content,
                disabled_parts=self.options.disabled_parts,
                provider_in_code=self.options.tracer_provider is not None,
                prices=self.options.prices,
            )
            if self._recording is not None:
                self._settings = self._recording.settings_for(self._settings)
        self._settings.rules.declared.merge(declared)
        return self._settings

    def enter_job_process(
        self, resolved: Settings, *, set_globals: bool, channel: socket.socket | None
    ) -> None:
        """Take over what the worker resolved, so that its jobs do as it said it would."""
        self._settings = resolved
        self._channel = channel
        self._problems_logged = True
        if resolved.provider_in_code and self.options.tracer_provider is None:
            logger.error(
                "tracer_provider= was passed where only the worker's main process gets to see it; "
                "call instrument() at the top of agent.py, outside of if __name__ == '__main__'"
            )
        self.options.set_globals = set_globals

    # --- worker --------------------------------------------------------------------------------

    def worker_starting(
        self, dispatch_name: str, multiprocess_dir: str, *, development: bool
    ) -> None:
        """Say in one line what this worker does, and look whether destinations answer."""
        self._settings = self.settings.for_worker(dispatch_name, development=development)
        log_content.redact(content=self.settings.event_content)
        command = tracer_provider.is_auto_configured(trace.get_tracer_provider())
        if command:
            self._set_environ_of_jobs()
        if self._worker_metrics is None:
            resource = tracer_provider.resource_of_process()
            self._worker_metrics = WorkerMetrics(self.settings, resource, by_command=command)
        self._worker_metrics.seed(dispatch_name, self.settings.rules.declared)
        self._running_workers += 1
        provider = self.options.tracer_provider or trace.get_tracer_provider()
        self._problems_logged = True
        startup.log(
            self.settings,
            user_provided=tracer_provider.is_user_provided(provider),
            degraded=self._degraded,
            log_records=log_content.policy(content=self.settings.event_content),
            problems=[
                *self._worker_metrics.problems,
                *logger_provider.problems_of(self.settings),
                *problems_of_multiprocess_mode(multiprocess_dir),
            ],
        )

    async def worker_ended(self) -> None:
        """Send the last metrics, when every job's channel has been read to its end."""
        self._running_workers -= 1
        if self._running_workers == 0:
            of_worker, self._worker_metrics = self._worker_metrics, None
            of_jobs, self._job_metrics = self._job_metrics, None
            await shutdown.end_metrics_on_a_thread(of_jobs, of_worker)

    def job_process_target(
        self, dispatch_name: str, target: Callable[..., Any], args: tuple[Any, ...]
    ) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Send a new job process through our entry, with the configuration in its arguments."""
        resolved = self.settings.for_worker(dispatch_name or self.settings.dispatch_name)
        channel = None if self._worker_metrics is None else self._worker_metrics.add_process()
        return self._job_main, (resolved, self.options.set_globals, channel, target, args)

    def _set_environ_of_jobs(self) -> None:
        """Have the wrapper command set up no metrics in this worker's children: the worker sends.

        Nor may one of them try for the scrape port: a configurator that raises loads no
        instrumentation at all.
        """
        self._restore_environ["OTEL_METRICS_EXPORTER"] = os.environ.get("OTEL_METRICS_EXPORTER")
        os.environ["OTEL_METRICS_EXPORTER"] = "none"

    # --- job -----------------------------------------------------------------------------------

    def process_ready(self) -> None:
        """Set up the providers of this process."""
        self._ensure_tracing()

    def job_started(self, call: Call) -> None:
        """Make the call findable from all that its job will do."""
        tracing = self._ensure_tracing()
        self._active(self._named(call, tracing)).job_started(self._logs)

    def _active(self, call: Call) -> ActiveCall:
        active = ActiveCall(call, self.settings, self._pricing, self._job_metrics, self._recording)
        self._calls[call.id] = active
        return active

    def _current(self) -> ActiveCall | None:
        call_trace = CallTrace.find()
        return None if call_trace is None else self._calls.get(call_trace.call.id)

    def _named(self, call: Call, tracing: Tracing) -> Call:
        call.agent_name = (
            call.agent_name
            or self.settings.dispatch_name
            or tracer_provider.service_name(tracing.provider)
        )
        return call

    def session_starting(self, new_call: Callable[[], Call]) -> Call:
        """Return the job's call, or open one: without a job, or where we came late to it."""
        tracing = self._ensure_tracing()
        call_trace = CallTrace.find()
        if call_trace is None or call_trace.call.kind == KIND_TEST:
            call_trace = self._active(self._named(new_call(), tracing)).trace
            call_trace.attach()
        return call_trace.call

    def call_event(self, call: Call, event: CallEvent) -> None:
        """Take in what happened in a call."""
        if (active := self._calls.get(call.id)) is not None:
            active.handle(event)

    def interrupted(self, span: Span | None, kind: str, at_ns: int | None) -> None:
        """Record an interruption on the speech's span, and count those that the user made."""
        call_trace = CallTrace.find()
        if call_trace is not None:
            call_trace.emit(Interrupted(kind))
        if span is not None and span.is_recording() and self.settings.has("interruptions"):
            interruptions.record(span, kind, at_ns)

    def transferred(self) -> None:
        """Note that the caller was passed on to a human."""
        if (call_trace := CallTrace.find()) is not None:
            call_trace.emit(Transferred())

    def root_ended(self) -> None:
        """Start to deliver what the call has left, on threads of its own."""
        if (active := self._current()) is None:
            return
        waits = active.job_ended()
        if self._tracing is not None:
            with guarded("deciding which spans are sent"):
                shutdown.decide(active.trace, self._tracing, self.settings.keep)
        if self.settings.has("flush"):
            waits += self._flush_targets()
        if waits:
            active.flush = Flush(waits, self.settings.flush_timeout_s)

    async def job_ended(self) -> None:
        """Wait for the rest of the delivery, bounded; say what did not get out."""
        if (active := self._current()) is None or (flush := active.flush) is None:
            return
        if not flush.done.done() and flush.remaining_s > 0:
            await asyncio.wait({asyncio.wrap_future(flush.done)}, timeout=flush.remaining_s)
        self._given_up = flush.unfinished
        if self._tracing is None or not self.settings.has("flush"):
            return  # hooks alone were waited for
        timeout_s = self.settings.flush_timeout_s
        shutdown.report_losses(active.trace, flush, self._tracing, timeout_s)

    # --- providers -----------------------------------------------------------------------------

    def provider_set(self, provider: trace.TracerProvider) -> None:
        """Follow user code that gives LiveKit's tracer another provider in mid-call."""
        if self._tracing is not None:
            tracer_wiring.follow(self._tracing, provider, self.settings)

    def provider_refused(self, provider: trace.TracerProvider) -> None:
        """Give LiveKit's tracer the provider that OpenTelemetry refused because of ours."""
        if self._tracing is not None and trace.get_tracer_provider() is self._tracing.provider:
            livekit_tracer.restore_provider(provider)

    def _ensure_tracing(self) -> Tracing:
        with self._lock:
            if self._tracing is None:
                self._native_provider = livekit_tracer.provider()
                self._tracing = tracer_wiring.set_up(self.options, self.settings)
                problems = [*self._tracing.problems, *logger_provider.problems_of(self.settings)]
                self._log_problems([*self.settings.problems, *problems])
                self._register_last_flush()
                log_content.redact(content=self.settings.event_content)
                # while the process waits for its job: rows of prices are slow to load
                self._pricing = Pricing(self.settings.prices)
                self._logs = log_events(self.settings)
            if self._job_metrics is None:
                self._set_up_metrics()
            return self._tracing

    def _log_problems(self, problems: Iterable[Problem]) -> None:
        if not self._problems_logged:
            self._problems_logged = True
            for problem in dict.fromkeys(problems):
                logger.error("%s", problem)

    def _set_up_metrics(self) -> None:
        """Open the way to the worker; where there is none, be one for this process alone."""
        channel, self._channel = self._channel, None
        if channel is None and self._worker_metrics is None and not _is_job_process():
            return
        if channel is None:
            if self._worker_metrics is None:
                # the worker was not reached: each job sends for itself, and nobody scrapes it
                alone = replace(self.settings, metric_exporters=_but_not_scraped(self.settings))
                assert self._tracing is not None
                resource = self._tracing.provider.resource
                self._worker_metrics = WorkerMetrics(alone, resource, by_command=False)
                self._log_problems(self._worker_metrics.problems)
            channel = self._worker_metrics.add_process()
        resolved = self.settings
        self._job_metrics = JobMetrics(
            channel,
            resolved.counted_kinds,
            resolved.rules,
            set_global=self.options.set_globals,
        )
        if self._tracing is not None:
            self._tracing.count_failed = self._job_metrics.spans_failed
            self._job_metrics.watch(self._tracing.deliveries)
        self._job_metrics.attach_native()

    # --- delivery ------------------------------------------------------------------------------

    def _flush_targets(self) -> list[tuple[str, Callable[[], object]]]:
        assert self._tracing is not None
        timeout_s = self.settings.flush_timeout_s
        return shutdown.flush_targets(self._tracing, self._job_metrics, timeout_s)

    def _register_last_flush(self) -> None:
        """Catch what ends without a job's end: scripts, tests, processes that are cancelled.

        atexit does not run in a forkserver child before Python 3.13; a Finalize does, if it is
        registered after the process has come up.
        """
        atexit.register(self._flush_at_exit)
        if multiprocessing.parent_process() is not None:
            multiprocessing_util.Finalize(None, self._flush_at_exit, exitpriority=10)

    def _flush_at_exit(self) -> None:
        atexit.unregister(self._flush_at_exit)
        if self.active and self.settings.has("flush"):
            with guarded("flushing at exit"):
                for delivery in () if self._tracing is None else self._tracing.deliveries:
                    if delivery.held is not None:
                        delivery.held.release()
                targets = [one for one in self._flush_targets() if one[0] not in self._given_up]
                flush = Flush(targets, self.settings.flush_timeout_s)
                flush.wait()
                self._given_up |= flush.unfinished
        with guarded("ending metrics"):
            of_jobs, self._job_metrics = self._job_metrics, None
            of_worker, self._worker_metrics = self._worker_metrics, None
            given_up = shutdown.METRICS in self._given_up
            timeout_s = self.settings.flush_timeout_s
            shutdown.end_metrics(of_jobs, of_worker, timeout_s, given_up=given_up)


def _is_job_process() -> bool:
    return multiprocessing.current_process().name == "job_proc"


def _but_not_scraped(resolved: Settings) -> tuple[str, ...]:
    return tuple(name for name in resolved.metric_exporters if name != PROMETHEUS)
