# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What this room tells the rest of the package; the wrappers know nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from opentelemetry.trace import Span, TracerProvider

from ..call.call import Call
from ..call.events import CallEvent


class Observer(Protocol):
    """Receives what happens in livekit-agents, as plain facts."""

    def worker_starting(
        self, dispatch_name: str, multiprocess_dir: str, *, development: bool
    ) -> None:
        """A worker's main process begins to run, before it starts any job process.

        Args:
            dispatch_name: The agent name it registers under.
            multiprocess_dir: Where prometheus_client is to keep one file per process, if anywhere.
            development: Whether it was started by LiveKit's ``dev`` or ``console`` command.
        """

    async def worker_ended(self) -> None:
        """A worker has ended, and all of its job processes with it."""

    def job_process_target(
        self, dispatch_name: str, target: Callable[..., Any], args: tuple[Any, ...]
    ) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return what a new job process is to run in place of ``target(*args)``."""

    def process_ready(self) -> None:
        """This process has run the user's setup function and waits for its job."""

    def job_started(self, call: Call) -> None:
        """A job's task begins; runs inside that task, before the job's root span starts."""

    def root_ended(self) -> None:
        """A job's root span has ended, LiveKit's own cleanup begins."""

    async def job_ended(self) -> None:
        """LiveKit's cleanup is over, the job's task is about to end."""

    def session_starting(self, new_call: Callable[[], Call]) -> Call:
        """An AgentSession starts; return the call that it belongs to, a new one if need be."""

    def call_event(self, call: Call, event: CallEvent) -> None:
        """Something happened in a call; runs where it did, while its span is still live."""

    def interrupted(self, span: Span | None, kind: str, at_ns: int | None) -> None:
        """A speech was stopped, or seemed to be; its span, if any, is still live."""

    def transferred(self) -> None:
        """The caller was passed on to a human."""

    def provider_set(self, provider: TracerProvider) -> None:
        """LiveKit's tracer was given a provider, by user code or by this package."""

    def provider_refused(self, provider: TracerProvider) -> None:
        """OpenTelemetry refused user code's global provider, since there is one."""
