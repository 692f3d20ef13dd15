# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A provider as an application or a vendor's guide builds it, with an exporter of its own."""

from __future__ import annotations

import os

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def own_provider() -> TracerProvider:
    """Build a provider that sends to OWN_ENDPOINT and nowhere else."""
    provider = TracerProvider(resource=Resource.create({"service.name": "own"}))
    exporter = OTLPSpanExporter(endpoint=f"{os.environ['OWN_ENDPOINT']}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
