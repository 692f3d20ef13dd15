# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""What this package instruments, in the form that opentelemetry-bootstrap reads."""

_instruments = ("livekit-agents >= 1.6.10",)

_supports_metrics = False

_semconv_status = "development"
