# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Whose provider LiveKit's native spans come from, and what happens when that changes."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from ..config.arguments import Options
from ..config.settings import Settings
from ..diagnostics.log import logger
from ..livekit import tracer as livekit_tracer
from ..providers import tracer_provider
from ..providers.tracer_provider import Tracing
from ..tracing.call_trace import CallTrace


def set_up(options: Options, settings: Settings) -> Tracing:
    """Use the provider that is there, else build one; LiveKit's tracer gets it.

    In this order: LiveKit Cloud's, where its recording was first; the one passed in code; the
    one LiveKit was given; the global one; one of ours.
    """
    native = livekit_tracer.provider()
    if isinstance(native, TracerProvider) and livekit_tracer.is_livekit_cloud_provider(native):
        # shared with Cloud, which keeps its content: ours is filtered on its way out
        tracing = tracer_provider.use(native, settings)
        tracer_provider.deliver(tracing, native, settings)
        return tracing
    for provider in (options.tracer_provider, native, trace.get_tracer_provider()):
        if isinstance(provider, TracerProvider) and tracer_provider.is_user_provided(provider):
            tracing = tracer_provider.use(provider, settings)
            if provider is not native:
                livekit_tracer.restore_provider(provider)
            return tracing
    tracing = tracer_provider.build(settings)
    livekit_tracer.set_provider(tracing.provider, content=settings.content)
    if options.set_globals and not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(tracing.provider)
    return tracing


def follow(tracing: Tracing, provider: object, settings: Settings) -> None:
    """Follow user code that gives LiveKit's tracer another provider in mid-call."""
    if (
        not isinstance(provider, TracerProvider)
        or provider is tracing.provider
        or tracing.knows(provider)
    ):
        return
    call_trace = CallTrace.find()
    tracing.hand_over(
        provider,
        settings,
        trace_id=None if call_trace is None else call_trace.trace_id,
        restore=livekit_tracer.with_content,
    )
    logger.warning(
        "a TracerProvider was set after this process was ready for calls: spans that were "
        "already open are given to it when they end. Set it at the top of agent.py, outside "
        "of the entrypoint, or leave it out and name the destination in "
        "OTEL_EXPORTER_OTLP_ENDPOINT"
    )


def give_up(tracing: Tracing, before: trace.TracerProvider) -> None:
    """Make what was set up inert, and give LiveKit's tracer the provider that it had.

    One that the application has set since is left alone.
    """
    tracing.deactivate()
    if livekit_tracer.provider() is tracing.provider:
        livekit_tracer.restore_provider(before)
