# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The state as metric families of prometheus_client, for whatever endpoint serves them."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

from ...diagnostics.problem import Problem
from ..wire.rows import Kind
from .naming import family_name, labels, unit_suffix
from .state import State


class StateFamily(Family):
    """A family out of the state, to tell it from one that other code registered."""


class StateCollector:
    """Collects the state for prometheus_client.

    Args:
        state: What to collect.
        resource: The worker's; its attributes become the labels of ``target_info``.
    """

    def __init__(self, state: State, resource: Resource) -> None:
        self._state = state
        self._target_info = _target_info(resource)

    def register(self, registry: CollectorRegistry = REGISTRY) -> None:
        """Have every endpoint of a registry serve the state, LiveKit's own among them."""
        registry.register(self)

    def unregister(self, registry: CollectorRegistry = REGISTRY) -> None:
        """Take the state out of a registry again."""
        registry.unregister(self)

    def describe(self) -> list[Family]:
        """Return nothing: claiming names would make other code raise that registers one."""
        return []

    def collect(self) -> Iterator[Family]:
        """Yield the state as metric families, each name once."""
        yield self._target_info
        taken = {self._target_info.name}
        for scope_metrics in self._state.read():
            for metric in scope_metrics.metrics:
                try:
                    family = _family(metric)
                except Exception as error:  # noqa: BLE001  the others are served
                    self._state.leave_out(metric.name, error)
                    continue
                if family.name not in taken:
                    taken.add(family.name)
                    yield family


def _target_info(resource: Resource) -> Family:
    family = StateFamily("target", "What is being measured.", "info")
    known = {key: value for key, value in resource.attributes.items() if value != ""}
    family.samples.append(Sample("target_info", labels(_scalars(known)), 1))
    return family


def _scalars(attributes: Mapping[str, object]) -> dict[str, str | bool | int | float]:
    return {
        key: value if isinstance(value, str | bool | int | float) else str(value)
        for key, value in attributes.items()
    }


def _family(metric: Metric) -> Family:
    kind, typ = _types(metric)
    unit = metric.unit or ""
    name = family_name(metric.name, unit, kind)
    suffix = unit_suffix(metric.name, unit, kind)
    family = StateFamily(name, metric.description or metric.name, typ, suffix)
    for point in metric.data.data_points:
        labelled = labels(_scalars(point.attributes or {}))
        if isinstance(point, HistogramDataPoint):
            family.samples += _histogram(name, labelled, point)
        elif isinstance(point, NumberDataPoint):
            family.samples.append(
                _number(f"{name}_total" if typ == "counter" else name, labelled, point)
            )
    return family


def _types(metric: Metric) -> tuple[Kind, str]:
    if isinstance(metric.data, Histogram):
        return "histogram", "histogram"
    if isinstance(metric.data, Sum) and metric.data.is_monotonic:
        return "counter", "counter"
    return "gauge" if isinstance(metric.data, Gauge) else "updowncounter", "gauge"


def _number(name: str, labelled: dict[str, str], point: NumberDataPoint) -> Sample:
    exemplar = _exemplar(point.exemplars[0]) if point.exemplars else None
    return Sample(name, labelled, point.value, None, exemplar)


def _histogram(name: str, labelled: dict[str, str], point: HistogramDataPoint) -> list[Sample]:
    edges = [*point.explicit_bounds, float("inf")]
    exemplars = _by_bucket(edges, point.exemplars)
    samples = []
    below = 0
    for index, (edge, count) in enumerate(zip(edges, point.bucket_counts, strict=True)):
        below += count
        at_most = {**labelled, "le": _go_string(edge)}
        samples.append(Sample(f"{name}_bucket", at_most, below, None, exemplars.get(index)))
    samples.append(Sample(f"{name}_count", labelled, point.count))
    samples.append(Sample(f"{name}_sum", labelled, point.sum))
    return samples


def _by_bucket(edges: Sequence[float], exemplars: Sequence[SdkExemplar]) -> dict[int, Exemplar]:
    return {bisect_left(edges, one.value): _exemplar(one) for one in exemplars}


@lru_cache(maxsize=4096)
def _go_string(edge: float) -> str:
    spelled: str = floatToGoString(edge)  # type: ignore[no-untyped-call]
    return spelled


def _exemplar(one: SdkExemplar) -> Exemplar:
    return Exemplar(
        {"trace_id": f"{one.trace_id:032x}", "span_id": f"{one.span_id:016x}"},
        one.value,
        one.time_unix_nano / 1e9,
    )


def problems_of_multiprocess_mode(directory: str) -> list[Problem]:
    """Say that prometheus_client's multiprocess mode does not go with this package's scrape.

    Args:
        directory: What was passed to AgentServer; the variable is looked at too.
    """
    directory = directory or os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    if not directory:
        return []
    return [
        Problem(
            f"PROMETHEUS_MULTIPROC_DIR={directory}: an endpoint in that mode shows the files of "
            "its processes and none of the worker's numbers",
            "unset it, and prometheus_multiproc_dir= of AgentServer: the worker adds its "
            "processes up by itself",
        )
    ]
