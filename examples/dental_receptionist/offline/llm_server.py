# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""A scripted stand-in for OpenAI's chat completions API, on loopback.

It exists so that the real ``livekit-plugins-openai`` client can be run without an account: the
wire format is the API's own (server-sent events, tool calls in deltas, a usage chunk at the end,
errors in OpenAI's envelope), and only the choice of what to answer is a script instead of a model.

Token counts follow one plain rule: a token is a run of characters without white space. Prompt
tokens are those of the messages and tool definitions. Cached tokens are those of the leading
messages with which an earlier request began too.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

_TOKEN = re.compile(r"\s*\S+\s*")


@dataclass(frozen=True)
class ToolCall:
    """A function that the model asks the client to run, with its arguments by name."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What the server answers: text, tool calls, both in that order, or an HTTP error.

    Attributes:
        text: The assistant's words.
        tool_calls: The functions to call, all in one answer.
        first_token_delay: Seconds before the first token, or before the error.
        token_delay: Seconds before each further token.
        status: The HTTP status. Anything but 200 is sent as an error whose message is ``text``.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    first_token_delay: float = 0.0
    token_delay: float = 0.0
    status: int = 200


@dataclass(frozen=True)
class Rule:
    """When a reply is given. Every condition that is set has to hold; none set matches always.

    Attributes:
        reply: What to answer.
        user: A regular expression searched, ignoring case, in the last thing the user said,
            while no tool result follows it. ``^$`` is a conversation in which the user has not
            spoken yet.
        tool: The name of the function whose result is the last message.
        result: A regular expression searched, ignoring case, in the last tool result.
        offered: The name of a tool that the request offers.
    """

    reply: Reply
    user: str | None = None
    tool: str | None = None
    result: str | None = None
    offered: str | None = None

    def matches(self, situation: Situation) -> bool:
        """Whether every condition of this rule holds."""
        if self.user is not None and (
            situation.tool is not None or not re.search(self.user, situation.user, re.IGNORECASE)
        ):
            return False
        if self.tool is not None and self.tool != situation.tool:
            return False
        if self.offered is not None and self.offered not in situation.offered:
            return False
        return self.result is None or (
            situation.tool is not None
            and re.search(self.result, situation.result, re.IGNORECASE) is not None
        )


@dataclass(frozen=True)
class Situation:
    """Where a conversation stands, read from the end of a request's messages.

    Attributes:
        user: The last thing the user said; empty if nothing.
        tool: The function whose result came after that, if any.
        result: That result's text.
        offered: The names of the functions that the request offers.
    """

    user: str = ""
    tool: str | None = None
    result: str = ""
    offered: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Situation:
        """Read the situation off the messages and tools of a request."""
        offered = frozenset(each["function"]["name"] for each in tools)
        calls = {
            call["id"]: call["function"]["name"]
            for message in messages
            for call in message.get("tool_calls") or ()
        }
        tool, result = None, ""
        for message in reversed(messages):
            if message["role"] == "user":
                return cls(_text(message), tool, result, offered)
            if message["role"] == "tool" and tool is None:
                tool, result = calls.get(message["tool_call_id"], ""), _text(message)
        return cls("", tool, result, offered)


@dataclass(frozen=True)
class Script:
    """Rules in order; the first that matches gives the reply."""

    rules: Sequence[Rule]

    def answer(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Reply:
        """Choose the reply to a conversation in which these tools are offered.

        Where no rule matches, the reply is an HTTP 400 that says what was asked, so that a hole
        in a script shows as an error of the caller's and never as an invented answer.
        """
        situation = Situation.of(messages, tools)
        for rule in self.rules:
            if rule.matches(situation):
                return rule.reply
        return Reply(
            text=f"no rule of the script matches {situation}: add one, or a last Rule(Reply(...))",
            status=400,
        )


class ScriptedChatServer:
    """An HTTP server that answers ``POST /v1/chat/completions`` from a script.

    Runs on the current event loop with ``async with``, or with ``with`` (or :meth:`start` and
    :meth:`stop`) on a loop and thread of its own. The port is free to take and chosen at once, so
    :attr:`base_url` is known before the server runs.

    Attributes:
        script: The rules; may be replaced while the server runs.
        base_url: What to give an OpenAI client as ``base_url``.
        requests: The body of each chat completion request so far, in order of arrival.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self._prefixes_seen: set[str] = set()
        self._runner: web.AppRunner | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._list_models)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def start(self) -> Self:
        """Run the server on a thread of its own; returns when it accepts requests."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="scripted-chat-server", daemon=True
        )
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.__aenter__(), self._loop).result()
        return self

    def stop(self) -> None:
        """Stop the server that :meth:`start` started, and its thread."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self.__aexit__(None, None, None), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def _list_models(self, request: web.Request) -> web.Response:
        # the LiveKit plugin asks for this once, to open its connection ahead of the first turn
        return web.json_response({"object": "list", "data": []})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.json()
            messages = body["messages"]
            model = body["model"]
        except (json.JSONDecodeError, KeyError) as error:
            return _error(400, f"the request is no chat completion request: {error!r}")
        self.requests.append(body)
        cached = self._count_cached_tokens(messages)
        reply = self.script.answer(messages, body.get("tools") or ())
        await asyncio.sleep(reply.first_token_delay)
        if reply.status != 200:
            return _error(reply.status, reply.text)
        completion = _Completion(model, reply, _usage(body, reply, cached))
        if not body.get("stream"):
            return web.json_response(completion.whole())
        include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for number, chunk in enumerate(completion.chunks(include_usage=include_usage)):
                if number > 0 and reply.token_delay:
                    await asyncio.sleep(reply.token_delay)
                await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
            await response.write(b"data: [DONE]\n\n")
            await response.write_eof()
        except ConnectionResetError:
            pass  # a caller who interrupts the agent makes the client drop the stream
        return response

    def _count_cached_tokens(self, messages: Sequence[Mapping[str, Any]]) -> int:
        cached = 0
        for end in range(1, len(messages) + 1):
            prefix = json.dumps(messages[:end], sort_keys=True)
            if prefix in self._prefixes_seen:
                cached = _count_tokens(messages[:end])
            self._prefixes_seen.add(prefix)
        return cached


@dataclass(frozen=True)
class _Completion:
    """One answer in both of the API's shapes."""

    model: str
    reply: Reply
    usage: Mapping[str, Any]
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex[:24]}")
    created: int = field(default_factory=lambda: int(time.time()))
    call_ids: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        ids = tuple(f"call_{uuid.uuid4().hex[:24]}" for _ in self.reply.tool_calls)
        object.__setattr__(self, "call_ids", ids)

    @property
    def finish_reason(self) -> str:
        return "tool_calls" if self.reply.tool_calls else "stop"

    def whole(self) -> dict[str, Any]:
        """The answer to a request that does not stream."""
        message: dict[str, Any] = {"role": "assistant", "content": self.reply.text or None}
        if self.reply.tool_calls:
            message["tool_calls"] = [
                _tool_call(call_id, call.name, json.dumps(call.arguments))
                for call_id, call in zip(self.call_ids, self.reply.tool_calls, strict=True)
            ]
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        return self._envelope("chat.completion", choices=[choice], usage=self.usage)

    def chunks(self, *, include_usage: bool) -> Iterator[dict[str, Any]]:
        """The events of a stream: one per token, then the finish, then the usage."""
        deltas = list(self._deltas()) or [{"content": ""}]
        deltas[0] = {"role": "assistant", **deltas[0]}
        for delta in deltas:
            yield self._chunk(delta, finish_reason=None)
        yield self._chunk({}, finish_reason=self.finish_reason)
        if include_usage:
            yield self._envelope("chat.completion.chunk", choices=[], usage=self.usage)

    def _deltas(self) -> Iterator[dict[str, Any]]:
        for token in _TOKEN.findall(self.reply.text):
            yield {"content": token}
        for index, (call_id, call) in enumerate(
            zip(self.call_ids, self.reply.tool_calls, strict=True)
        ):
            yield {"tool_calls": [{"index": index, **_tool_call(call_id, call.name, "")}]}
            for token in _TOKEN.findall(json.dumps(call.arguments)):
                yield {"tool_calls": [{"index": index, "function": {"arguments": token}}]}

    def _chunk(self, delta: Mapping[str, Any], *, finish_reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return self._envelope("chat.completion.chunk", choices=[choice])

    def _envelope(self, kind: str, **fields: Any) -> dict[str, Any]:
        head = {"id": self.id, "object": kind, "created": self.created, "model": self.model}
        return {**head, **fields}


def _tool_call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)


def _usage(body: Mapping[str, Any], reply: Reply, cached: int) -> dict[str, Any]:
    prompt = _count_tokens(body["messages"]) + _count_words(json.dumps(body.get("tools") or ""))
    completion = _count_words(reply.text) + sum(
        1 + _count_words(json.dumps(call.arguments)) for call in reply.tool_calls
    )
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _count_tokens(messages: Sequence[Mapping[str, Any]]) -> int:
    return sum(
        _count_words(_text(message))
        + sum(1 + _count_words(call["function"]["arguments"]) for call in message["tool_calls"])
        if message.get("tool_calls")
        else _count_words(_text(message))
        for message in messages
    )


def _count_words(text: str) -> int:
    return len(text.split())


def _error(status: int, message: str) -> web.Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    error = {"message": message, "type": kind, "param": None, "code": None}
    return web.json_response({"error": error}, status=status)
