# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""LiveKit's own tracer: which provider it uses, and who changes that."""

from __future__ import annotations

import inspect
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from ..diagnostics.guard import guarded
from .observer import Observer
from .patches import Patches


def provider() -> trace.TracerProvider:
    """Return the provider that LiveKit's spans come from now."""
    from livekit.agents.telemetry import tracer

    current: trace.TracerProvider = tracer._tracer_provider
    return current


def set_provider(tracer_provider: TracerProvider, *, content: bool) -> None:
    """Have LiveKit's spans come from a provider of ours.

    Args:
        tracer_provider: The provider, not yet touched by anybody else.
        content: Whether LiveKit's own filter lets content through to its exporters.
    """
    from livekit.agents import telemetry

    kwargs: dict[str, Any] = {}
    if "allow_pii" in inspect.signature(telemetry.set_tracer_provider).parameters:
        kwargs["allow_pii"] = content
    telemetry.set_tracer_provider(tracer_provider, **kwargs)


def restore_provider(tracer_provider: trace.TracerProvider) -> None:
    """Give LiveKit's tracer back the provider that it had, without a filter on it."""
    from livekit.agents.telemetry import tracer

    tracer.set_provider(tracer_provider)


def with_content(span: ReadableSpan) -> ReadableSpan:
    """Return a finished span as it was before LiveKit's own filter, if that was at work."""
    try:
        from livekit.agents.telemetry import pii
    except ImportError:  # before 1.8 there is no filter
        return span
    restored: ReadableSpan = pii.restore_pii(span)
    return restored


def is_livekit_cloud_provider(provider: object) -> bool:
    """Tell whether LiveKit built a provider itself, for its Cloud recording."""
    from livekit.agents.telemetry import traces

    cloud = getattr(traces, "_cloud", None)
    targets = getattr(cloud, "_exit_targets", ())
    shutdown = getattr(provider, "shutdown", None)
    return any(call == shutdown for _, call in targets)


def patch(patches: Patches, observer: Observer) -> None:
    """Observe user code that sets a provider, LiveKit's way or OpenTelemetry's."""

    def set_livekits(wrapped: Any, tracer: Any, args: Any, kwargs: Any) -> Any:
        result = wrapped(*args, **kwargs)
        with guarded("following a change of provider"):
            observer.provider_set(tracer._tracer_provider)
        return result

    def set_globally(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        result = wrapped(*args, **kwargs)
        with guarded("following a change of provider"):
            given = args[0] if args else kwargs.get("tracer_provider")
            if isinstance(given, TracerProvider) and trace.get_tracer_provider() is not given:
                # refused, since one was set before; without us it would have been LiveKit's too
                observer.provider_refused(given)
        return result

    patches.wrap("livekit.agents.telemetry.traces", "_DynamicTracer.set_provider", set_livekits)
    patches.wrap("opentelemetry.trace", "set_tracer_provider", set_globally)
