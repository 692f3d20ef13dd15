# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The instrumentation of one process: what it observes goes to the parts that it finds it has."""

from __future__ import annotations

import atexit
import multiprocessing
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from multiprocessing import util as multiprocessing_util
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span

from ..business.declare import declared
from ..call.call import Call
from ..call.events import CallEvent
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
from ..providers import logger_provider, tracer_provider
from ..providers.logger_provider import LogEvents
from ..providers.tracer_provider import Tracing
from . import shutdown, tracer_wiring
from .call_report import log_events
from .job_role import JobRole
from .recording import Recording
from .worker_metrics import WorkerMetrics
from .worker_role import WorkerRole


class Runtime:
    """Observes livekit-agents in this process, which is a worker, runs jobs, or both.

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
        self._settings: Settings | None = None
        self._worker: WorkerRole | None = None
        self._job: JobRole | None = None
        self._tracing: Tracing | None = None
        self._logs: LogEvents | None = None
        self._native_provider: trace.TracerProvider | None = None
        self._given_up: frozenset[str] = frozenset()
        """What did not finish its last flush, by name: the end of the process does not wait."""
        self._channel: socket.socket | None = None
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
        endings: list[tuple[str, Callable[[], object]]] = [
            ("metrics", partial(shutdown.end_metrics, *self._take_metrics()))
        ]
        if self._tracing is not None:
            endings += [(delivery.name, delivery.shutdown) for delivery in self._tracing.deliveries]
        if self._logs is not None:
            endings.append(("log events", self._logs.close))
        # on threads: it may be called where nothing may wait
        Flush(endings, 0)
        if self._tracing is not None and self._native_provider is not None:
            tracer_wiring.give_up(self._tracing, self._native_provider)

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
        return self._settings

    def _read_declarations(self) -> None:
        """Take in what the application has declared by now."""
        self.settings.rules.declared.merge(declared)

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
        """Set up the worker's part with its first server, and say what each does."""
        self._read_declarations()
        self._settings = self.settings.for_worker(dispatch_name, development=development)
        self._problems_logged = True
        log_content.redact(content=self._settings.event_content)
        provider = trace.get_tracer_provider()
        if self._worker is None:
            self._worker = WorkerRole(
                self._settings,
                tracer_provider.resource_of_process(),
                by_command=tracer_provider.is_auto_configured(provider),
            )
        self._worker.server_starting(
            self._settings,
            self.options.tracer_provider or provider,
            multiprocess_dir=multiprocess_dir,
            degraded=self._degraded,
        )

    async def worker_ended(self) -> None:
        """Send the last metrics, when every job's channel has been read to its end."""
        if self._worker is not None and self._worker.server_ended():
            await shutdown.end_metrics_on_a_thread(*self._take_metrics())

    def job_process_target(
        self, dispatch_name: str, target: Callable[..., Any], args: tuple[Any, ...]
    ) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Send a new job process through our entry, with the configuration in its arguments."""
        self._read_declarations()
        resolved = self.settings.for_worker(dispatch_name or self.settings.dispatch_name)
        channel = None if self._worker is None else self._worker.metrics.add_process()
        return self._job_main, (resolved, self.options.set_globals, channel, target, args)

    # --- job -----------------------------------------------------------------------------------

    def process_ready(self) -> None:
        """Set up the providers of this process."""
        self._job_role()

    def job_started(self, call: Call) -> None:
        """Make the call findable from all that its job will do."""
        self._job_role().job_started(call)

    def session_starting(self, new_call: Callable[[], Call]) -> Call:
        """Return the job's call, or open one: without a job, or where we came late to it."""
        return self._job_role().session_starting(new_call)

    def call_event(self, call: Call, event: CallEvent) -> None:
        """Take in what happened in a call."""
        if self._job is not None:
            self._job.call_event(call, event)

    def interrupted(self, span: Span | None, kind: str, at_ns: int | None) -> None:
        """Count an interruption, and record it on the speech's span."""
        if self._job is not None:
            self._job.interrupted(span, kind, at_ns)

    def transferred(self) -> None:
        """Note that the caller was passed on to a human."""
        if self._job is not None:
            self._job.transferred()

    def root_ended(self) -> None:
        """Start to deliver what the call has left, on threads of its own."""
        if self._job is not None:
            self._job.root_ended()

    async def job_ended(self) -> None:
        """Wait for the rest of the delivery, bounded; say what did not get out."""
        if self._job is not None:
            self._given_up = await self._job.job_ended()

    def _job_role(self) -> JobRole:
        """Return the part of this process that runs jobs, set up when it is first needed.

        Where a worker has started since, it is another one: its calls are counted there.
        """
        self._read_declarations()
        with self._lock:
            tracing = self._ensure_tracing()
            if self._job is None or (self._job.metrics is None and self._worker is not None):
                metrics = self._metrics_of_jobs(tracing)
                self._job = JobRole(self.settings, tracing, self._logs, metrics, self._recording)
            return self._job

    def _metrics_of_jobs(self, tracing: Tracing) -> JobMetrics | None:
        """Open the way to the worker; where there is none, be one for this process alone."""
        channel, self._channel = self._channel, None
        if channel is None:
            if self._worker is None and _is_job_process():
                # the worker was not reached: each job sends for itself, and nobody scrapes it
                alone = replace(self.settings, metric_exporters=_but_not_scraped(self.settings))
                self._worker = WorkerRole(alone, tracing.provider.resource, by_command=False)
                self._log_problems(self._worker.metrics.problems)
            if self._worker is None:
                return None
            channel = self._worker.metrics.add_process()
        resolved, set_global = self.settings, self.options.set_globals
        return JobMetrics(channel, resolved.counted_kinds, resolved.rules, set_global=set_global)

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
        if self._tracing is None:
            self._native_provider = livekit_tracer.provider()
            self._tracing = tracer_wiring.set_up(self.options, self.settings)
            problems = [*self._tracing.problems, *logger_provider.problems_of(self.settings)]
            self._log_problems([*self.settings.problems, *problems])
            self._register_last_flush()
            log_content.redact(content=self.settings.event_content)
            self._logs = log_events(self.settings)
        return self._tracing

    def _log_problems(self, problems: Iterable[Problem]) -> None:
        if not self._problems_logged:
            self._problems_logged = True
            for problem in dict.fromkeys(problems):
                logger.error("%s", problem)

    # --- delivery ------------------------------------------------------------------------------

    def _take_metrics(self) -> tuple[JobMetrics | None, WorkerMetrics | None]:
        """Return what counts in this process, which is to end; jobs to come start anew."""
        job, self._job = self._job, None
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.restore_environ()
        return None if job is None else job.metrics, None if worker is None else worker.metrics

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
        timeout_s = self.settings.flush_timeout_s
        if self.active and self._tracing is not None and self.settings.has("flush"):
            with guarded("flushing at exit"):
                for delivery in self._tracing.deliveries:
                    if delivery.held is not None:
                        delivery.held.release()
                metrics = None if self._job is None else self._job.metrics
                targets = shutdown.flush_targets(self._tracing, metrics, timeout_s)
                flush = Flush([one for one in targets if one[0] not in self._given_up], timeout_s)
                flush.wait()
                self._given_up |= flush.unfinished
        with guarded("ending metrics"):
            given_up = shutdown.METRICS in self._given_up
            shutdown.end_metrics(*self._take_metrics(), timeout_s, given_up=given_up)


def _is_job_process() -> bool:
    return multiprocessing.current_process().name == "job_proc"


def _but_not_scraped(resolved: Settings) -> tuple[str, ...]:
    return tuple(name for name in resolved.metric_exporters if name != PROMETHEUS)
