# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Langfuse: the attributes it documents, and those of a call's spans that become them."""

from __future__ import annotations

from typing import Final

# --- on every span -----------------------------------------------------------------------------

LANGFUSE_SESSION_ID: Final = "langfuse.session.id"
LANGFUSE_USER_ID: Final = "langfuse.user.id"
LANGFUSE_TAGS: Final = "langfuse.trace.tags"
LANGFUSE_TRACE_NAME: Final = "langfuse.trace.name"
LANGFUSE_ENVIRONMENT: Final = "langfuse.environment"
LANGFUSE_RELEASE: Final = "langfuse.release"
LANGFUSE_TRACE_METADATA: Final = "langfuse.trace.metadata."
"""Prefix: what stands below it can be searched for, other attributes cannot."""

# --- on one ------------------------------------------------------------------------------------

LANGFUSE_TYPE: Final = "langfuse.observation.type"
LANGFUSE_LEVEL: Final = "langfuse.observation.level"
LANGFUSE_MODEL: Final = "langfuse.observation.model.name"
LANGFUSE_USAGE: Final = "langfuse.observation.usage_details"
"""JSON: whole numbers by kind; without ``total`` Langfuse adds up whatever it finds."""
LANGFUSE_COST: Final = "langfuse.observation.cost_details"
"""JSON: dollars by kind; ``total`` is what Langfuse adds up, over all observations of a trace."""
LANGFUSE_COMPLETION_START: Final = "langfuse.observation.completion_start_time"
"""When the first of the answer came, ISO 8601."""
LANGFUSE_INPUT: Final = "langfuse.observation.input"
LANGFUSE_OUTPUT: Final = "langfuse.observation.output"
LANGFUSE_METADATA: Final = "langfuse.observation.metadata."
"""Prefix, as for the trace."""

LANGFUSE_SPAN: Final = "span"
LANGFUSE_GENERATION: Final = "generation"
LANGFUSE_AGENT: Final = "agent"
LANGFUSE_TOOL: Final = "tool"

LANGFUSE_LEVEL_DEFAULT: Final = "DEFAULT"
LANGFUSE_LEVEL_ERROR: Final = "ERROR"

# --- parts of usage ----------------------------------------------------------------------------

USAGE_INPUT: Final = "input"
USAGE_INPUT_CACHED: Final = "input_cache_read"
USAGE_INPUT_CACHE_WRITE: Final = "input_cache_creation"
USAGE_INPUT_AUDIO: Final = "input_audio_tokens"
USAGE_INPUT_AUDIO_CACHED: Final = "input_cached_audio_tokens"
USAGE_INPUT_IMAGE: Final = "input_image_tokens"
USAGE_INPUT_IMAGE_CACHED: Final = "input_cached_image_tokens"
USAGE_OUTPUT: Final = "output"
USAGE_OUTPUT_AUDIO: Final = "output_audio_tokens"
USAGE_OUTPUT_REASONING: Final = "output_reasoning_tokens"
USAGE_CHARACTERS: Final = "characters"
"""Of speech that was synthesised; no token, so not part of the total."""
USAGE_MILLISECONDS: Final = "audio_milliseconds"
"""Of speech that was recognised; no token, so not part of the total."""
USAGE_TOTAL: Final = "total"
COST_OTHER: Final = "other"
"""Of a call's cost: what is on the span of no request."""

# --- what a call's spans say -------------------------------------------------------------------

SPAN_REALTIME_METRICS: Final = "realtime_metrics"
SPAN_FUNCTION_TOOL: Final = "function_tool"

LANGFUSE_READS_AS_USAGE: Final = ("gen_ai.usage.", "llm.token_count.", "llm.cost.")
"""Prefixes of what counts, in Langfuse, as usage or cost of whatever span carries it."""
LANGFUSE_READS_AS_MODEL: Final = (
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.response.model",
    "llm.model_name",
    "model",
)
"""Attributes of which the first, in Langfuse, is the model of whatever span carries it."""

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

LK_TTS_METRICS: Final = "lk.tts_metrics"
"""JSON of LiveKit's TTSMetrics, on ``tts_request``."""
LK_USER_INPUT: Final = "lk.pii.user_input"
LK_RESPONSE_TEXT: Final = "lk.pii.response.text"
LK_INPUT_TEXT: Final = "lk.pii.input_text"
LK_TOOL_ARGUMENTS: Final = "lk.pii.function_tool.arguments"
LK_TOOL_OUTPUT: Final = "lk.pii.function_tool.output"
LK_TOOL_IS_ERROR: Final = "lk.function_tool.is_error"

DEPLOYMENT_ENVIRONMENTS: Final = ("deployment.environment.name", "deployment.environment")
"""On the resource; the second is the older name."""
SERVICE_VERSION: Final = "service.version"
