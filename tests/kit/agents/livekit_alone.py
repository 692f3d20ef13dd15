# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What LiveKit emits for the call, counted without us: an exporter that sends each span at once.

Needs no flush, so nothing is lost when a job process ends.
"""

from __future__ import annotations

import os

from livekit.agents import telemetry
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from short_call import make_server, serve


def setup(_: object) -> None:
    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=f"{os.environ['OWN_ENDPOINT']}/v1/traces")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry.set_tracer_provider(provider)


server = make_server(setup=setup)

if __name__ == "__main__":
    serve(server)
