# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The stage that LiveKit has no span for: from the user's first word to the last transcript."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.util.types import AttributeValue

from .. import semconv
from ..call.call import Call
from ..version import __version__


class SttRequest:
    """Makes one ``stt_request`` span per user turn that has a transcript.

    Args:
        provider: The provider that the turns' spans come from.
        content: Whether the transcript itself is written.
    """

    def __init__(self, provider: trace.TracerProvider, *, content: bool) -> None:
        self._tracer = provider.get_tracer(
            semconv.SCOPE_NAME, __version__, schema_url=semconv.SCHEMA_URL
        )
        self._content = content

    def emit(self, call: Call, user_turn: ReadableSpan, context: Context) -> None:
        """Make the span of a user turn that just ended, if the turn has a transcript.

        It lasts from the turn's start, when the user began to speak, to the arrival of the last
        final transcript.

        Args:
            call: The call that the turn belongs to.
            user_turn: The finished turn.
            context: The turn's own context, kept from its start.
        """
        if user_turn.start_time is None:
            return
        finals, audio_s, dollars = call.speech(since=user_turn.start_time / 1e9)
        if not finals:
            return
        turn = user_turn.attributes or {}
        attributes: dict[str, AttributeValue] = {
            semconv.GEN_AI_OPERATION_NAME: semconv.OPERATION_SPEECH_TO_TEXT,
            semconv.STT_TRANSCRIPT_LENGTH: sum(len(final.text) for final in finals),
            semconv.STT_FINAL_COUNT: len(finals),
        }
        for key in (semconv.GEN_AI_PROVIDER_NAME, semconv.GEN_AI_REQUEST_MODEL):
            if (value := turn.get(key)) is not None:
                attributes[key] = value
        if (delay := turn.get(semconv.LK_TRANSCRIPTION_DELAY)) is not None:
            attributes[semconv.STT_TRANSCRIPTION_DELAY] = delay
        if audio_s > 0:
            attributes[semconv.STT_AUDIO_DURATION] = audio_s
        if dollars > 0:
            attributes[semconv.SPAN_COST] = dollars
        if self._content:
            attributes[semconv.LK_TRANSCRIPT] = " ".join(final.text for final in finals)
        span = self._tracer.start_span(
            semconv.SPAN_STT_REQUEST,
            context=context,
            start_time=user_turn.start_time,
            attributes=attributes,
        )
        span.end(end_time=int(finals[-1].received_at * 1e9))
