# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Callspan, OpenTelemetry for LiveKit Agents: a whole trace per call, from jobs that die with it.

This is a community package, not a project of OpenTelemetry or LiveKit.

**One line**, at the top of agent.py::

    from callspan import instrument

    instrument()

**No line at all**, with ``opentelemetry-distro`` installed::

    opentelemetry-instrument python agent.py start

Both read the standard ``OTEL_*`` variables, and those of ``environment_variables``. LiveKit's
native spans are delivered whole, each call as one trace; every span of a call is given the call's
identity; the stage that LiveKit has no span for, speech to text, is added as ``stt_request``.
What was said stays out of what is exported unless it is asked for.

Nothing of this package raises into a call. What is wrong with the configuration is logged when
the worker starts, in words that name the variable, the value, and what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.trace import TracerProvider

from .diagnostics.guard import contained
from .instrumentor import LiveKitAgentsInstrumentor
from .version import __version__

__all__ = ["LiveKitAgentsInstrumentor", "__version__", "business", "instrument"]


@contained(
    "instrumenting livekit-agents",
    otherwise=lambda **_: LiveKitAgentsInstrumentor(),
    raises=(TypeError, ValueError),
)
def instrument(
    *,
    tracer_provider: TracerProvider | None = None,
    capture_content: bool | None = None,
    disabled_parts: Iterable[str] = (),
    prices: Mapping[str, Any] | None = None,
) -> LiveKitAgentsInstrumentor:
    """Instrument LiveKit Agents and, where no provider is set, configure one.

    Call it at the top of agent.py. A second call changes nothing.

    Args:
        tracer_provider: The SDK provider to use for LiveKit's spans. Default: the one that is
            set when a process is ready for its job, else one made from the ``OTEL_*`` variables.
        capture_content: Whether spans carry what was said, prompted, and passed through tools.
            Default: as ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` says, else no.
        disabled_parts: Parts to leave out: ``attributes``, ``flush``, ``interruptions``,
            ``span_filter``, ``stt_request``. Default: none.
        prices: Your own prices, as a price file has them; they go before the packaged ones.
            Default: the file that ``CALLSPAN_PRICES`` names, if any.

    Returns:
        The instrumentor, whose ``uninstrument()`` undoes it.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a part has no such name, or a price is none.
    """
    instrumentor = LiveKitAgentsInstrumentor()
    instrumentor.configure(
        tracer_provider=tracer_provider,
        capture_content=capture_content,
        disabled_parts=disabled_parts,
        prices=prices,
        set_globals=True,
    )
    return instrumentor
