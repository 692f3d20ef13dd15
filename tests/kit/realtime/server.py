# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""A scripted stand-in for OpenAI's Realtime API, on the loopback.

A speech-to-speech model is a paid service on the internet. This speaks its websocket protocol, so
that LiveKit's own plugin can be run against it unchanged.
"""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self

from aiohttp import WSMsgType, web

from kit.realtime.conversation import Conversation, Event
from kit.realtime.script import RealtimeScript, Voice, tone


class ScriptedRealtimeServer:
    """Serves the protocol on a loop and thread of its own.

    Attributes:
        received: Every event of every client so far, audio left out, in order of arrival.

    Args:
        script: What is heard and answered. A response that it has no reply for is refused with an
            `error` event.
        voice: How replies sound. Default: `tone`.
        speed: Seconds of audio sent per second; the real service too is faster than speech.
    """

    def __init__(self, script: RealtimeScript, *, voice: Voice = tone, speed: float = 10.0) -> None:
        self.received: list[Event] = []
        self._script = script
        self._voice = voice
        self._speed = speed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        """What `RealtimeModel(base_url=...)` wants.

        Raises:
            RuntimeError: The server is not started.
        """
        if self._runner is None:
            raise RuntimeError("the server has no port before start(); use it in a with block")
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    def start(self) -> Self:
        """Listens on a free port; returns when it accepts connections."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="scripted-realtime-server", daemon=True
        )
        self._thread.start()
        self._runner = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def stop(self) -> None:
        """Closes every connection and the port, and ends the thread."""
        if self._loop is None or self._thread is None or self._runner is None:
            return
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._runner = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def _listen(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/v1/realtime", self._accept)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    async def _accept(self, request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        conversation = Conversation(
            websocket.send_json, self._script, self._voice, speed=self._speed
        )
        await conversation.open(request.query.get("model", "gpt-realtime"))
        try:
            async for message in websocket:
                if message.type is WSMsgType.TEXT:
                    event: Event = message.json()
                    if event["type"] != "input_audio_buffer.append":
                        self.received.append(event)
                    await conversation.handle(event)
        finally:
            await conversation.close()
        return websocket
