# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Every environment variable that this package adds; the standard ones keep their names."""

from __future__ import annotations

from typing import Final

OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: Final = (
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
)
"""Whether what was said, prompted, passed to tools or returned by them is exported, and where.

``NO_CONTENT`` (or ``false``), ``SPAN_ONLY`` (or ``true``), ``EVENT_ONLY``, ``SPAN_AND_EVENT``. The
name and the values are OpenTelemetry's; LiveKit reads the same variable. Default: ``NO_CONTENT``.
"""

CALLSPAN_FLUSH_TIMEOUT: Final = "CALLSPAN_FLUSH_TIMEOUT"
"""Seconds that the end of a call may wait for telemetry, above 0 and up to 8. Default: ``2``."""

CALLSPAN_COUNTED_KINDS: Final = "CALLSPAN_COUNTED_KINDS"
"""Kinds of calls that count: any of ``production,simulation,console,test``.

Default: ``production``.
"""

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
"""Further outcomes of calls, comma-separated; a tag of ``ctx.tagger`` of that name sets it.

Default: none.
"""

CALLSPAN_LABELS: Final = "CALLSPAN_LABELS"
"""Labels of calls and all their values: ``intent=booking|billing,language=en|es``.

A tag ``language:es`` of ``ctx.tagger`` sets the label ``language``. Default: none.
"""

CALLSPAN_ABANDONED_WITHIN: Final = "CALLSPAN_ABANDONED_WITHIN"
"""A caller who leaves within so many seconds abandoned the call, whatever they heard.

Default: ``0``, never.
"""

CALLSPAN_ABANDONED_HEARD: Final = "CALLSPAN_ABANDONED_HEARD"
"""A caller who leaves before the agent began to speak so often abandoned the call.

Default: ``2``.
"""

CALLSPAN_KEEP_CALLS: Final = "CALLSPAN_KEEP_CALLS"
"""Whose traces are sent, decided at the end of the call.

``errors,slow=1.5,outcome=abandoned|booking,ratio=0.1`` keeps calls in which something failed, calls
with a turn slower than 1.5 seconds, calls with one of these outcomes, and a tenth of all others. No
metric changes. Default: all calls, and spans are sent while the call goes on.
"""

CALLSPAN_PRICES: Final = "CALLSPAN_PRICES"
"""Path of a file with your own prices, TOML or JSON; they go before the packaged ones.

Default: none.
"""

CALLSPAN_HOOK_TIMEOUT: Final = "CALLSPAN_HOOK_TIMEOUT"
"""Seconds that a data hook may take for each record, above 0 and up to 8. Default: ``2``."""

CALLSPAN_SESSION_REPORT: Final = "CALLSPAN_SESSION_REPORT"
"""Whether a log event ``agent.session.report`` is sent at the end of each call.

``summary``: with the summary of the call. ``full``: with LiveKit's own session report as well.
``off``: it is not sent. Default: ``off``.
"""
