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

# --- what Langfuse reads beside its own --------------------------------------------------------

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
