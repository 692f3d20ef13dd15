# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What LiveKit and other code record on the global provider, taken along repaired."""

from __future__ import annotations

import os
from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource

from ...semconv import TELEMETRY_AUTO_VERSION
from .reader import RowReader
from .relay import Relay
from .repair import without_per_call_attributes

_taken: WeakKeyDictionary[MeterProvider, RowReader] = WeakKeyDictionary()
"""The reader of ours on each provider: one is enough for a process."""


def attach(relay: Relay, *, set_global: bool) -> None:
    """Relay what is recorded on the global provider, if there is one and nobody does yet.

    To be called again: LiveKit Cloud sets its own when a session starts.

    Args:
        relay: The way to the worker.
        set_global: Whether a provider may be set where there is none.
    """
    provider = metrics.get_meter_provider()
    if isinstance(provider, MeterProvider):
        # add_metric_reader came with OpenTelemetry 1.43
        if provider in _taken or not hasattr(provider, "add_metric_reader"):
            return
        if TELEMETRY_AUTO_VERSION in provider._sdk_config.resource.attributes:
            _take_off_readers(provider)
        reader = _taken[provider] = RowReader(repair=True)
        provider.add_metric_reader(reader)
    elif set_global and not _cloud_may_set_one():
        reader = RowReader(repair=True)
        # one that a provider was made with cannot be taken off again
        removable = hasattr(MeterProvider, "add_metric_reader")
        built = MeterProvider(
            [] if removable else [reader],
            Resource.get_empty(),
            shutdown_on_exit=False,
            views=[without_per_call_attributes()],
        )
        if removable:
            built.add_metric_reader(reader)
        _taken[built] = reader
        metrics.set_meter_provider(built)
    else:
        return
    relay.add_reader(reader)


def detach() -> None:
    """Take our readers off the providers that they were put on."""
    for provider, reader in list(_taken.items()):
        if hasattr(provider, "remove_metric_reader"):
            provider.remove_metric_reader(reader)
            del _taken[provider]


def _take_off_readers(provider: MeterProvider) -> None:
    """Take off what the wrapper command put on: the worker exports it, and once is enough."""
    for reader in provider._metric_readers:
        # so that its last collection, when it is shut down, finds nothing
        reader._set_collect_callback(_collect_nothing)
        provider._measurement_consumer.remove_metric_reader(reader)
        reader.shutdown()
    # a provider flushes and shuts down what it was made with, removed or not
    provider._metric_readers = ()


def _collect_nothing(*_: object, **__: object) -> Any:
    return None


def _cloud_may_set_one() -> bool:
    """Tell whether LiveKit Cloud may want to set the global MeterProvider for its recording."""
    return bool(os.environ.get("LIVEKIT_OBSERVABILITY_URL")) or ".livekit.cloud" in os.environ.get(
        "LIVEKIT_URL", ""
    )
