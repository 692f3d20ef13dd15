# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""What stands in for the paid model: it answers with the next line of a script."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions, llm


@dataclass
class ToolCall:
    """Has the agent call a tool."""

    name: str
    arguments: dict[str, Any]


class ScriptedLLM(llm.LLM):
    """Answers each request with the next line: something to say, or a tool to call.

    Args:
        *lines: The script.
        input_tokens: What each request is said to take in.
        output_tokens: What each answer is said to have.
    """

    def __init__(
        self, *lines: str | ToolCall, input_tokens: int = 200, output_tokens: int = 20
    ) -> None:
        super().__init__()
        self.lines = deque(lines)
        self.usage = llm.CompletionUsage(
            prompt_tokens=input_tokens,
            completion_tokens=output_tokens,
            total_tokens=input_tokens + output_tokens,
        )

    @property
    def model(self) -> str:
        return "gpt-4o-mini"

    @property
    def provider(self) -> str:
        return "openai"

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        return _Answer(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Answer(llm.LLMStream):
    async def _run(self) -> None:
        model = self._llm
        if not model.lines:
            raise LookupError(f"the script has no line after: {self.chat_ctx.items[-1]}")
        line, request_id = model.lines.popleft(), uuid4().hex
        if isinstance(line, ToolCall):
            call = llm.FunctionToolCall(
                name=line.name, arguments=json.dumps(line.arguments), call_id=uuid4().hex
            )
            delta = llm.ChoiceDelta(role="assistant", tool_calls=[call])
        else:
            delta = llm.ChoiceDelta(role="assistant", content=line)
        self._event_ch.send_nowait(llm.ChatChunk(id=request_id, delta=delta))
        self._event_ch.send_nowait(llm.ChatChunk(id=request_id, usage=model.usage))
