# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Grafana Cloud: the OTLP gateway of a stack takes both signals, and metrics cumulative only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from .preset import Preset, PresetError, Target, base_address, basic_auth, required, signal_url
from .wrapper_exporters import PresetMetricExporter, PresetSpanExporter

NAME: Final = "grafana_cloud"
ENDPOINT: Final = "GRAFANA_CLOUD_OTLP_ENDPOINT"
INSTANCE_ID: Final = "GRAFANA_CLOUD_INSTANCE_ID"
API_KEY: Final = "GRAFANA_CLOUD_API_KEY"
GATEWAY: Final = "https://otlp-gateway-<zone>.grafana.net/otlp"
"""What the address of one looks like."""


def _target_of(signal: str, environ: Mapping[str, str]) -> Target:
    remedy = "copy it from the OpenTelemetry tile of your stack at grafana.com"
    endpoint, instance_id, api_key = (
        required(environ, name, NAME, remedy) for name in (ENDPOINT, INSTANCE_ID, API_KEY)
    )
    if not instance_id.isdigit():
        raise PresetError(
            f"{INSTANCE_ID}: not a number, nothing is sent to Grafana Cloud",
            f"{remedy}, it looks like 123456",
        )
    if api_key.startswith("glsa_"):
        raise PresetError(
            f"{API_KEY}=glsa_…: a service account's token, which the gateway refuses",
            "write an access policy's (glc_…) with the scopes traces:write and metrics:write",
        )
    base = base_address(ENDPOINT, endpoint, GATEWAY)
    url = signal_url(ENDPOINT, base, signal)
    parts = urlsplit(base)
    host = parts.hostname or ""
    if host.endswith(".grafana.net") and not (
        host.startswith("otlp-gateway-") and parts.path == "/otlp"
    ):
        raise PresetError(
            f"{ENDPOINT}={base}: not the OTLP gateway of a stack, nothing is sent there",
            f"write {ENDPOINT}={GATEWAY}",
        )
    return Target(ENDPOINT, url, {"authorization": basic_auth(instance_id, api_key)})


PRESET: Final = Preset(
    name=NAME,
    title="Grafana Cloud",
    variables=(ENDPOINT, INSTANCE_ID, API_KEY),
    target=_target_of,
)


class GrafanaCloudSpanExporter(PresetSpanExporter):
    """For the entry point."""

    preset = PRESET


class GrafanaCloudMetricExporter(PresetMetricExporter):
    """For the entry point."""

    preset = PRESET
