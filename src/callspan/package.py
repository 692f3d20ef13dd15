# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What this package instruments, in the form that opentelemetry-bootstrap reads."""

_instruments = ("livekit-agents >= 1.6.10",)

_supports_metrics = True

_semconv_status = "development"

ORIGINAL_METRICS_EXPORTER = "_CALLSPAN_ORIGINAL_METRICS_EXPORTER"
"""Variable with what OTEL_METRICS_EXPORTER was before ``config.auto_instrument`` changed it."""
