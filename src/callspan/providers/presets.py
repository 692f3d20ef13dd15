# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Backends by name: what Langfuse and Grafana Cloud want of an exporter, from their own variables.

The ``OTEL_EXPORTER_OTLP_*`` variables describe one destination, which may stand beside these in
the same list. So nothing of it is taken over here: its headers are another backend's credentials.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from ..config.otlp import without_credentials
from ..diagnostics.problem import ProblemError
from ..version import __version__
from .deadline_session import DeadlineSession

LANGFUSE: Final = "langfuse"
GRAFANA_CLOUD: Final = "grafana_cloud"
NAMES: Final = frozenset({LANGFUSE, GRAFANA_CLOUD})
"""What can stand in OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER for a backend."""

LANGFUSE_PUBLIC_KEY: Final = "LANGFUSE_PUBLIC_KEY"
LANGFUSE_SECRET_KEY: Final = "LANGFUSE_SECRET_KEY"  # noqa: S105  a name, not a secret
LANGFUSE_ADDRESSES: Final = ("LANGFUSE_BASE_URL", "LANGFUSE_HOST")
"""Where Langfuse is; the second is the older name."""
LANGFUSE_ENVIRONMENT: Final = "LANGFUSE_TRACING_ENVIRONMENT"
LANGFUSE_RELEASE: Final = "LANGFUSE_RELEASE"
LANGFUSE_EU: Final = "https://cloud.langfuse.com"
LANGFUSE_US: Final = "https://us.cloud.langfuse.com"
LANGFUSE_PATH: Final = "/api/public/otel"
LANGFUSE_OLDEST: Final = "3.141.0"
"""The oldest server that reads tokens and cost as they are sent there."""

GRAFANA_ENDPOINT: Final = "GRAFANA_CLOUD_OTLP_ENDPOINT"
GRAFANA_INSTANCE_ID: Final = "GRAFANA_CLOUD_INSTANCE_ID"
GRAFANA_API_KEY: Final = "GRAFANA_CLOUD_API_KEY"
_GATEWAY: Final = "https://otlp-gateway-<zone>.grafana.net/otlp"

_PACKAGE: Final = "callspan"


class PresetError(ProblemError):
    """A backend that cannot be used as it is set up; says which variable and what to write."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a backend takes one signal, and how it is told who sends.

    Attributes:
        variable: The variable that the address comes from.
        url: The address with the signal's path; no credentials in it.
        headers: What is sent with each request; never shown.
    """

    variable: str
    url: str
    headers: Mapping[str, str] = field(repr=False)


def target_of(name: str, signal: str, environ: Mapping[str, str]) -> Target:
    """Return where a backend takes a signal.

    Args:
        name: One of ``NAMES``.
        signal: ``TRACES`` or ``METRICS``.
        environ: The variables.

    Raises:
        PresetError: If the backend does not take the signal, or a variable is missing or wrong.
    """
    if name == GRAFANA_CLOUD:
        return _grafana_cloud(signal, environ)
    if signal != "TRACES":
        raise PresetError(
            f"OTEL_{signal}_EXPORTER={LANGFUSE}: Langfuse takes traces only, none are sent there",
            f"write OTEL_{signal}_EXPORTER=prometheus to be scraped, otlp for a Collector, "
            f"{GRAFANA_CLOUD}, or none",
        )
    return _langfuse(environ)


def exporter_of(name: str, signal: str, environ: Mapping[str, str]) -> Callable[[], Any]:
    """Return what makes the exporter of a backend.

    Args:
        name: One of ``NAMES``.
        signal: ``TRACES`` or ``METRICS``.
        environ: The variables.

    Raises:
        PresetError: As for ``target_of``.
    """
    target = target_of(name, signal, environ)

    def make() -> Any:
        from opentelemetry.exporter.otlp.proto.http import Compression

        exporter_class: Any
        if signal == "TRACES":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            exporter_class = OTLPSpanExporter
        else:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

            exporter_class = OTLPMetricExporter
        with _without_the_other_destination():
            # without a preference for a temporality the SDK's is cumulative, the only one that
            # Grafana Cloud takes
            return exporter_class(
                endpoint=target.url,
                headers=dict(target.headers),
                compression=Compression.Gzip,
                session=DeadlineSession(),
            )

    return make


def _langfuse(environ: Mapping[str, str]) -> Target:
    public, secret = (
        _needed(environ, name, LANGFUSE, "copy both keys from the project's settings in Langfuse")
        for name in (LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY)
    )
    for name, value, other in (
        (LANGFUSE_PUBLIC_KEY, public, "sk-lf-"),
        (LANGFUSE_SECRET_KEY, secret, "pk-lf-"),
    ):
        if value.startswith(other):
            raise PresetError(
                f"{name}={other}…: that is the other key of the pair, nothing is sent to Langfuse",
                f"write the one that begins with pk-lf- into {LANGFUSE_PUBLIC_KEY} and the one "
                f"that begins with sk-lf- into {LANGFUSE_SECRET_KEY}",
            )
    variable, base = next(
        ((name, value) for name in LANGFUSE_ADDRESSES if (value := environ.get(name, "").strip())),
        (LANGFUSE_ADDRESSES[0], LANGFUSE_EU),
    )
    base = _address(
        variable,
        base,
        f"{LANGFUSE_EU} (EU), {LANGFUSE_US} (US) or the address of your own server",
    )
    at, _, rest = base.partition(LANGFUSE_PATH)
    if rest or at != base:
        raise PresetError(
            f"{variable}={base}: the path {LANGFUSE_PATH}/v1/traces is added to it, nothing is "
            f"sent there",
            f"write {variable}={at}",
        )
    return Target(
        variable,
        f"{base}{LANGFUSE_PATH}/v1/traces",
        {
            "authorization": _basic(public, secret),
            "x-langfuse-ingestion-version": "4",
            "x-langfuse-sdk-name": _PACKAGE,
            "x-langfuse-sdk-version": __version__,
        },
    )


def _grafana_cloud(signal: str, environ: Mapping[str, str]) -> Target:
    remedy = "copy it from the OpenTelemetry tile of your stack at grafana.com"
    endpoint, instance_id, api_key = (
        _needed(environ, name, GRAFANA_CLOUD, remedy)
        for name in (GRAFANA_ENDPOINT, GRAFANA_INSTANCE_ID, GRAFANA_API_KEY)
    )
    if not instance_id.isdigit():
        raise PresetError(
            f"{GRAFANA_INSTANCE_ID}: not a number, nothing is sent to Grafana Cloud",
            f"{remedy}, it looks like 123456",
        )
    if api_key.startswith("glsa_"):
        raise PresetError(
            f"{GRAFANA_API_KEY}=glsa_…: a service account's token, which the gateway refuses",
            "write an access policy's (glc_…) with the scopes traces:write and metrics:write",
        )
    base = _address(GRAFANA_ENDPOINT, endpoint, _GATEWAY)
    for path in ("/v1/traces", "/v1/metrics", "/v1/logs"):
        if base.endswith(path):
            raise PresetError(
                f"{GRAFANA_ENDPOINT}={base}: the path of each signal is added to it, nothing is "
                f"sent there",
                f"write {GRAFANA_ENDPOINT}={base.removesuffix(path)}",
            )
    url = urlsplit(base)
    host = url.hostname or ""
    if host.endswith(".grafana.net") and not (
        host.startswith("otlp-gateway-") and url.path == "/otlp"
    ):
        raise PresetError(
            f"{GRAFANA_ENDPOINT}={base}: not the OTLP gateway of a stack, nothing is sent there",
            f"write {GRAFANA_ENDPOINT}={_GATEWAY}",
        )
    return Target(
        GRAFANA_ENDPOINT,
        f"{base}/v1/{signal.lower()}",
        {"authorization": _basic(instance_id, api_key)},
    )


def _needed(environ: Mapping[str, str], name: str, backend: str, remedy: str) -> str:
    if value := environ.get(name, "").strip():
        return value
    raise PresetError(f"{backend} is named as an exporter and {name} is not set", remedy)


def _address(variable: str, value: str, instead: str) -> str:
    """Return the address of a backend as its path can be added to it.

    Raises:
        PresetError: If it is no address, or holds more than one.
    """
    shown = without_credentials(value)
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError as error:
        raise PresetError(
            f"{variable}={shown}: {error}, nothing can be sent there", f"write {instead}"
        ) from None
    if url.scheme not in ("http", "https") or not host:
        raise PresetError(
            f"{variable}={shown}: not an address that begins with https:// or http://, nothing "
            f"can be sent there",
            f"write {instead}",
        )
    if shown != value:
        raise PresetError(
            f"{variable}={shown}: holds more than host and path (not shown), nothing is sent there",
            "leave out user, password, query and fragment, the keys have their own variables",
        )
    return value.rstrip("/")


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


# --- the one destination of the standard variables ---------------------------------------------

_OTHERS: Final = ("OTEL_EXPORTER_OTLP_", "OTEL_PYTHON_EXPORTER_OTLP_")
_KEPT: Final = ("_TIMEOUT",)
_environ_lock: Final = threading.Lock()


@contextmanager
def _without_the_other_destination() -> Iterator[None]:
    """Hide the OTLP destination's variables: the SDK adds their headers to those it is given."""
    with _environ_lock:
        hidden = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(_OTHERS) and not name.endswith(_KEPT)
        }
        for name in hidden:
            del os.environ[name]
        try:
            yield
        finally:
            os.environ.update(hidden)


# --- for the opentelemetry-instrument command --------------------------------------------------
# Its configurator wants a class by each name, and loads no instrumentation where one raises: what
# is wrong is said by the worker.


class LangfuseSpanExporter(SpanExporter):
    """Sends nothing: calls are sent by this package, and other spans cost and belong to none."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Drop spans that are not a call's."""
        return SpanExportResult.SUCCESS


class GrafanaCloudSpanExporter(SpanExporter):
    """Sends spans to the gateway that the variables name; nothing where they do not."""

    def __init__(self) -> None:
        self._exporter = _exporter_or_none("TRACES")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans."""
        if self._exporter is None:
            return SpanExportResult.FAILURE
        result: SpanExportResult = self._exporter.export(spans)
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        if self._exporter is not None:
            self._exporter.shutdown()


class GrafanaCloudMetricExporter(MetricExporter):
    """Sends metrics, cumulative, to the gateway that the variables name; nothing otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self._exporter = _exporter_or_none("METRICS")

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Send metrics."""
        if self._exporter is None:
            return MetricExportResult.FAILURE
        result: MetricExportResult = self._exporter.export(metrics_data, timeout_millis, **kwargs)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Do nothing: it holds nothing."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Close the connection."""
        if self._exporter is not None:
            self._exporter.shutdown(timeout_millis, **kwargs)


def _exporter_or_none(signal: str) -> Any:
    try:
        return exporter_of(GRAFANA_CLOUD, signal, os.environ)()
    except PresetError:
        return None
