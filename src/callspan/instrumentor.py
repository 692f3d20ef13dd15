# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What ``opentelemetry-instrument`` loads; cheap to import, since it does so in every process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import wrapt
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from .config.switches import is_disabled
from .diagnostics.guard import contained
from .package import _instruments

if TYPE_CHECKING:
    import socket

    from .config.arguments import Options
    from .config.settings import Settings
    from .runtime.process import Runtime
    from .runtime.recording import Recording

_LIVEKIT = "livekit.agents"


@contained("instrumenting livekit-agents")
def _imported(_: object) -> None:
    LiveKitAgentsInstrumentor()._install()


class LiveKitAgentsInstrumentor(BaseInstrumentor):
    """Instruments livekit-agents; sets no global provider.

    A singleton, like every instrumentor. ``instrument()`` takes:

    - ``tracer_provider``: the SDK provider to use for LiveKit's spans. Default: the one that was
      set, else one made from the standard variables.
    - ``capture_content``: whether spans carry what was said. Default: as
      ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` says, else no.
    - ``disabled_parts``: names of parts to leave out, as for ``callspan.instrument()``.

    ``uninstrument()`` puts back every object that was replaced.
    """

    # On the class: a singleton's __init__ runs at every call of its constructor.
    _open: bool = False
    _options: Options | None = None
    _runtime: Runtime | None = None
    _recording: Recording | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return what is instrumented, as requirements."""
        return _instruments

    def _instrument(self, **kwargs: Any) -> None:
        if is_disabled(os.environ):
            return
        cls = type(self)
        if kwargs:
            self._take(kwargs)
        cls._open = True
        if _LIVEKIT in sys.modules:
            self._install()
        else:
            # a process that never imports livekit pays for this line and no more
            wrapt.register_post_import_hook(_imported, _LIVEKIT)

    def configure(self, **kwargs: Any) -> None:
        """Instrument, or give what is passed to an instrumentation that came first.

        That is how a line of code in agent.py meets the ``opentelemetry-instrument`` command.
        """
        if self.is_instrumented_by_opentelemetry:
            self._take(kwargs)
        else:
            # what a version lacks is probed for and said by install(), not compared
            self.instrument(skip_dep_check=True, **kwargs)

    def _uninstrument(self, **_: Any) -> None:
        cls = type(self)
        runtime, cls._options, cls._runtime, cls._open = cls._runtime, None, None, False
        if runtime is not None:
            runtime.uninstall()

    def _take(self, kwargs: dict[str, Any]) -> None:
        """Check what was passed in code, and add it to what was passed before."""
        from .config.arguments import Options

        cls = type(self)
        options = Options.of(**kwargs)
        if cls._options is None:
            cls._options = options
        else:
            cls._options.merge(options)

    def _install(self) -> None:
        """Patch livekit-agents, unless it was uninstrumented before livekit was imported."""
        from .config.arguments import Options
        from .runtime.process import Runtime

        cls = type(self)
        if cls._open and cls._runtime is None:
            cls._options = cls._options or Options()
            cls._runtime = Runtime(cls._options, job_main, cls._recording)
            cls._runtime.install()

    @property
    def is_recording(self) -> bool:
        """Whether calls are kept for a test; not for use by applications."""
        return type(self)._recording is not None

    @contextmanager
    def recording(self, recording: Recording, **kwargs: Any) -> Iterator[None]:
        """Instrument for a test, and put back what was before; not for use by applications.

        Args:
            recording: Keeps the calls of this process.
            **kwargs: Those of ``instrument()``; they go before what agent.py passed.

        Raises:
            TypeError: If an argument is of the wrong kind.
            ValueError: If an argument has a wrong value.
        """
        from .config.arguments import Options

        cls = type(self)
        options = Options.of(**kwargs)
        was_instrumented, before = self.is_instrumented_by_opentelemetry, cls._options
        if was_instrumented:
            self.uninstrument()
        if before is not None:
            options.merge(before)
        cls._recording, cls._options = recording, options
        try:
            self.instrument(skip_dep_check=True)
            yield
        finally:
            if self.is_instrumented_by_opentelemetry:
                self.uninstrument()
            cls._recording = None
            if was_instrumented:
                cls._options = before
                self.instrument(skip_dep_check=True)

    def enter_job_process(
        self, resolved: Settings, *, set_globals: bool, channel: socket.socket | None
    ) -> None:
        """Instrument a job process as its worker resolved it; not for use by applications."""
        cls = type(self)
        if not self.is_instrumented_by_opentelemetry:
            self.instrument(skip_dep_check=True)
        if cls._runtime is not None:
            cls._runtime.enter_job_process(resolved, set_globals=set_globals, channel=channel)


def job_main(
    resolved: Settings,
    set_globals: bool,
    channel: socket.socket | None,
    target: Callable[..., Any],
    args: tuple[Any, ...],
) -> None:
    """Instrument this job process as its worker says, then run what LiveKit meant it to run.

    The entry of every job process: at the top of a module, so that it can be named across them.

    Args:
        resolved: The worker's configuration.
        set_globals: Whether a provider of ours may become the global one.
        channel: This process's end of a channel for metrics.
        target: LiveKit's own entry.
        args: The arguments of that entry, its channels among them.
    """
    _enter_job_process(resolved, set_globals, channel)
    target(*args)


@contained("entering a job process")
def _enter_job_process(
    resolved: Settings, set_globals: bool, channel: socket.socket | None
) -> None:
    instrumentor = LiveKitAgentsInstrumentor()
    instrumentor.enter_job_process(resolved, set_globals=set_globals, channel=channel)
