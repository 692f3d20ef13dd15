# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A process as a worker: it counts for its jobs, says what it does, and starts their processes."""

from __future__ import annotations

import os
from collections.abc import Iterable

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource

from ..config.settings import Settings
from ..livekit import log_content
from ..metrics.worker.prometheus import problems_of_multiprocess_mode
from ..providers import logger_provider, startup, tracer_provider
from .worker_metrics import WorkerMetrics

_METRICS_EXPORTER = "OTEL_METRICS_EXPORTER"


class WorkerRole:
    """The worker of this process, of one AgentServer or of several.

    Args:
        settings: Which exporters.
        resource: Of this process.
        by_command: Whether the ``opentelemetry-instrument`` command has set up this process.

    Attributes:
        metrics: What its jobs add up to.
    """

    def __init__(self, settings: Settings, resource: Resource, *, by_command: bool) -> None:
        self._by_command = by_command
        self._exporter_before = os.environ.get(_METRICS_EXPORTER)
        if by_command:
            # the command sets up no metrics in this worker's children then: the worker sends. Nor
            # may one of them try for the scrape port: a configurator that raises loads no
            # instrumentation at all
            os.environ[_METRICS_EXPORTER] = "none"
        self.metrics = WorkerMetrics(settings, resource, by_command=by_command)
        self._running_servers = 0

    def server_starting(
        self,
        settings: Settings,
        provider: trace.TracerProvider,
        *,
        multiprocess_dir: str,
        degraded: Iterable[str],
    ) -> None:
        """Say in one line what this worker does, and look whether destinations answer.

        Args:
            settings: Those of the server.
            provider: The one that spans would come from.
            multiprocess_dir: Where prometheus_client keeps its files, if anywhere.
            degraded: What this version of livekit-agents has no place for.
        """
        self._running_servers += 1
        self.metrics.seed(settings.dispatch_name, settings.rules.declared)
        startup.log(
            settings,
            user_provided=tracer_provider.is_user_provided(provider),
            degraded=[*degraded],
            log_records=log_content.policy(content=settings.event_content),
            problems=[
                *self.metrics.problems,
                *logger_provider.problems_of(settings),
                *problems_of_multiprocess_mode(multiprocess_dir),
            ],
        )

    def server_ended(self) -> bool:
        """Note that an AgentServer has ended; return whether it was the last."""
        self._running_servers -= 1
        return self._running_servers == 0

    def restore_environ(self) -> None:
        """Put back the variable that was changed for the worker's children."""
        if not self._by_command:
            return
        if self._exporter_before is None:
            del os.environ[_METRICS_EXPORTER]
        else:
            os.environ[_METRICS_EXPORTER] = self._exporter_before
