# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What models and services used, summed over a call."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

USAGE_PREFIX: Final = "agent.usage."
"""Followed by a component and what it used, such as ``llm.input_tokens``: a sum over the call."""


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
