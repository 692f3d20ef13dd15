# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The tracer provider of a process: the user's where there is one, else one of ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from weakref import WeakSet

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from ..config.settings import Settings
from ..diagnostics.guard import contained
from ..diagnostics.problem import Problem
from ..export.content_filter import without_content
from ..export.delivery import DeliveringSpanProcessor
from ..export.span_copy import copy_of
from ..export.span_filter import SpanFilter
from ..semconv import SERVICE_NAME, TELEMETRY_AUTO_VERSION
from ..tracing.enrichment import EnrichingSpanProcessor
from . import exporters
from .presets import PRESETS


@dataclass(slots=True)
class Tracing:
    """What was set up for traces in this process.

    Attributes:
        provider: The provider that LiveKit's spans come from.
        is_ours: Whether it was built here.
        deliveries: One per destination that was set up here; none on a user's provider.
        enrichers: One per provider that spans of calls come from.
        problems: What could not be set up, in plain words.
        count_failed: Called with the number of spans that were dropped because of an error of
            ours; None as long as nobody counts.
    """

    provider: TracerProvider
    is_ours: bool
    deliveries: list[DeliveringSpanProcessor] = field(default_factory=list)
    enrichers: list[EnrichingSpanProcessor] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    count_failed: Callable[[int], None] | None = None

    def failed(self) -> None:
        """Count a span that was dropped because of an error of ours."""
        if self.count_failed is not None:
            self.count_failed(1)

    def enrich(self, provider: TracerProvider, settings: Settings) -> None:
        """Have the spans of a provider enriched."""
        enricher = EnrichingSpanProcessor(provider, settings)
        self.enrichers.append(enricher)
        provider.add_span_processor(enricher)

    def knows(self, provider: TracerProvider) -> bool:
        """Tell whether the spans of a provider are enriched already."""
        return any(enricher.provider is provider for enricher in self.enrichers)

    def hand_over(
        self,
        provider: TracerProvider,
        settings: Settings,
        *,
        trace_id: int | None,
        restore: Callable[[ReadableSpan], ReadableSpan],
    ) -> None:
        """Follow LiveKit's spans to a provider that the user set while a call was running.

        The user's exporters get the spans of the call that are still open, the root among them,
        when they end; destinations that the variables name get the rest of the call from the
        new provider.

        Args:
            provider: The user's provider.
            settings: Which parts are on, and whether a destination is named.
            trace_id: The trace of the call that is running, if any.
            restore: Undoes LiveKit's own content filter on a span: the user's provider has a
                policy of its own.
        """
        theirs = _processors_of(provider)
        self.enrich(provider, settings)
        if not self.is_ours:
            return
        if trace_id is not None:
            forwarding = _Forwarding(theirs, trace_id, provider.resource, restore, self.failed)
            self.provider.add_span_processor(forwarding)
        for delivery in self.deliveries:
            if settings.destination_named:
                provider.add_span_processor(delivery)
            else:
                delivery.active = False

    def deactivate(self) -> None:
        """Make everything that was added to a provider inert; it cannot be taken off again."""
        for enricher in self.enrichers:
            enricher.active = False
        for delivery in self.deliveries:
            delivery.active = False


class _Forwarding(SpanProcessor):
    """Gives the spans of one trace that end on one provider to the processors of another."""

    def __init__(
        self,
        processors: Sequence[SpanProcessor],
        trace_id: int,
        resource: Resource,
        restore: Callable[[ReadableSpan], ReadableSpan],
        failed: Callable[[], None],
    ) -> None:
        self._processors = processors
        self._trace_id = trace_id
        self._resource = resource
        self._restore = restore
        self._failed = failed

    @contained("handing a span over", otherwise=lambda self, _: self._failed())
    def on_end(self, span: ReadableSpan) -> None:
        if span.context is None or span.context.trace_id != self._trace_id:
            return
        whole = self._restore(span)
        theirs = copy_of(whole, resource=self._resource)
        for processor in self._processors:
            processor.on_end(theirs)


def _processors_of(provider: TracerProvider) -> Sequence[SpanProcessor]:
    """Return the processors that are on a provider now."""
    return tuple(getattr(provider._active_span_processor, "_span_processors", ()))


_built: WeakSet[TracerProvider] = WeakSet()
"""Providers that were built here, in this process."""


def is_user_provided(provider: object) -> bool:
    """Tell whether a provider is the user's own.

    One that ``opentelemetry-instrument`` configured is not: it was made from the same variables
    that ours is made from, before anybody could say how content is to be treated.
    """
    return (
        isinstance(provider, TracerProvider)
        and provider not in _built
        and not is_auto_configured(provider)
    )


def is_auto_configured(provider: object) -> bool:
    """Tell whether a provider was configured by the ``opentelemetry-instrument`` command."""
    return (
        isinstance(provider, TracerProvider)
        and TELEMETRY_AUTO_VERSION in provider.resource.attributes
    )


def use(provider: TracerProvider, settings: Settings) -> Tracing:
    """Use a provider that is already there; its exporters and its content policy stay its own."""
    tracing = Tracing(provider, is_ours=False)
    tracing.enrich(provider, settings)
    return tracing


def build(settings: Settings) -> Tracing:
    """Build a provider from the standard variables; the SDK reads sampler, limits and batching.

    One that was built here before, and is the global one still, is used again.
    """
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider) or provider not in _built:
        # shutdown_on_exit would wait for a hung backend when the process ends
        provider = TracerProvider(resource=resource_of_process(), shutdown_on_exit=False)
        _built.add(provider)
    tracing = Tracing(provider, is_ours=True)
    tracing.enrich(provider, settings)
    deliver(tracing, provider, settings)
    return tracing


def deliver(tracing: Tracing, provider: TracerProvider, settings: Settings) -> None:
    """Have the spans of a provider sent to every destination that the variables name."""
    for name in settings.trace_exporters:
        target = exporters.destination(name, "TRACES", settings)
        try:
            exporter = exporters.make(target, "TRACES")
        except exporters.ExporterError as error:
            tracing.problems.append(error.problem)
        else:
            preset = PRESETS.get(name)
            calls_only = preset is not None and preset.calls_only
            delivery = DeliveringSpanProcessor(
                exporter,
                str(target),
                _copy_for(name, settings),
                SpanFilter() if calls_only and settings.has("span_filter") else None,
                hold=settings.keep is not None,
                failed=tracing.failed,
            )
            tracing.deliveries.append(delivery)
            provider.add_span_processor(delivery)


def _copy_for(name: str, settings: Settings) -> Callable[[ReadableSpan], ReadableSpan]:
    """Return what is done to a span on its way to the destination of a name."""
    content = _as_is if settings.content else without_content
    preset = PRESETS.get(name)
    if preset is None or preset.mapping is None:
        return content
    mapped = preset.mapping(os.environ)
    return lambda span: mapped(content(span))


def _as_is(span: ReadableSpan) -> ReadableSpan:
    return span


def resource_of_process() -> Resource:
    """Return the resource of the provider that the wrapper command configured, or a fresh one."""
    configured = trace.get_tracer_provider()
    return configured.resource if isinstance(configured, TracerProvider) else Resource.create()


def service_name(provider: TracerProvider) -> str:
    """Return the service's name where the user set one."""
    name = str(provider.resource.attributes.get(SERVICE_NAME, ""))
    return "" if name.startswith("unknown_service") else name
