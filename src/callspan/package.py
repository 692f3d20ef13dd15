# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What this package instruments, as opentelemetry-bootstrap reads it, and where it is scraped."""

from collections.abc import Mapping

_instruments = ("livekit-agents >= 1.6.10",)

_supports_metrics = True

_semconv_status = "development"

ORIGINAL_METRICS_EXPORTER = "_CALLSPAN_ORIGINAL_METRICS_EXPORTER"
"""Variable with what OTEL_METRICS_EXPORTER was before ``config.auto_instrument`` changed it."""

SCRAPE_HOST = "OTEL_EXPORTER_PROMETHEUS_HOST"
SCRAPE_PORT = "OTEL_EXPORTER_PROMETHEUS_PORT"
DEFAULT_SCRAPE_PORT = "9464"


def scrape_address(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return host and port of the worker's scrape; the port is not checked, it can be any text.

    Args:
        environ: The variables. Without them ``localhost`` and 9464.
    """
    host = environ.get(SCRAPE_HOST, "").strip() or "localhost"
    port = environ.get(SCRAPE_PORT, "").strip() or DEFAULT_SCRAPE_PORT
    return host, port
