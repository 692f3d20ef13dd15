# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Every environment variable that this package adds; the standard ones keep their names."""

from __future__ import annotations

from typing import Final

OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: Final = (
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
)
"""Whether what was said, prompted, passed to tools or returned by them is exported, and where.

On spans with ``SPAN_ONLY`` and ``SPAN_AND_EVENT``, in log events with ``EVENT_ONLY`` and
``SPAN_AND_EVENT``: transcripts as GenAI message events, and in the session report. With any of
them, hooks are given it. ``true`` is ``SPAN_ONLY``.

One of ``NO_CONTENT``, ``SPAN_ONLY``, ``EVENT_ONLY``, ``SPAN_AND_EVENT``, ``true``, ``false``.
Default: ``NO_CONTENT``. The name and values are OpenTelemetry's; LiveKit reads the same variable.
"""

CALLSPAN_FLUSH_TIMEOUT: Final = "CALLSPAN_FLUSH_TIMEOUT"
"""Seconds that the end of a call may wait for its telemetry to be delivered. Default: ``2``."""

CALLSPAN_COUNTED_KINDS: Final = "CALLSPAN_COUNTED_KINDS"
"""Kinds of calls that count: any of ``production,simulation,console``. Default: ``production``."""

CALLSPAN_DISABLED_PARTS: Final = "CALLSPAN_DISABLED_PARTS"
"""Parts to leave out: any of ``attributes,stt_request,interruptions,flush,span_filter``.

Default: none.
"""

CALLSPAN_CONVERSIONS: Final = "CALLSPAN_CONVERSIONS"
"""Which tools convert a call, and to what: ``tool=conversion:outcome``, comma-separated.

``book_appointment=bookings:booking`` counts a call in ``agent_bookings_total`` when that tool
succeeds, and gives it the outcome ``booking``. The outcome can be left out. Default: none.
"""

CALLSPAN_DEFAULT_OUTCOME: Final = "CALLSPAN_DEFAULT_OUTCOME"
"""The outcome of a call that no rule applies to. Default: ``completed``."""

CALLSPAN_OUTCOMES: Final = "CALLSPAN_OUTCOMES"
"""Outcomes that a call can have beside LiveKit's own, comma-separated; tags of that name too.

Default: none.
"""

CALLSPAN_LABELS: Final = "CALLSPAN_LABELS"
"""Labels of calls and all of their values: ``intent=booking|billing,language=en|es``.

A tag ``language:es`` becomes one too. Default: none.
"""

CALLSPAN_ABANDONED_WITHIN: Final = "CALLSPAN_ABANDONED_WITHIN"
"""Seconds within which a caller who leaves has abandoned the call. Default: ``0``, never."""

CALLSPAN_ABANDONED_HEARD: Final = "CALLSPAN_ABANDONED_HEARD"
"""A caller who leaves before the agent spoke so often has abandoned the call. Default: ``2``."""

CALLSPAN_KEEP_CALLS: Final = "CALLSPAN_KEEP_CALLS"
"""Whose traces are sent, decided at hang-up: ``errors,slow=1.5,outcome=abandoned,ratio=0.1``.

Any of: calls in which something failed, with a turn slower than so many seconds, of an outcome
(several with ``|``), and a ratio of the rest. No metric changes. Default: all, as they go.
"""

CALLSPAN_PRICES: Final = "CALLSPAN_PRICES"
"""Path of a price file, TOML or JSON, which goes before the packaged prices. Default: none."""

CALLSPAN_HOOK_TIMEOUT: Final = "CALLSPAN_HOOK_TIMEOUT"
"""Seconds that a hook may take with one record before it is left behind. Default: ``2``."""

CALLSPAN_SESSION_REPORT: Final = "CALLSPAN_SESSION_REPORT"
"""Whether each call ends with a log event ``agent.session.report``.

``summary``: with the call's summary. ``full``: with LiveKit's own session report beside it.
``off``: not at all. Default: ``off``.
"""
