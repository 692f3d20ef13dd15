# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What models and services used: where LiveKit writes it, and the names of its sums in a call."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

# --- where LiveKit itself writes fields of its metrics -----------------------------------------

SPAN_LLM_REQUEST: Final = "llm_request"
SPAN_TTS_REQUEST: Final = "tts_request"
SPAN_REALTIME_INFERENCE: Final = "realtime_inference"
SPAN_EOU_DETECTION: Final = "eou_detection"
SPAN_DECISION: Final = "decision_model.evaluate"
GEN_AI_RESPONSE_ID: Final = "gen_ai.response.id"
LK_LLM_METRICS: Final = "lk.llm_metrics"
LK_TTS_METRICS: Final = "lk.tts_metrics"
LK_REALTIME_MODEL_METRICS: Final = "lk.realtime_model_metrics"
LK_PROVIDER_REQUEST_IDS: Final = "lk.provider_request_ids"
LK_SPEECH_ID: Final = "lk.speech_id"
LK_END_OF_TURN_DELAY: Final = "lk.end_of_turn_delay"
LK_HOOK_DELAY: Final = "lk.on_user_turn_completed_delay"
LK_EOU_DETECTION_DELAY: Final = "lk.eou.detection_delay"
LK_INTERRUPTION_TOTAL_DURATION: Final = "lk.interruption.total_duration"
LK_INTERRUPTION_PREDICTION_DURATION: Final = "lk.interruption.prediction_duration"
LK_INTERRUPTION_DETECTION_DELAY: Final = "lk.interruption.detection_delay"

# --- what a call used, summed over it ----------------------------------------------------------

USAGE_PREFIX: Final = "agent.usage."
"""Followed by a component and one of the names below: a field of the call's summary."""


class Usage(StrEnum):
    """What models and services used in a call; durations in seconds."""

    REQUESTS = "requests"
    TURNS = "turns"
    CANCELLED_REQUESTS = "cancelled_requests"
    STREAMED_REQUESTS = "streamed_requests"
    REQUEST_DURATION = "request_duration"
    CONNECT_DURATION = "connect_duration"
    CONNECTIONS_REUSED = "connections_reused"
    SESSION_DURATION = "session_duration"
    AUDIO_DURATION = "audio_duration"
    CHARACTERS = "characters"
    INPUT_TOKENS = "input_tokens"
    INPUT_TEXT_TOKENS = "input_text_tokens"
    INPUT_AUDIO_TOKENS = "input_audio_tokens"
    INPUT_IMAGE_TOKENS = "input_image_tokens"
    CACHED_TOKENS = "cached_tokens"
    CACHED_TEXT_TOKENS = "cached_text_tokens"
    CACHED_AUDIO_TOKENS = "cached_audio_tokens"
    CACHED_IMAGE_TOKENS = "cached_image_tokens"
    CACHE_WRITE_TOKENS = "cache_write_tokens"
    OUTPUT_TOKENS = "output_tokens"
    OUTPUT_TEXT_TOKENS = "output_text_tokens"
    OUTPUT_AUDIO_TOKENS = "output_audio_tokens"
    OUTPUT_IMAGE_TOKENS = "output_image_tokens"
    REASONING_TOKENS = "reasoning_tokens"
    TOTAL_TOKENS = "total_tokens"
    INFERENCES = "inferences"
    INFERENCE_DURATION = "inference_duration"
    DETECTION_DURATION = "detection_duration"
    DETECTION_DELAY = "detection_delay"
    INTERRUPTIONS = "interruptions"
    BACKCHANNELS = "backchannels"
    PLAYBACK_DELAY = "playback_delay"
    JOIN_DURATION = "join_duration"
    LONGEST_IDLE = "longest_idle"
    """The one that is not a sum."""
