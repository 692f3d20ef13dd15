# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The metrics of a worker: what all of its jobs add up to, and the ways out of it."""

from __future__ import annotations

import os
import socket
from functools import partial

from opentelemetry.sdk.resources import Resource

from .. import semconv
from ..call.declarations import Declarations
from ..config.settings import PROMETHEUS, Settings
from ..diagnostics.guard import guarded
from ..diagnostics.log import logger
from ..diagnostics.problem import Problem
from ..export.flush import Flush
from ..metrics.job import native
from ..metrics.job.relay import Relay
from ..metrics.wire.rows import Attributes, Instrument, own_row
from ..metrics.worker.aggregator import Aggregator
from ..metrics.worker.endpoint import EndpointError, ScrapeEndpoint
from ..metrics.worker.prometheus import StateCollector
from ..metrics.worker.push import MetricPusher, with_instance_id
from ..metrics.worker.state import State
from ..package import ORIGINAL_METRICS_EXPORTER
from ..pricing.price_book import PriceBook
from ..pricing.unpriced import name_unpriced
from ..providers import exporters
from ..providers.exporters import ExporterError


class WorkerMetrics:
    """One cumulative state in this process, served and sent as the variables say.

    Args:
        settings: Which exporters.
        resource: The worker's; its attributes are the labels of ``target_info``.
        by_command: Whether the ``opentelemetry-instrument`` command has set up this process: it
            serves prometheus_client's registry on the standard port already.

    Attributes:
        problems: What could not be set up, in plain words.
    """

    def __init__(self, settings: Settings, resource: Resource, *, by_command: bool) -> None:
        self.problems: list[Problem] = []
        self._pid = os.getpid()
        self._book = PriceBook(settings.prices)
        self._aggregator = Aggregator(State(on_new_series=self._look_at))
        resource = with_instance_id(resource)
        self._collector = StateCollector(self._aggregator.state, resource)
        self._collector.register()
        self._endpoint: ScrapeEndpoint | None = None
        self._pushes: list[MetricPusher] = []
        for name in settings.metric_exporters:
            if name != PROMETHEUS:
                self._push(name, settings, resource)
            elif not by_command or ORIGINAL_METRICS_EXPORTER in os.environ:
                self._serve()
        self._native: Relay | None = None
        if by_command:
            # what other instrumentations record in the worker's main process
            self._native = Relay(self._aggregator.add_process())
            native.attach(self._native, set_global=False)

    def add_process(self) -> socket.socket:
        """Open a channel for a job process, or for jobs in this one; return its end."""
        return self._aggregator.add_process()

    def seed(self, agent_name: str, declared: Declarations) -> None:
        """Make known, at 0, the series that a call of an agent can add to.

        The first call of an outcome is an increase then, which a new series at 1 is not.
        """
        for conversion in declared.conversions.values():
            labels = {semconv.L_AGENT: agent_name}
            self._aggregator.state.add(own_row(conversion.metric, labels, 0))
        for outcome in declared.all_outcomes:
            labels = {semconv.L_AGENT: agent_name, semconv.L_OUTCOME: outcome}
            self._aggregator.state.add(own_row(semconv.M_SESSIONS, labels, 0))
        for status in semconv.JOB_STATUSES:
            labels = {semconv.L_AGENT: agent_name, semconv.L_STATUS: status}
            self._aggregator.state.add(own_row(semconv.M_JOBS, labels, 0))

    def close(self, timeout_s: float) -> None:
        """Take in what jobs have written to their ends, send it a last time, and stop.

        Args:
            timeout_s: Seconds to block at most in each of these.
        """
        if os.getpid() != self._pid:
            return  # forked off: none of its threads is here
        if self._native is not None:
            self._native.close(timeout_s)
        self._aggregator.drain(timeout_s)
        self._push_a_last_time(timeout_s)
        if self._endpoint is not None:
            self._endpoint.close()
        self._collector.unregister()
        self._aggregator.close()

    def _push_a_last_time(self, timeout_s: float) -> None:
        """Push to all destinations at once, and say where the last numbers are missing."""
        arrived: set[str] = set()

        def close(push: MetricPusher) -> None:
            if push.close(timeout_s):
                arrived.add(push.name)

        Flush([(push.name, partial(close, push)) for push in self._pushes], timeout_s).wait()
        for push in self._pushes:
            if push.name not in arrived:
                logger.warning(
                    "the last metrics of this worker did not get to %s within %g s: %s; see "
                    "whether it answers: callspan doctor agent.py",
                    push.name,
                    timeout_s,
                    "none ever did"
                    if push.age_s is None
                    else f"what its calls added in the last {push.age_s:.0f} s is missing there",
                )

    def _look_at(self, instrument: Instrument, attributes: Attributes) -> None:
        """Name what has no price once for the worker, not in each of its processes."""
        if instrument.name == semconv.M_UNPRICED_USAGE.name:
            with guarded("naming what has no price"):
                name_unpriced(self._book, dict(attributes))

    def _push(self, name: str, settings: Settings, resource: Resource) -> None:
        target = exporters.destination(name, "METRICS", settings)
        try:
            exporter = exporters.make(target, "METRICS")
            push = MetricPusher(self._aggregator.state, resource, exporter, str(target))
            self._pushes.append(push)
        except ExporterError as error:
            self.problems.append(error.problem)
        except ValueError as error:
            interval = os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", "")
            self.problems.append(
                Problem(
                    f"OTEL_METRIC_EXPORT_INTERVAL={interval}: {error}, no metrics are sent",
                    "write milliseconds, for example 60000",
                )
            )

    def _serve(self) -> None:
        try:
            self._endpoint = ScrapeEndpoint()
        except EndpointError as error:
            self.problems.append(error.problem)
