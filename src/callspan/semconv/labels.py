# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The labels of metrics: their keys, and the closed sets of their values."""

from __future__ import annotations

from typing import Final

L_AGENT: Final = "agent_name"
L_OUTCOME: Final = "outcome"
L_KIND: Final = "kind"
L_STATUS: Final = "status"
L_TOOL: Final = "tool_name"
L_STAGE: Final = "stage"
L_COMPONENT: Final = "component"
L_PROVIDER: Final = "provider"
L_MODEL: Final = "model"
L_PART: Final = "part"
L_SPEAKER: Final = "speaker"
L_FROM_AGENT: Final = "from_agent"
L_TO_AGENT: Final = "to_agent"
L_ERROR_TYPE: Final = "error_type"
L_RECOVERABLE: Final = "recoverable"
L_SIGNAL: Final = "signal"
L_REASON: Final = "reason"
L_DESTINATION: Final = "destination"
L_CONVERSION: Final = "conversion"
L_CURRENCY: Final = "currency"

OTHER: Final = "other"
"""Stands for every value that the program did not declare, and for time that no stage claims."""
UNKNOWN: Final = "unknown"
"""Stands where a component does not say who provides it."""

TOOL_SUCCESS: Final = "success"
TOOL_ERROR: Final = "error"
TOOL_CANCELLED: Final = "cancelled"
TOOL_STATUSES: Final = (TOOL_SUCCESS, TOOL_ERROR, TOOL_CANCELLED)

JOB_DONE: Final = "done"
JOB_FAILED: Final = "failed"
"""It raised before a session was started: no call came of it."""
JOB_CRASHED: Final = "crashed"
"""Its process was gone before the job said that it had ended."""
JOB_STATUSES: Final = (JOB_DONE, JOB_FAILED, JOB_CRASHED)

STAGE_TRANSCRIPTION: Final = "transcription"
STAGE_END_OF_TURN: Final = "end_of_turn"
STAGE_TURN_HOOK: Final = "turn_hook"
STAGE_LLM_FIRST_TOKEN: Final = "llm_first_token"  # noqa: S105
STAGE_TOOLS: Final = "tools"
STAGE_SENTENCE: Final = "sentence"
STAGE_TTS_FIRST_BYTE: Final = "tts_first_byte"
STAGE_PLAYBACK: Final = "playback"
STAGES: Final = (
    STAGE_TRANSCRIPTION,
    STAGE_END_OF_TURN,
    STAGE_TURN_HOOK,
    STAGE_LLM_FIRST_TOKEN,
    STAGE_TOOLS,
    STAGE_SENTENCE,
    STAGE_TTS_FIRST_BYTE,
    STAGE_PLAYBACK,
    OTHER,
)

COMPONENT_STT: Final = "stt"
COMPONENT_LLM: Final = "llm"
COMPONENT_TTS: Final = "tts"
COMPONENT_REALTIME: Final = "realtime"
COMPONENT_VAD: Final = "vad"
COMPONENT_DECISION: Final = "decision"
COMPONENT_END_OF_TURN: Final = "end_of_turn"
COMPONENT_INTERRUPTION: Final = "interruption"
COMPONENT_AVATAR: Final = "avatar"
COMPONENTS: Final = (
    COMPONENT_STT,
    COMPONENT_LLM,
    COMPONENT_TTS,
    COMPONENT_REALTIME,
    COMPONENT_VAD,
    COMPONENT_DECISION,
    COMPONENT_END_OF_TURN,
    COMPONENT_INTERRUPTION,
    COMPONENT_AVATAR,
    OTHER,
)

SPEAKER_AGENT: Final = "agent"
SPEAKER_USER: Final = "user"

PART_TOTAL: Final = "total"
PART_PREDICTION: Final = "prediction"
PART_DETECTION_DELAY: Final = "detection_delay"

FEEDBACK_CSAT: Final = "csat"
FEEDBACK_NPS: Final = "nps"
FEEDBACK_THUMBS: Final = "thumbs"
FEEDBACK_SCALES: Final = {FEEDBACK_CSAT: (1, 5), FEEDBACK_NPS: (0, 10), FEEDBACK_THUMBS: (0, 1)}
"""The least and the greatest score of each kind."""

SIGNAL_METRICS: Final = "metrics"
SIGNAL_TRACES: Final = "traces"
REASON_NOT_DELIVERED: Final = "not_delivered"
"""Spans that a destination refused, or that were not sent when their process ended."""
REASON_UNCONFIRMED: Final = "unconfirmed"
"""Spans whose delivery was under way when their process ended: they may have arrived."""
REASON_FAILED: Final = "failed"
"""What an error in this package kept back; the log has it."""
REASON_KILLED: Final = "killed"
"""Spans of a process that was gone before they were delivered."""
REASON_GARBAGE: Final = "garbage"
"""No frame begins here; nothing after it can be told apart either."""
REASON_OVERSIZED: Final = "oversized"
REASON_VERSION: Final = "version"
"""Written by another version of this package, installed while the worker ran."""
REASON_MALFORMED: Final = "malformed"
REASON_TRUNCATED: Final = "truncated"
"""The process ended within a frame."""
REASON_INVALID: Final = "invalid"
"""A row that no frame can carry: not a finite number, or too many or too long attributes."""
REASON_CONFLICT: Final = "conflict"
REASON_TOO_MANY: Final = "too_many_metrics"
REASON_TOO_MANY_CALLS: Final = "too_many_calls"
REASON_SUSPECT_LATENCY: Final = "suspect_latency"
"""A turn latency below 0 or above :data:`SUSPECT_LATENCY_S`, or what a model or service took, below
0 or above :data:`SUSPECT_DURATION_S`: a clock or an anchor was wrong."""
