# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Which attributes and events carry content, and what stands in their place."""

from __future__ import annotations

from typing import Final

CONTENT_ATTRIBUTES: Final = frozenset(
    {
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.tool.definitions",
        "gen_ai.tool.description",
        "gen_ai.retrieval.query.text",
        "gen_ai.retrieval.documents",
        "gen_ai.memory.query.text",
        "gen_ai.memory.records",
        "gen_ai.evaluation.explanation",
        "gen_ai.prompt",
        "gen_ai.completion",
        # LiveKit up to 1.6 wrote content without the pii segment
        "lk.user_input",
        "lk.user_transcript",
        "lk.instructions",
        "lk.chat_ctx",
        "lk.response.text",
        "lk.response.function_calls",
        "lk.function_tool.arguments",
        "lk.function_tool.output",
        "lk.input_text",
        "lk.room_name",
        "lk.participant_identity",
        "lk.amd.transcript",
        # still without it: who called whom, and the number that was called
        "lk.rpc.caller_identity",
        "lk.rpc.destination_identity",
        "lk.sip.trunkPhoneNumber",
        "exception.stacktrace",
    }
)
"""Attributes that carry what was said, prompted, or passed through tools."""

# SIP headers that a trunk maps can name the caller
CONTENT_ATTRIBUTE_PREFIXES: Final = (
    "gen_ai.prompt.variable.",
    "gen_ai.prompt.",
    "gen_ai.completion.",
    "lk.sip.h.",
)

CONTENT_EVENTS: Final = frozenset(
    {
        "gen_ai.system.message",
        "gen_ai.user.message",
        "gen_ai.assistant.message",
        "gen_ai.tool.message",
        "gen_ai.choice",
        "gen_ai.client.inference.operation.details",
    }
)
"""Events whose body is content; dropped whole."""

EXCEPTION_MESSAGE: Final = "exception.message"
REDACTED: Final = "redacted: content capture is off"
"""Stands where an exception's or a status's message was: the type stays, the words go."""
