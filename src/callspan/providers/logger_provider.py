# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Log events of calls, sent through the user's LoggerProvider where there is one, else ours."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any

from opentelemetry._logs import SeverityNumber, get_logger_provider
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

from .. import semconv
from ..config.settings import Settings
from ..diagnostics.log import logger
from ..diagnostics.problem import Problem
from ..version import __version__
from . import exporters
from .exporters import ExporterError
from .presets import PRESETS
from .tracer_provider import resource_of_process


class LogEvents:
    """Sends log events on a thread of its own: a user's provider may take its time with each.

    Args:
        settings: Which exporters a provider of ours has.
        is_users: Tells whether a global provider is the user's own.
    """

    def __init__(self, settings: Settings, is_users: Callable[[LoggerProvider], bool]) -> None:
        self._settings = settings
        self.is_user_provider = is_users
        # while the process waits for its job: an exporter is slow to load
        self._own = None if self._users_provider() else self._build()
        self._provider: LoggerProvider | None = None
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def _users_provider(self) -> LoggerProvider | None:
        provider = get_logger_provider()
        if isinstance(provider, LoggerProvider) and self.is_user_provider(provider):
            return provider
        return None

    def _build(self) -> LoggerProvider:
        # shutdown_on_exit would wait for a hung backend when the process ends
        provider = LoggerProvider(resource=resource_of_process(), shutdown_on_exit=False)
        for name in self._settings.log_exporters:
            try:
                make = _exporter(name, self._settings)
            except ExporterError:
                continue  # the worker has said it, see problems_of
            try:
                provider.add_log_record_processor(BatchLogRecordProcessor(make()))
            except ExporterError as problem:
                logger.error("%s", problem)
        return provider

    def send(
        self,
        name: str,
        body: Callable[[], Mapping[str, Any]],
        attributes: Mapping[str, Any],
        context: Context,
    ) -> None:
        """Queue one event.

        Args:
            name: Of the event.
            body: Makes the event's body, on the thread that sends.
            attributes: The event's.
            context: Holds the span that it belongs to.
        """
        if self._thread is None:
            # the user's may have been set since the process came up
            users = self._users_provider()
            if users is None and self._own is None:
                self._own = self._build()
            self._provider = users or self._own
            self._thread = threading.Thread(
                target=self._run, name="callspan-log-events", daemon=True
            )
            self._thread.start()
        at = time.time_ns()

        def emit() -> None:
            assert self._provider is not None
            logger = self._provider.get_logger(semconv.SCOPE_NAME, __version__, semconv.SCHEMA_URL)
            logger.emit(
                event_name=name,
                body=dict(body()),
                attributes=dict(attributes),
                context=context,
                timestamp=at,
                severity_number=SeverityNumber.INFO,
            )

        self._queue.put(emit)

    def flush(self) -> None:
        """Send what is queued, and have it exported; blocks for as long as that takes."""
        if self._provider is not None:
            sent = threading.Event()
            self._queue.put(sent.set)
            sent.wait()
            self._provider.force_flush()

    def close(self) -> None:
        """Send what is queued and end the threads; a provider of the user's goes on."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
        if self._own is not None:
            self._own.shutdown()

    def _run(self) -> None:
        while (emit := self._queue.get()) is not None:
            try:
                emit()
            except Exception:
                logger.exception("a log event was not sent")


def problems_of(settings: Settings) -> list[Problem]:
    """Return which exporters for log events cannot be had; nothing where none are asked for."""
    problems = []
    for name in settings.log_exporters if settings.sends_log_events else ():
        try:
            _exporter(name, settings)
        except ExporterError as error:
            problems.append(error.problem)
    return problems


def _exporter(name: str, settings: Settings) -> Callable[[], Any]:
    """Return what makes the exporter of a name."""
    if name in PRESETS:
        raise ExporterError(
            f"OTEL_LOGS_EXPORTER={name}: log events are not sent there by that name",
            "write otlp and set OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, or none",
        )
    target = exporters.destination(name, "LOGS", settings)
    exporters.load(target, "LOGS")
    return lambda: exporters.make(target, "LOGS")
