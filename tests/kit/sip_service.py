# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A stand-in for LiveKit's SIP service: it speaks Twirp, and transfers nobody anywhere."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self

from aiohttp import web
from livekit.protocol.sip import (
    SIPTransferStatus,
    TransferSIPParticipantRequest,
    TransferSIPParticipantResponse,
)

_PATH = "/twirp/livekit.SIP/TransferSIPParticipant"


class StandInSipService:
    """Answers requests for transfers as the participant's identity says.

    ``refused``: it failed, and the answer says so. ``busy``: an error. ``old``: a server that
    answers with nothing. Everybody else is transferred.

    Attributes:
        url: Where it listens.
        asked: The identities that it was asked for.
    """

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._runner = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post(_PATH, self._transfer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    async def _transfer(self, request: web.Request) -> web.Response:
        asked = TransferSIPParticipantRequest.FromString(await request.read())
        self.asked.append(asked.participant_identity)
        if asked.participant_identity == "busy":
            return web.json_response(
                {"code": "resource_exhausted", "msg": "busy", "meta": {"sip_status_code": "486"}},
                status=429,
            )
        answer = TransferSIPParticipantResponse()
        if asked.participant_identity != "old":
            answer.transfer_id = "ST_1"
            answer.status = (
                SIPTransferStatus.STS_TRANSFER_FAILED
                if asked.participant_identity == "refused"
                else SIPTransferStatus.STS_TRANSFER_SUCCESSFUL
            )
        return web.Response(body=answer.SerializeToString(), content_type="application/protobuf")
