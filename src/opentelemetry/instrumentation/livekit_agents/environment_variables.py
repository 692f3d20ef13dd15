# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""Every environment variable that this package adds; the standard ones keep their names."""

from __future__ import annotations

from typing import Final

OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: Final = (
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
)
"""Whether what was said, prompted, passed to tools or returned by them is exported on spans.

One of ``NO_CONTENT``, ``SPAN_ONLY``, ``EVENT_ONLY``, ``SPAN_AND_EVENT``, ``true``, ``false``.
Default: ``NO_CONTENT``. The name and values are OpenTelemetry's; LiveKit reads the same variable.
"""

OTEL_INSTRUMENTATION_LIVEKIT_AGENTS_FLUSH_TIMEOUT: Final = (
    "OTEL_INSTRUMENTATION_LIVEKIT_AGENTS_FLUSH_TIMEOUT"
)
"""Seconds that the end of a call may wait for its telemetry to be delivered. Default: ``2``."""

OTEL_INSTRUMENTATION_LIVEKIT_AGENTS_COUNTED_KINDS: Final = (
    "OTEL_INSTRUMENTATION_LIVEKIT_AGENTS_COUNTED_KINDS"
)
"""Kinds of calls that count: any of ``production,simulation,console``. Default: ``production``."""

OTEL_INSTRUMENTATION_LIVEKIT_AGENTS_DISABLED_PARTS: Final = (
    "OTEL_INSTRUMENTATION_LIVEKIT_AGENTS_DISABLED_PARTS"
)
"""Parts to leave out: any of ``attributes,stt_request,interruptions,flush``.

Default: none.
"""
