# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""The instrumentation of one process: ties what livekit-agents does to spans and providers."""

from __future__ import annotations

import asyncio
import atexit
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable
from multiprocessing import util as multiprocessing_util
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span

from opentelemetry import _logs, metrics, trace

from . import job_process, settings
from .call.record import Call
from .guard import guarded
from .livekit import tracer as livekit_tracer
from .livekit.install import UnsupportedError, install
from .livekit.patches import Patches
from .options import Options
from .providers import metrics as metric_providers
from .providers import start_line, traces
from .providers.flush import Flush
from .providers.traces import Tracing
from .semconv import INTERRUPTION_BARGE_IN, KIND_TEST
from .settings import Settings
from .tracing import call_trace, end_of_call, interruptions
from .tracing.call_trace import CallTrace

_logger = logging.getLogger("opentelemetry.instrumentation.livekit_agents")


class Runtime:
    """Observes livekit-agents in this process; worker and job are roles that it finds itself in."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.active = True
        self._lock = threading.Lock()
        self._patches = Patches()
        self._degraded: list[str] = []
        self._settings: Settings | None = None
        self._tracing: Tracing | None = None
        self._native_provider: trace.TracerProvider | None = None
        self._flushes: dict[str, Flush] = {}
        self._restore_environ: dict[str, str | None] = {}
        self._delivery_given_up = False
        # what is wrong with the configuration is said once: by the worker, where there is one
        self._said = False

    # --- life ----------------------------------------------------------------------------------

    def install(self) -> None:
        """Patch livekit-agents; logs, and leaves it untouched, where that cannot be done."""
        if not self.active:
            return
        try:
            self._degraded = install(self._patches, self)
        except UnsupportedError as problem:
            _logger.error("%s", problem)

    def uninstall(self) -> None:
        """Put everything back; what cannot be taken off a provider goes inert."""
        self.active = False
        self._patches.undo()
        atexit.unregister(self._flush_at_exit)
        if self._tracing is not None:
            self._tracing.deactivate()
        ours = None if self._tracing is None else self._tracing.provider
        if self._native_provider is not None and livekit_tracer.provider() is ours:
            livekit_tracer.restore_provider(self._native_provider)
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
            )
        return self._settings

    def enter_job_process(self, resolved: Settings, *, set_globals: bool) -> None:
        """Take over what the worker resolved, so that its jobs do as it said it would."""
        self._settings = resolved
        self._said = True
        if resolved.provider_in_code and self.options.tracer_provider is None:
            _logger.error(
                "tracer_provider= was passed where only the worker's main process gets to see it; "
                "call instrument() at the top of agent.py, outside of if __name__ == '__main__'"
            )
        self.options.set_globals = set_globals

    # --- worker --------------------------------------------------------------------------------

    def worker_starting(self, dispatch_name: str) -> None:
        """Say in one line what this worker does, and look whether destinations answer."""
        self._settings = self.settings.for_worker(dispatch_name)
        problem = ""
        if traces.is_auto_configured(trace.get_tracer_provider()):
            self._set_environ_of_jobs()
        else:
            problem = metric_providers.serve_worker(self.settings)
        provider = self.options.tracer_provider or trace.get_tracer_provider()
        self._said = True
        start_line.log(
            self.settings,
            brought=traces.is_brought(provider),
            degraded=self._degraded,
            problems=[problem] if problem else [],
        )

    def job_process_target(
        self, dispatch_name: str, target: Callable[..., Any], args: tuple[Any, ...]
    ) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Send a new job process through our entry, with the configuration in its arguments."""
        resolved = self.settings.for_worker(dispatch_name or self.settings.dispatch_name)
        return job_process.main, (resolved, self.options.set_globals, target, args)

    def _set_environ_of_jobs(self) -> None:
        """See to it that the wrapper command does in this worker's children what we said.

        None of them may try for the scrape port: a configurator that raises loads no
        instrumentation at all. And metrics that a job pushes for itself go by our protocol.
        """
        rest = [name for name in self.settings.metric_exporters if name != "prometheus"]
        for name, value in {
            "OTEL_METRICS_EXPORTER": ",".join(rest) or "none",
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": self.settings.metrics_protocol,
        }.items():
            self._restore_environ[name] = os.environ.get(name)
            os.environ[name] = value

    # --- job -----------------------------------------------------------------------------------

    def process_ready(self) -> None:
        """Set up the providers of this process."""
        self._ensure_tracing()

    def job_started(self, call: Call) -> None:
        """Make the call findable from all that its job will do."""
        tracing = self._ensure_tracing()
        call_trace.attach(CallTrace(self._named(call, tracing)))

    def _named(self, call: Call, tracing: Tracing) -> Call:
        call.agent_name = (
            call.agent_name or self.settings.dispatch_name or _service_name(tracing.provider)
        )
        return call

    def session_starting(self, new_call: Callable[[], Call], agent_name: str) -> Call:
        """Return the job's call, or open one: without a job, or where we came late to it."""
        tracing = self._ensure_tracing()
        found = call_trace.find()
        if found is None or found.call.kind == KIND_TEST:
            found = CallTrace(self._named(new_call(), tracing))
            call_trace.attach(found)
        if not found.call.agent_name:
            found.call.agent_name = agent_name
            if found.root is not None:
                found.root.set_attributes(found.attributes())
        return found.call

    def session_closed(self, call: Call) -> None:
        """Write on ``agent_session`` what is known at its close."""
        found = call_trace.find()
        if found is not None and found.call is call and self.settings.has("attributes"):
            end_of_call.write_session(found)

    def interrupted(self, span: Span | None, kind: str, at_ns: int | None) -> None:
        """Record an interruption on the speech's span, and count those that the user made."""
        found = call_trace.find()
        if found is not None and kind == INTERRUPTION_BARGE_IN:
            found.call.interruptions += 1
        if span is not None and span.is_recording() and self.settings.has("interruptions"):
            interruptions.record(span, kind, at_ns)

    def root_ended(self) -> None:
        """Start to deliver what the call has left, on threads of its own."""
        found = call_trace.find()
        if found is not None and self.settings.has("flush"):
            self._flushes[found.call.id] = Flush(
                self._flush_targets(), self.settings.flush_timeout_s
            )

    async def job_ended(self) -> None:
        """Wait for the rest of the delivery, bounded; say what did not get out."""
        found = call_trace.find()
        flush = None if found is None else self._flushes.pop(found.call.id, None)
        if found is None or flush is None:
            return
        if not flush.done.done() and flush.remaining_s > 0:
            await asyncio.wait({asyncio.wrap_future(flush.done)}, timeout=flush.remaining_s)
        self._delivery_given_up = bool(flush.unfinished)
        self._report(found, flush)

    # --- providers -----------------------------------------------------------------------------

    def provider_set(self, provider: trace.TracerProvider) -> None:
        """Follow user code that gives LiveKit's tracer another provider in mid-call."""
        tracing = self._tracing
        if (
            tracing is None
            or provider is tracing.provider
            or not isinstance(provider, TracerProvider)
            or tracing.knows(provider)
        ):
            return
        found = call_trace.find()
        tracing.hand_over(
            provider,
            self.settings,
            trace_id=None if found is None else found.trace_id,
            restore=livekit_tracer.with_content,
        )
        _logger.warning(
            "a TracerProvider was set after this process was ready for calls: spans that were "
            "already open are given to it when they end. Set it at the top of agent.py, outside "
            "of the entrypoint, or leave it out and name the destination in "
            "OTEL_EXPORTER_OTLP_ENDPOINT"
        )

    def provider_refused(self, provider: trace.TracerProvider) -> None:
        """Give LiveKit's tracer the provider that OpenTelemetry refused because of ours."""
        if self._tracing is not None and trace.get_tracer_provider() is self._tracing.provider:
            livekit_tracer.restore_provider(provider)

    def _ensure_tracing(self) -> Tracing:
        with self._lock:
            if self._tracing is None:
                self._native_provider = livekit_tracer.provider()
                self._tracing = self._set_up_tracing(self._native_provider)
                problems = [*self.settings.problems, *self._tracing.problems]
                problems += self._set_up_metrics()
                self._say(problems)
                self._register_last_flush()
            return self._tracing

    def _set_up_tracing(self, native: trace.TracerProvider) -> Tracing:
        given = self.options.tracer_provider
        if isinstance(native, TracerProvider) and livekit_tracer.is_livekit_clouds(native):
            # LiveKit Cloud's recording was first: share its provider, filtered on our way out
            tracing = traces.use(native, self.settings)
            traces.deliver(tracing, native, self.settings)
            return tracing
        for provider in (given, native, trace.get_tracer_provider()):
            if isinstance(provider, TracerProvider) and traces.is_brought(provider):
                tracing = traces.use(provider, self.settings)
                if provider is not native:
                    livekit_tracer.restore_provider(provider)
                return tracing
        tracing = traces.build(self.settings)
        livekit_tracer.set_provider(tracing.provider, content=self.settings.content)
        if self.options.set_globals and not isinstance(trace.get_tracer_provider(), TracerProvider):
            trace.set_tracer_provider(tracing.provider)
        return tracing

    def _say(self, problems: list[str]) -> None:
        if not self._said:
            self._said = True
            for problem in dict.fromkeys(problems):
                _logger.error("%s", problem)

    def _set_up_metrics(self) -> list[str]:
        """Push this process's metrics, where no one else does and LiveKit Cloud wants none.

        Returns:
            What could not be set up.
        """
        if (
            not self.options.set_globals
            or _is_cloud()
            or hasattr(metrics.get_meter_provider(), "force_flush")
        ):
            return []
        assert self._tracing is not None
        provider, problems = metric_providers.build(self.settings, self._tracing.provider.resource)
        if provider is not None:
            metrics.set_meter_provider(provider)
        return problems

    # --- delivery ------------------------------------------------------------------------------

    def _flush_targets(self) -> list[tuple[str, Callable[[], object]]]:
        """Everything in this process that holds telemetry back, ours and other people's."""
        assert self._tracing is not None
        targets: list[tuple[str, Callable[[], object]]] = [
            (delivery.name, delivery.force_flush) for delivery in self._tracing.deliveries
        ]
        others = {
            "traces": trace.get_tracer_provider(),
            "traces of LiveKit": livekit_tracer.provider(),
            "metrics": metrics.get_meter_provider(),
            "logs": _logs.get_logger_provider(),
        }
        seen: set[int] = {id(self._tracing.provider)} if self._tracing.is_ours else set()
        for name, provider in others.items():
            flush = getattr(provider, "force_flush", None)
            if flush is not None and id(provider) not in seen:
                seen.add(id(provider))
                targets.append((name, flush))
        return targets

    def _report(self, found: CallTrace, flush: Flush) -> None:
        assert self._tracing is not None
        if found.trace_id is not None:
            for delivery in self._tracing.deliveries:
                missing, made = delivery.missing(found.trace_id)
                if missing:
                    _logger.warning(
                        "%d of %d spans of call %s did not get to %s within %g s of its end",
                        missing,
                        made,
                        found.call.id,
                        delivery.name,
                        self.settings.flush_timeout_s,
                    )
        ours = {delivery.name for delivery in self._tracing.deliveries}
        if others := sorted(flush.unfinished - ours):
            _logger.warning(
                "%s of call %s: the provider that holds them did not finish its flush within %g s",
                ", ".join(others),
                found.call.id,
                self.settings.flush_timeout_s,
            )

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
        if self.active and not self._delivery_given_up and self.settings.has("flush"):
            with guarded("flushing at exit"):
                Flush(self._flush_targets(), self.settings.flush_timeout_s).wait()


def _is_cloud() -> bool:
    """Tell whether LiveKit Cloud may want to set the global MeterProvider for its recording."""
    return bool(os.environ.get("LIVEKIT_OBSERVABILITY_URL")) or ".livekit.cloud" in os.environ.get(
        "LIVEKIT_URL", ""
    )


def _service_name(provider: TracerProvider) -> str:
    """Return the service's name where the user set one."""
    name = str(provider.resource.attributes.get("service.name", ""))
    return "" if name.startswith("unknown_service") else name
