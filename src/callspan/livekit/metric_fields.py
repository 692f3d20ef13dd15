# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Where each field of LiveKit's metrics classes goes: one table, read by code, tests and README.

:func:`used` takes the ``usage`` column of it off a metrics object; the other columns say which
metric or label the field becomes, or on which span LiveKit writes it itself. A contract test
fails on a field of :data:`livekit.agents.metrics.AgentMetrics` that is not in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .. import semconv
from ..call.events import ModelUsed
from ..semconv import Metric, Usage


@dataclass(frozen=True, slots=True)
class Home:
    """Where one field goes; any of these, at least one.

    Attributes:
        usage: The sum of the call's summary that it is added to: text and truth count as 1.
        sign: -1 where it is taken off that sum.
        metric: The metric that it becomes.
        label: Of that metric, or of the usage, whose value it is or says.
        span: A span and an attribute of it where LiveKit writes the field itself.
        time_of: A span or metric point whose time it is.
    """

    usage: Usage | None = None
    sign: int = 1
    metric: Metric | None = None
    label: str | None = None
    span: tuple[str, str] | None = None
    time_of: str | None = None


_COMPONENT: Final = Home(label=semconv.L_COMPONENT)
_LLM_SPAN: Final = (semconv.SPAN_LLM_REQUEST, semconv.LK_LLM_METRICS)
_TTS_SPAN: Final = (semconv.SPAN_TTS_REQUEST, semconv.LK_TTS_METRICS)
_REALTIME_SPAN: Final = (semconv.SPAN_REALTIME_INFERENCE, semconv.LK_REALTIME_MODEL_METRICS)
_SPEECH_SPAN: Final = (semconv.SPAN_AGENT_TURN, semconv.LK_SPEECH_ID)
_MODEL: Final = {
    "metadata.model_name": Home(label=semconv.L_MODEL),
    "metadata.model_provider": Home(label=semconv.L_PROVIDER),
}
# a component without metadata is told apart by its class
_LABEL: Final = Home(label=semconv.L_PROVIDER)
_POINT: Final = "the point it is added to"


def _stage(name: str, attribute: str) -> Home:
    return Home(
        metric=semconv.M_TURN_STAGE_DURATION, label=name, span=(semconv.SPAN_AGENT_TURN, attribute)
    )


def _detection(part: str, usage: Usage, attribute: str) -> Home:
    return Home(
        usage=usage,
        metric=semconv.M_INTERRUPTION_DETECTION_DURATION,
        label=part,
        span=(semconv.SPAN_USER_SPEAKING, attribute),
    )


FIELD_MAPPINGS: Final[Mapping[str, Mapping[str, Home]]] = {
    "LLMMetrics": {
        "type": _COMPONENT,
        "label": Home(label=semconv.L_PROVIDER, span=_LLM_SPAN),
        "request_id": Home(usage=Usage.REQUESTS, span=_LLM_SPAN),
        "timestamp": Home(span=_LLM_SPAN),
        "duration": Home(
            usage=Usage.REQUEST_DURATION, metric=semconv.M_SESSION_LLM_DURATION, span=_LLM_SPAN
        ),
        "ttft": Home(span=_LLM_SPAN),
        "cancelled": Home(usage=Usage.CANCELLED_REQUESTS, span=_LLM_SPAN),
        "completion_tokens": Home(usage=Usage.OUTPUT_TOKENS, span=_LLM_SPAN),
        "prompt_tokens": Home(usage=Usage.INPUT_TOKENS, span=_LLM_SPAN),
        "prompt_cached_tokens": Home(usage=Usage.CACHED_TOKENS, span=_LLM_SPAN),
        "cache_creation_tokens": Home(usage=Usage.CACHE_WRITE_TOKENS, span=_LLM_SPAN),
        "reasoning_tokens": Home(usage=Usage.REASONING_TOKENS, span=_LLM_SPAN),
        "total_tokens": Home(usage=Usage.TOTAL_TOKENS, span=_LLM_SPAN),
        "tokens_per_second": Home(metric=semconv.M_LLM_TOKENS_PER_SECOND, span=_LLM_SPAN),
        "speech_id": Home(span=_SPEECH_SPAN),
        **_MODEL,
    },
    "DecisionMetrics": {
        "type": _COMPONENT,
        "label": _LABEL,
        "request_id": Home(
            usage=Usage.REQUESTS, span=(semconv.SPAN_DECISION, semconv.GEN_AI_RESPONSE_ID)
        ),
        "timestamp": Home(time_of=semconv.SPAN_DECISION),
        "duration": Home(usage=Usage.REQUEST_DURATION),
        "input_tokens": Home(usage=Usage.INPUT_TOKENS),
        "output_tokens": Home(usage=Usage.OUTPUT_TOKENS),
        **_MODEL,
    },
    "STTMetrics": {
        "type": _COMPONENT,
        "label": _LABEL,
        "request_id": Home(
            usage=Usage.REQUESTS, span=(semconv.SPAN_USER_TURN, semconv.LK_PROVIDER_REQUEST_IDS)
        ),
        "timestamp": Home(time_of=semconv.SPAN_STT_REQUEST),
        "duration": Home(usage=Usage.REQUEST_DURATION),
        "audio_duration": Home(
            usage=Usage.AUDIO_DURATION,
            span=(semconv.SPAN_STT_REQUEST, semconv.STT_AUDIO_DURATION),
        ),
        "streamed": Home(usage=Usage.STREAMED_REQUESTS),
        "input_tokens": Home(usage=Usage.INPUT_TOKENS),
        "output_tokens": Home(usage=Usage.OUTPUT_TOKENS),
        "total_tokens": Home(usage=Usage.TOTAL_TOKENS),
        "input_audio_tokens": Home(usage=Usage.INPUT_AUDIO_TOKENS),
        "acquire_time": Home(usage=Usage.CONNECT_DURATION),
        "connection_reused": Home(usage=Usage.CONNECTIONS_REUSED),
        **_MODEL,
    },
    "TTSMetrics": {
        "type": _COMPONENT,
        "label": Home(label=semconv.L_PROVIDER, span=_TTS_SPAN),
        "request_id": Home(usage=Usage.REQUESTS, span=_TTS_SPAN),
        "timestamp": Home(span=_TTS_SPAN),
        "ttfb": Home(span=_TTS_SPAN),
        "duration": Home(usage=Usage.REQUEST_DURATION, span=_TTS_SPAN),
        "audio_duration": Home(usage=Usage.AUDIO_DURATION, span=_TTS_SPAN),
        "cancelled": Home(usage=Usage.CANCELLED_REQUESTS, span=_TTS_SPAN),
        "characters_count": Home(usage=Usage.CHARACTERS, span=_TTS_SPAN),
        "input_tokens": Home(usage=Usage.INPUT_TOKENS, span=_TTS_SPAN),
        "output_tokens": Home(usage=Usage.OUTPUT_TOKENS, span=_TTS_SPAN),
        "streamed": Home(usage=Usage.STREAMED_REQUESTS, span=_TTS_SPAN),
        "acquire_time": Home(usage=Usage.CONNECT_DURATION, span=_TTS_SPAN),
        "connection_reused": Home(usage=Usage.CONNECTIONS_REUSED, span=_TTS_SPAN),
        "segment_id": Home(span=_TTS_SPAN),
        "speech_id": Home(span=_SPEECH_SPAN),
        **_MODEL,
    },
    "VADMetrics": {
        "type": _COMPONENT,
        "label": _LABEL,
        "timestamp": Home(time_of=_POINT),
        "idle_time": Home(usage=Usage.LONGEST_IDLE),
        "inference_duration_total": Home(
            usage=Usage.INFERENCE_DURATION, metric=semconv.M_VAD_INFERENCE_DURATION
        ),
        "inference_count": Home(usage=Usage.INFERENCES, metric=semconv.M_VAD_INFERENCES),
        **_MODEL,
    },
    "EOUMetrics": {
        "type": _COMPONENT,
        "timestamp": Home(time_of=semconv.STAGE_TURN_HOOK),
        "end_of_utterance_delay": _stage(semconv.STAGE_END_OF_TURN, semconv.LK_END_OF_TURN_DELAY),
        "transcription_delay": _stage(semconv.STAGE_TRANSCRIPTION, semconv.LK_TRANSCRIPTION_DELAY),
        "on_user_turn_completed_delay": _stage(semconv.STAGE_TURN_HOOK, semconv.LK_HOOK_DELAY),
        "speech_id": Home(usage=Usage.TURNS, span=_SPEECH_SPAN),
        **_MODEL,
    },
    "EOTInferenceMetrics": {
        "type": _COMPONENT,
        "timestamp": Home(time_of=semconv.SPAN_EOU_DETECTION),
        "total_duration": Home(usage=Usage.DETECTION_DURATION),
        "detection_delay": Home(
            usage=Usage.DETECTION_DELAY,
            span=(semconv.SPAN_EOU_DETECTION, semconv.LK_EOU_DETECTION_DELAY),
        ),
        "prediction_duration": Home(usage=Usage.INFERENCE_DURATION),
        "num_requests": Home(usage=Usage.REQUESTS),
        **_MODEL,
    },
    "RealtimeModelMetrics": {
        "type": _COMPONENT,
        "label": Home(label=semconv.L_PROVIDER, span=_REALTIME_SPAN),
        "request_id": Home(usage=Usage.REQUESTS, span=_REALTIME_SPAN),
        "timestamp": Home(span=_REALTIME_SPAN),
        "duration": Home(
            usage=Usage.REQUEST_DURATION,
            metric=semconv.M_SESSION_LLM_DURATION,
            span=_REALTIME_SPAN,
        ),
        "session_duration": Home(usage=Usage.SESSION_DURATION, span=_REALTIME_SPAN),
        "ttft": Home(span=_REALTIME_SPAN),
        "cancelled": Home(usage=Usage.CANCELLED_REQUESTS, span=_REALTIME_SPAN),
        "input_tokens": Home(usage=Usage.INPUT_TOKENS, span=_REALTIME_SPAN),
        "output_tokens": Home(usage=Usage.OUTPUT_TOKENS, span=_REALTIME_SPAN),
        "total_tokens": Home(usage=Usage.TOTAL_TOKENS, span=_REALTIME_SPAN),
        "tokens_per_second": Home(metric=semconv.M_LLM_TOKENS_PER_SECOND, span=_REALTIME_SPAN),
        "input_token_details.audio_tokens": Home(usage=Usage.INPUT_AUDIO_TOKENS),
        "input_token_details.text_tokens": Home(usage=Usage.INPUT_TEXT_TOKENS),
        "input_token_details.image_tokens": Home(usage=Usage.INPUT_IMAGE_TOKENS),
        "input_token_details.cached_tokens": Home(usage=Usage.CACHED_TOKENS),
        "input_token_details.cached_tokens_details.audio_tokens": Home(
            usage=Usage.CACHED_AUDIO_TOKENS
        ),
        "input_token_details.cached_tokens_details.text_tokens": Home(
            usage=Usage.CACHED_TEXT_TOKENS
        ),
        "input_token_details.cached_tokens_details.image_tokens": Home(
            usage=Usage.CACHED_IMAGE_TOKENS
        ),
        "output_token_details.text_tokens": Home(usage=Usage.OUTPUT_TEXT_TOKENS),
        "output_token_details.audio_tokens": Home(usage=Usage.OUTPUT_AUDIO_TOKENS),
        "output_token_details.image_tokens": Home(usage=Usage.OUTPUT_IMAGE_TOKENS),
        "acquire_time": Home(usage=Usage.CONNECT_DURATION, span=_REALTIME_SPAN),
        "connection_reused": Home(usage=Usage.CONNECTIONS_REUSED, span=_REALTIME_SPAN),
        **_MODEL,
    },
    "InterruptionMetrics": {
        "type": _COMPONENT,
        "timestamp": Home(time_of=semconv.SPAN_USER_SPEAKING),
        "total_duration": _detection(
            semconv.PART_TOTAL, Usage.DETECTION_DURATION, semconv.LK_INTERRUPTION_TOTAL_DURATION
        ),
        "prediction_duration": _detection(
            semconv.PART_PREDICTION,
            Usage.INFERENCE_DURATION,
            semconv.LK_INTERRUPTION_PREDICTION_DURATION,
        ),
        "detection_delay": _detection(
            semconv.PART_DETECTION_DELAY,
            Usage.DETECTION_DELAY,
            semconv.LK_INTERRUPTION_DETECTION_DELAY,
        ),
        "num_interruptions": Home(usage=Usage.INTERRUPTIONS),
        "num_backchannels": Home(usage=Usage.BACKCHANNELS, metric=semconv.M_BACKCHANNELS),
        "num_requests": Home(usage=Usage.REQUESTS),
        **_MODEL,
    },
    "AvatarMetrics": {
        "type": _COMPONENT,
        "timestamp": Home(time_of=_POINT),
        "playback_latency": Home(usage=Usage.PLAYBACK_DELAY),
        # joined less started: how long it took to come in
        "session_started_time": Home(usage=Usage.JOIN_DURATION, sign=-1),
        "avatar_joined_time": Home(usage=Usage.JOIN_DURATION),
        **_MODEL,
    },
}
"""Every field of every class, by the class's name and the field's dotted path."""

_COMPONENTS: Final = {
    "LLMMetrics": semconv.COMPONENT_LLM,
    "DecisionMetrics": semconv.COMPONENT_DECISION,
    "STTMetrics": semconv.COMPONENT_STT,
    "TTSMetrics": semconv.COMPONENT_TTS,
    "VADMetrics": semconv.COMPONENT_VAD,
    "EOUMetrics": semconv.COMPONENT_END_OF_TURN,
    "EOTInferenceMetrics": semconv.COMPONENT_END_OF_TURN,
    "RealtimeModelMetrics": semconv.COMPONENT_REALTIME,
    "InterruptionMetrics": semconv.COMPONENT_INTERRUPTION,
    "AvatarMetrics": semconv.COMPONENT_AVATAR,
}
_SUMMED: Final = {
    name: tuple(
        (tuple(path.split(".")), home.usage, home.sign)
        for path, home in fields.items()
        if home.usage is not None
    )
    for name, fields in FIELD_MAPPINGS.items()
}

_BY_CLOCK: Final = (
    Usage.REQUEST_DURATION,
    Usage.CONNECT_DURATION,
    Usage.INFERENCE_DURATION,
    Usage.DETECTION_DURATION,
    Usage.DETECTION_DELAY,
    Usage.PLAYBACK_DELAY,
    Usage.JOIN_DURATION,
)
"""What one report takes at most minutes of. Some are differences of two times of day, as those of
realtime models and avatars are: a clock that was set meanwhile makes them hours, or negative."""


def to_model_used(metrics: Any) -> ModelUsed | None:
    """Translate one of LiveKit's metrics objects; None for a class that is not in the table."""
    name = type(metrics).__name__
    component = _COMPONENTS.get(name)
    if component is None:
        return None
    usage: dict[Usage, float] = {}
    for path, key, sign in _SUMMED[name]:
        value: Any = metrics
        for part in path:
            # older versions lack fields, details are optional
            value = getattr(value, part, None)
        if value:
            amount = 1.0 if isinstance(value, (str, bool)) else float(value)
            usage[key] = usage.get(key, 0.0) + sign * amount
    suspect = [
        key for key in _BY_CLOCK if not 0 <= usage.get(key, 0.0) <= semconv.SUSPECT_DURATION_S
    ]
    for key in suspect:
        del usage[key]
    speed = None if Usage.REQUEST_DURATION in suspect else getattr(metrics, "tokens_per_second", 0)
    metadata = getattr(metrics, "metadata", None)
    return ModelUsed(
        component=component,
        provider=str(getattr(metadata, "model_provider", None) or getattr(metrics, "label", "")),
        model=getattr(metadata, "model_name", None) or "",
        usage=usage,
        tokens_per_second=speed or None,
        request_id=str(getattr(metrics, "request_id", "")),
        suspect=len(suspect),
    )
