# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""LiveKit's own names, those of OpenTelemetry's GenAI conventions among them: what we read."""

from __future__ import annotations

from typing import Final

LIVEKIT_SCOPE_NAME: Final = "livekit-agents"
"""The instrumentation scope of LiveKit's native spans."""

# --- spans -------------------------------------------------------------------------------------

SPAN_JOB: Final = "job_entrypoint"
SPAN_JOB_SHUTDOWN: Final = "job_shutdown"
SPAN_SESSION_START: Final = "session_start"
SPAN_SESSION_CLOSE: Final = "session_close"
SPAN_ROOM_CONNECT: Final = "room_connect"
SPAN_WAIT_FOR_PARTICIPANT: Final = "wait_for_participant"
SPAN_ROOM_DISCONNECT: Final = "room_disconnect"
SPAN_SHUTDOWN_CALLBACK: Final = "shutdown_callback"
SPAN_SESSION_END_UPLOAD: Final = "session_end_upload"
SPAN_ON_SESSION_END: Final = "on_session_end"
SPAN_SESSION: Final = "agent_session"
SPAN_USER_TURN: Final = "user_turn"
SPAN_USER_SPEAKING: Final = "user_speaking"
SPAN_AGENT_TURN: Final = "agent_turn"
SPAN_AGENT_SPEAKING: Final = "agent_speaking"
SPAN_EOU_WAIT: Final = "eou_wait"
SPAN_TURN_HOOK: Final = "on_user_turn_completed"
SPAN_LLM_NODE: Final = "llm_node"
SPAN_TTS_NODE: Final = "tts_node"
SPAN_UPDATE_AGENT: Final = "update_agent"
SPAN_LLM_REQUEST: Final = "llm_request"
SPAN_TTS_REQUEST: Final = "tts_request"
SPAN_REALTIME_INFERENCE: Final = "realtime_inference"
SPAN_EOU_DETECTION: Final = "eou_detection"
SPAN_DECISION: Final = "decision_model.evaluate"
SPAN_REALTIME_METRICS: Final = "realtime_metrics"
SPAN_FUNCTION_TOOL: Final = "function_tool"
EVENT_DISCARDED: Final = "preemptive_generation_discarded"

# --- GenAI attributes --------------------------------------------------------------------------

GEN_AI_AGENT_NAME: Final = "gen_ai.agent.name"
GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
GEN_AI_PROVIDER_NAME: Final = "gen_ai.provider.name"
GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
GEN_AI_RESPONSE_ID: Final = "gen_ai.response.id"
GEN_AI_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
GEN_AI_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
GEN_AI_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
GEN_AI_CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
GEN_AI_CACHE_WRITE: Final = "gen_ai.usage.cache_write.input_tokens"
GEN_AI_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"
GEN_AI_AUDIO_INPUT: Final = "gen_ai.usage.audio.input_tokens"
GEN_AI_AUDIO_CACHE_READ: Final = "gen_ai.usage.audio.cache_read.input_tokens"
GEN_AI_AUDIO_OUTPUT: Final = "gen_ai.usage.audio.output_tokens"
GEN_AI_IMAGE_INPUT: Final = "gen_ai.usage.image.input_tokens"
GEN_AI_IMAGE_CACHE_READ: Final = "gen_ai.usage.image.cache_read.input_tokens"

# --- attributes of LiveKit's -------------------------------------------------------------------

LK_JOB_ID: Final = "lk.job_id"
LK_AGENT_NAME: Final = "lk.agent_name"
LK_AGENT_LABEL: Final = "lk.agent_label"
LK_DISPATCH_LATENCY: Final = "lk.job.dispatch_latency"
LK_CLOSE_REASON: Final = "lk.close_reason"
LK_BLOCKING_COUNT: Final = "lk.blocking.count"
LK_BLOCKING_TOTAL: Final = "lk.blocking.total_duration"
LK_E2E_LATENCY: Final = "lk.e2e_latency"
LK_EOU_OUTCOME: Final = "lk.eou.outcome"
LK_INTERRUPTED: Final = "lk.interrupted"
LK_INTERRUPTION_SOURCE: Final = "lk.interruption.source"
LK_TTFT: Final = "lk.response.ttft"
LK_TTFB: Final = "lk.response.ttfb"
LK_TOOL_NAME: Final = "lk.function_tool.name"
EOU_COMMITTED: Final = "committed"
LK_PII_SEGMENT: Final = "pii"
LK_TRANSCRIPT: Final = "lk.pii.user_transcript"
LK_TRANSCRIPTION_DELAY: Final = "lk.transcription_delay"
LK_PLAYOUT_POSITION: Final = "lk.playout.position"
LK_SIP_PREFIX: Final = "lk.sip."
LK_SIP_RULE_ID: Final = "lk.sip.ruleID"
LK_SIP_TRUNK_ID: Final = "lk.sip.trunkID"
LK_SIP_CALL_ID: Final = "lk.sip.callID"
LK_SIP_PHONE_NUMBER: Final = "lk.pii.sip.phoneNumber"
LK_LLM_METRICS: Final = "lk.llm_metrics"
LK_TTS_METRICS: Final = "lk.tts_metrics"
"""JSON of LiveKit's TTSMetrics, on ``tts_request``."""
LK_REALTIME_MODEL_METRICS: Final = "lk.realtime_model_metrics"
LK_PROVIDER_REQUEST_IDS: Final = "lk.provider_request_ids"
LK_SPEECH_ID: Final = "lk.speech_id"
LK_END_OF_TURN_DELAY: Final = "lk.end_of_turn_delay"
LK_HOOK_DELAY: Final = "lk.on_user_turn_completed_delay"
LK_EOU_DETECTION_DELAY: Final = "lk.eou.detection_delay"
LK_INTERRUPTION_TOTAL_DURATION: Final = "lk.interruption.total_duration"
LK_INTERRUPTION_PREDICTION_DURATION: Final = "lk.interruption.prediction_duration"
LK_INTERRUPTION_DETECTION_DELAY: Final = "lk.interruption.detection_delay"
LK_USER_INPUT: Final = "lk.pii.user_input"
LK_RESPONSE_TEXT: Final = "lk.pii.response.text"
LK_INPUT_TEXT: Final = "lk.pii.input_text"
LK_TOOL_ARGUMENTS: Final = "lk.pii.function_tool.arguments"
LK_TOOL_OUTPUT: Final = "lk.pii.function_tool.output"
LK_TOOL_IS_ERROR: Final = "lk.function_tool.is_error"

# --- tags of a call ----------------------------------------------------------------------------

LK_TAG_SUCCESS: Final = "lk.success"
LK_TAG_FAIL: Final = "lk.fail"
LK_TAGS_MACHINE: Final = frozenset(
    {"lk.amd:machine-ivr", "lk.amd:machine-vm", "lk.amd:machine-unavailable"}
)
LK_TAG_JUDGE: Final = "lk.judge."
"""Tag of a judge's verdict: followed by the judge's name, a colon, and the verdict."""
