# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""One conversation in the protocol of OpenAI's Realtime API, as the server has it.

Real are the protocol, voice activity detection on the audio that arrives, interruption, and usage
counted from what was said. Scripted are which words were heard, and what is answered.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from kit.realtime.input import BYTES_PER_SECOND, InputAudio
from kit.realtime.script import RealtimeReply, RealtimeScript, Voice
from kit.realtime.usage import Usage, text_tokens
from offline.llm_server import ToolCall

Event = dict[str, Any]
"""One event of the protocol, either way."""

_CHUNK_S = 0.1
_SILENCE_MS = 300


@dataclass(slots=True)
class _Response:
    id: str
    metadata: Event | None
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str = ""
    task: asyncio.Task[None] | None = None

    def cancel(self, reason: str) -> None:
        self.reason = reason
        self.cancelled.set()

    async def pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.cancelled.wait(), seconds)


class Conversation:
    """One connection: the session's settings, the items, the input buffer, the response.

    Args:
        send: Sends one event to the client.
        script: What is heard and answered.
        voice: How replies sound.
        speed: Seconds of audio sent per second.
    """

    def __init__(
        self,
        send: Callable[[Event], Awaitable[None]],
        script: RealtimeScript,
        voice: Voice,
        *,
        speed: float,
    ) -> None:
        self._send_event = send
        self._script = script
        self._voice = voice
        self._pause_s = _CHUNK_S / speed
        self._ids = count(1)
        self._session: Event = {}
        self._items: list[Event] = []
        self._usage = Usage()
        self._response: _Response | None = None
        self._input = InputAudio()
        self._speech_item: str | None = None

    async def open(self, model: str) -> None:
        """Greets a client that connected for `model`."""
        self._session = {
            "type": "realtime",
            "object": "realtime.session",
            "id": self._new_id("sess"),
            "model": model,
            "output_modalities": ["audio"],
            "audio": {"input": {"turn_detection": {"type": "server_vad"}}, "output": {}},
        }
        await self._send("session.created", session=self._session)

    async def close(self) -> None:
        """Ends what is being answered; the client is gone."""
        if self._response is not None and self._response.task is not None:
            self._response.task.cancel()
            await asyncio.gather(self._response.task, return_exceptions=True)

    async def handle(self, event: Event) -> None:
        """Does what a client's event asks for, or answers with an `error` event."""
        handler = _HANDLERS.get(event["type"])
        if handler is None:
            await self._refuse(event, f"unknown event type {event['type']!r}", "unknown_event")
        else:
            await handler(self, event)

    # The session and its items.

    async def _update_session(self, event: Event) -> None:
        _merge(self._session, event["session"])
        self._usage.set_prompt(self._session.get("instructions"), self._session.get("tools"))
        await self._send("session.updated", session=self._session)

    async def _create_item(self, event: Event) -> None:
        item = {"id": self._new_id("item"), "status": "completed", **event["item"]}
        if any(other["id"] == item["id"] for other in self._items):
            await self._refuse(event, "the item exists", "item_create_duplicate_item_id")
            return
        previous = event.get("previous_item_id")
        ids = [other["id"] for other in self._items]
        if previous not in (None, "root", *ids):
            await self._refuse(event, f"no item {previous!r}", "item_create_invalid_previous_item")
            return
        at = len(ids) if previous is None else 0 if previous == "root" else ids.index(previous) + 1
        self._usage.add_item(item)
        await self._add_item(item, at)

    async def _delete_item(self, event: Event) -> None:
        kept = [item for item in self._items if item["id"] != event["item_id"]]
        if len(kept) == len(self._items):
            await self._refuse(event, f"no item {event['item_id']!r}", "item_delete_invalid_item")
            return
        self._items = kept
        await self._send("conversation.item.deleted", item_id=event["item_id"])

    async def _truncate_item(self, event: Event) -> None:
        await self._send(
            "conversation.item.truncated",
            item_id=event["item_id"],
            content_index=event["content_index"],
            audio_end_ms=event["audio_end_ms"],
        )

    async def _add_item(self, item: Event, at: int | None = None) -> None:
        at = len(self._items) if at is None else at
        self._items.insert(at, item)
        await self._send("conversation.item.added", item=item, **self._place_of(item))

    def _place_of(self, item: Event) -> Event:
        at = self._items.index(item) if item in self._items else 0
        return {"previous_item_id": self._items[at - 1]["id"] if at else None}

    # What the user says.

    async def _append_audio(self, event: Event) -> None:
        detection = self._session["audio"]["input"].get("turn_detection") or {}
        silence_s = detection.get("silence_duration_ms", _SILENCE_MS) / 1000
        change = self._input.append(base64.b64decode(event["audio"]), silence_s=silence_s)
        if detection and change == "started":
            await self._start_speech(detection)
        elif detection and change == "stopped":
            await self._stop_speech(detection)

    async def _start_speech(self, detection: Event) -> None:
        self._speech_item = self._new_id("item")
        if detection.get("interrupt_response") is not False and self._response is not None:
            self._response.cancel("turn_detected")
        await self._send(
            "input_audio_buffer.speech_started",
            audio_start_ms=int(self._input.started_at_s * 1000),
            item_id=self._speech_item,
        )

    async def _stop_speech(self, detection: Event) -> None:
        await self._send(
            "input_audio_buffer.speech_stopped",
            audio_end_ms=int(self._input.stopped_at_s * 1000),
            item_id=self._speech_item,
        )
        await self._take_turn(self._input.take())
        if detection.get("create_response") is not False:
            if self._response is not None and self._response.task is not None:
                await self._response.task
            await self._respond(metadata=None)

    async def _commit_audio(self, event: Event) -> None:
        if seconds := self._input.take():
            await self._take_turn(seconds)
        else:
            await self._refuse(event, "the buffer is empty", "input_audio_buffer_commit_empty")

    async def _clear_audio(self, event: Event) -> None:
        self._input.take()
        await self._send("input_audio_buffer.cleared")

    async def _take_turn(self, seconds: float) -> None:
        item_id, self._speech_item = self._speech_item or self._new_id("item"), None
        previous = self._items[-1]["id"] if self._items else None
        await self._send("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id)
        audio_tokens = self._usage.heard(seconds)
        content = [{"type": "input_audio", "transcript": None}]
        await self._add_item(_message(item_id, "user", "completed", content))
        heard = self._script.next_heard()
        if self._session["audio"]["input"].get("transcription") and heard:
            await self._transcribe(item_id, heard, audio_tokens)

    async def _transcribe(self, item_id: str, heard: str, audio: int) -> None:
        kind = "conversation.item.input_audio_transcription"
        place = {"item_id": item_id, "content_index": 0}
        for word in _pieces(heard):
            await self._send(f"{kind}.delta", **place, delta=word)
        text = text_tokens(heard)
        await self._send(
            f"{kind}.completed",
            **place,
            transcript=heard,
            usage={
                "type": "tokens",
                "input_tokens": audio,
                "input_token_details": {"audio_tokens": audio, "text_tokens": 0},
                "output_tokens": text,
                "total_tokens": audio + text,
            },
        )

    # What the model answers.

    async def _create_response(self, event: Event) -> None:
        wanted = event.get("response") or {}
        if self._response is not None:
            code = "conversation_already_has_active_response"
            await self._refuse(event, "a response is active", code)
        else:
            await self._respond(wanted.get("metadata"), event)

    async def _cancel_response(self, event: Event) -> None:
        if self._response is None:
            # LiveKit's plugin knows this error by the first words of its message.
            message = "Cancellation failed: no active response found"
            await self._refuse(event, message, "response_cancel_not_active")
        else:
            self._response.cancel("client_cancelled")

    async def _respond(self, metadata: Event | None, event: Event | None = None) -> None:
        reply = self._script.next_reply()
        if reply is None:
            message = "the script has no reply left: give RealtimeScript(replies=...) one more"
            await self._refuse(event or {}, message, "script_exhausted")
            return
        self._response = _Response(self._new_id("resp"), metadata)
        self._response.task = asyncio.create_task(self._play(self._response, reply))

    async def _play(self, response: _Response, reply: RealtimeReply) -> None:
        await self._send("response.created", response=self._described(response, "in_progress"))
        await response.pause(reply.first_token_delay)
        audio_s = 0.0
        if reply.text and not response.cancelled.is_set():
            audio_s = await self._speak(response, reply.text)
        for index, call in enumerate(reply.tool_calls, start=bool(reply.text)):
            if not response.cancelled.is_set():
                await self._call(response, index, call)
        done = self._described(response, "cancelled" if response.reason else "completed")
        done["usage"] = self._usage.of_response(
            reply.text, audio_s, (json.dumps(call.arguments) for call in reply.tool_calls)
        )
        self._response = None
        await self._send("response.done", response=done)

    async def _speak(self, response: _Response, words: str) -> float:
        """Sends the words with their audio at the server's speed; returns the seconds sent."""
        item = _message(self._new_id("item"), "assistant", "in_progress", [])
        place = await self._open_output(response, 0, item)
        place["content_index"] = 0
        spoken = self._session["output_modalities"] != ["text"]
        kind = "output_audio_transcript" if spoken else "output_text"
        part = {"type": "audio", "transcript": ""} if spoken else {"type": "text", "text": ""}
        await self._send("response.content_part.added", **place, part=part)
        for piece in _pieces(words):
            await self._send(f"response.{kind}.delta", **place, delta=piece)
        sent = 0
        for chunk in _chunks(self._voice(words)) if spoken else ():
            await response.pause(self._pause_s)
            if response.cancelled.is_set():
                break
            sent += len(chunk)
            delta = base64.b64encode(chunk).decode()
            await self._send("response.output_audio.delta", **place, delta=delta)
        if spoken:
            await self._send("response.output_audio.done", **place)
        said = {"transcript" if spoken else "text": words}
        await self._send(f"response.{kind}.done", **place, **said)
        item["content"] = [{"type": f"output_{part['type']}", **said}]
        await self._send("response.content_part.done", **place, part={**part, **said})
        await self._close_output(response, 0, item)
        return sent / BYTES_PER_SECOND

    async def _call(self, response: _Response, index: int, call: ToolCall) -> None:
        arguments = json.dumps(call.arguments)
        item: Event = {
            "id": self._new_id("item"),
            "type": "function_call",
            "status": "in_progress",
            "call_id": self._new_id("call"),
            "name": call.name,
            "arguments": "",
        }
        place = await self._open_output(response, index, item)
        place["call_id"] = item["call_id"]
        await self._send("response.function_call_arguments.delta", **place, delta=arguments)
        await self._send("response.function_call_arguments.done", **place, arguments=arguments)
        item["arguments"] = arguments
        await self._close_output(response, index, item)

    async def _open_output(self, response: _Response, index: int, item: Event) -> Event:
        """Opens an item of the response; returns what its further events have in common."""
        await self._send(
            "response.output_item.added", response_id=response.id, output_index=index, item=item
        )
        await self._add_item(item)
        return {"response_id": response.id, "item_id": item["id"], "output_index": index}

    async def _close_output(self, response: _Response, index: int, item: Event) -> None:
        item["status"] = "incomplete" if response.cancelled.is_set() else "completed"
        await self._send(
            "response.output_item.done", response_id=response.id, output_index=index, item=item
        )
        await self._send("conversation.item.done", item=item, **self._place_of(item))

    def _described(self, response: _Response, status: str) -> Event:
        cancelled = {"type": "cancelled", "reason": response.reason}
        return {
            "object": "realtime.response",
            "id": response.id,
            "status": status,
            "status_details": cancelled if status == "cancelled" else None,
            "metadata": response.metadata,
            "output_modalities": self._session["output_modalities"],
            "output": [],
            "usage": None,
        }

    # The wire.

    async def _refuse(self, event: Event, message: str, code: str) -> None:
        error = {
            "type": "invalid_request_error",
            "code": code,
            "message": message,
            "param": None,
            "event_id": event.get("event_id"),
        }
        await self._send("error", error=error)

    async def _send(self, kind: str, **fields: Any) -> None:
        with suppress(ConnectionError):
            await self._send_event({"type": kind, "event_id": self._new_id("event"), **fields})

    def _new_id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._ids):06d}"


_HANDLERS = {
    "session.update": Conversation._update_session,
    "conversation.item.create": Conversation._create_item,
    "conversation.item.delete": Conversation._delete_item,
    "conversation.item.truncate": Conversation._truncate_item,
    "input_audio_buffer.append": Conversation._append_audio,
    "input_audio_buffer.commit": Conversation._commit_audio,
    "input_audio_buffer.clear": Conversation._clear_audio,
    "response.create": Conversation._create_response,
    "response.cancel": Conversation._cancel_response,
}


def _message(item_id: str, role: str, status: str, content: list[Event]) -> Event:
    item = {"id": item_id, "type": "message", "role": role, "status": status}
    return {**item, "content": content}


def _merge(into: Event, update: Event) -> None:
    for key, value in update.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _pieces(text: str) -> Iterator[str]:
    for index, word in enumerate(text.split()):
        yield f" {word}" if index else word


def _chunks(audio: bytes) -> Iterator[bytes]:
    size = int(_CHUNK_S * BYTES_PER_SECOND)
    for start in range(0, len(audio), size):
        yield audio[start : start + size]
