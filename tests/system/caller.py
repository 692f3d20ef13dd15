# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Callers as participants of a room: one on the telephone, one in a browser.

LiveKit's SIP bridge is a participant of kind SIP, named after the caller's number, with the
call's ids and SIP headers in its attributes, that sends the caller's voice over WebRTC and each
key as a DTMF packet. The caller here is the same participant, with a synthesised voice in place
of a telephone line.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Self

from livekit import api, rtc

from offline.tts import synthesise
from system.livekit_server import LiveKitServer

SAMPLE_RATE: Final = 48_000
"""Hertz; what WebRTC's codec works at, so nothing is resampled on the way."""
_FRAME_SAMPLES: Final = SAMPLE_RATE // 50
_AGENT_STATE: Final = "lk.agent.state"
_KEYS: Final = "0123456789*#"
"""The keys in the order of their event codes in RFC 4733."""


@dataclass(frozen=True)
class Visit:
    """Somebody's way into a room of their own.

    Attributes:
        identity: Who they are in the room.
        room: The room's name.
        display_name: What people are shown.
        kind: How they take part, as tokens spell it.
        attributes: What is known of them.
    """

    identity: str
    room: str
    display_name: str
    kind: Literal["standard", "sip"]
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)

    def token(self, server: LiveKitServer, *, agent_name: str | None = None) -> str:
        """Return what lets the caller in.

        Args:
            server: The server that it is for.
            agent_name: The agent that is to come when the room is made, if the token is to say
                so; otherwise somebody dispatches one.
        """
        token = (
            api.AccessToken(server.api_key, server.api_secret)
            .with_identity(self.identity)
            .with_name(self.display_name)
            .with_kind(self.kind)
            .with_attributes(dict(self.attributes))
            .with_grants(api.VideoGrants(room_join=True, room=self.room))
        )
        if agent_name is not None:
            token = token.with_room_config(
                api.RoomConfiguration(agents=[api.RoomAgentDispatch(agent_name=agent_name)])
            )
        jwt: str = token.to_jwt()
        return jwt


def telephone_call(number: str, *, trunk_id: str, call_id: str) -> Visit:
    """Return an inbound call as the SIP bridge makes it, on a trunk that maps all headers.

    Args:
        number: The caller's, in E.164.
        trunk_id: LiveKit's id of the trunk.
        call_id: LiveKit's id of the call.
    """
    return Visit(
        identity=f"sip_{number}",
        room=f"call-_{number}_{secrets.token_hex(6)}",
        display_name=f"Phone {number}",
        kind="sip",
        attributes={
            "sip.callID": call_id,
            "sip.trunkID": trunk_id,
            "sip.ruleID": "SDR_reception",
            "sip.phoneNumber": number,
            "sip.trunkPhoneNumber": "+15105550199",
            "sip.hostname": "sip.example.net",
            "sip.callStatus": "active",
            "sip.h.from": f'"A Caller" <sip:{number}@sip.example.net>;tag=1928301774',
            "sip.h.p-asserted-identity": f"<tel:{number}>",
        },
    )


def browser_visit(identity: str) -> Visit:
    """Return the visit of somebody who talks to the agent from a page."""
    return Visit(
        identity=identity,
        room=f"page-{identity}-{secrets.token_hex(6)}",
        display_name=identity.title(),
        kind="standard",
    )


class Caller:
    """Somebody who talks to an agent, for as long as the ``async with`` block lasts.

    Leaving the block is hanging up.

    Args:
        server: The server to connect to.
        token: What `Visit.token` returned.
    """

    def __init__(self, server: LiveKitServer, token: str) -> None:
        self._url = server.url
        self._token = token
        self._room = rtc.Room()
        self._microphone = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=100)
        self._line: asyncio.Task[None] | None = None
        self._to_say: deque[rtc.AudioFrame] = deque()
        self._all_spoken = asyncio.Event()
        self._agent = ""
        self._agent_state = ""
        self._agent_finished = 0
        self._agent_changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._room.on("participant_attributes_changed", self._on_attributes)
        await self._room.connect(self._url, self._token)
        track = rtc.LocalAudioTrack.create_audio_track("voice", self._microphone)
        await self._room.local_participant.publish_track(
            track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        )
        self._line = asyncio.create_task(self._keep_line_open())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._line is not None:
            self._line.cancel()
            with suppress(asyncio.CancelledError):
                await self._line
        await self._room.disconnect()
        await self._microphone.aclose()

    async def hears_agent(self, times: int) -> None:
        """Wait until the agent has spoken to an end this many times since the call began."""
        await self._wait_for(lambda: self._agent_finished >= times)

    async def says(self, text: str) -> None:
        """Speak a sentence, at the pace of speech, to its end."""
        self._to_say.extend(_frames(await synthesise(text)))
        self._all_spoken.clear()
        await self._all_spoken.wait()

    async def presses(self, keys: str) -> None:
        """Press keys of the telephone, one after the other."""
        for key in keys:
            await self._room.local_participant.publish_dtmf(code=_KEYS.index(key), digit=key)

    async def invokes(self, method: str, payload: str) -> str:
        """Invoke a method of the agent's, as a page in a browser can; return what it answers."""
        answer: str = await self._room.local_participant.perform_rpc(
            destination_identity=self._agent, method=method, payload=payload
        )
        return answer

    async def _keep_line_open(self) -> None:
        """Send what is to be said, and silence around it, as a telephone line does."""
        silence = rtc.AudioFrame.create(SAMPLE_RATE, 1, _FRAME_SAMPLES)
        while True:
            # the source's queue is short: it takes a frame when one was played
            await self._microphone.capture_frame(
                self._to_say.popleft() if self._to_say else silence
            )
            if not self._to_say:
                self._all_spoken.set()

    def _on_attributes(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        state = changed.get(_AGENT_STATE)
        if state is None or participant.kind != rtc.ParticipantKind.PARTICIPANT_KIND_AGENT:
            return
        if self._agent_state == "speaking" != state:
            self._agent_finished += 1
        self._agent_state = state
        self._agent = participant.identity
        self._agent_changed.set()

    async def _wait_for(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._agent_changed.clear()
            await self._agent_changed.wait()


def _frames(speech: rtc.AudioFrame) -> Iterator[rtc.AudioFrame]:
    """Cut speech into frames of the microphone's rate and size, the last one filled up."""
    resampler = rtc.AudioResampler(
        speech.sample_rate, SAMPLE_RATE, quality=rtc.AudioResamplerQuality.HIGH
    )
    samples = b"".join(
        bytes(piece.data.cast("b")) for piece in (*resampler.push(speech), *resampler.flush())
    )
    size = _FRAME_SAMPLES * 2
    for start in range(0, len(samples), size):
        yield rtc.AudioFrame(
            samples[start : start + size].ljust(size, b"\0"), SAMPLE_RATE, 1, _FRAME_SAMPLES
        )
