# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a session does between the end of the user's speech and the answer to it.

Kept by session and not by speech: the answer to a turn may come from another speech than the
first one, after tools, or from another agent.

What the numbers mean in livekit-agents 1.8.9, and where each is computed (``voice/``):

``e2e_latency``
    ``started_speaking_at`` of the agent less ``stopped_speaking_at`` of the user: from the last
    instant of speech by the VAD, or the recogniser where there is none, to the audio output's
    ``playback_started`` (agent_activity.py, ``_on_first_frame`` of each reply task). Of a user
    turn only the first audio that answers it has one.
``transcription_delay``
    Last final, or preflight, transcript of the turn less ``stopped_speaking_at``, not below 0
    (audio_recognition.py, ``_compute_end_of_turn_metrics``).
``end_of_turn_delay``
    The decision that the turn is over less ``stopped_speaking_at``, not below 0 (ibid.). It
    contains ``transcription_delay``, the detector's inference and the endpointing delay.
``on_user_turn_completed_delay``
    How long ``Agent.on_user_turn_completed`` ran, by itself (agent_activity.py,
    ``_user_turn_completed_impl``). The reply is scheduled right after, or made only then, and
    ``EOUMetrics.timestamp`` is taken there.
``llm_node_ttft``
    First chunk with text or a tool call less the start of ``llm_node``: retries count, so does
    what a custom node does first (generation.py, ``_llm_inference_task``).
``llm_node_ttfs``
    First text of the segment handed to the TTS service, as stamped by the TTS stream, less the
    start of ``llm_node`` (generation.py, ``_time_to_first_sentence``): contains ``llm_node_ttft``
    and, in a preemptive generation, the wait until the speech was scheduled.
``tts_node_ttfb``
    First audio frame out of ``tts_node`` less that stamp; where a custom node leaves none, less
    the arrival of the first text (generation.py, ``_tts_inference_task``).
``playback_latency``
    ``playback_started`` less the first frame being taken from ``tts_node``'s audio to the output
    (generation.py, ``_audio_forwarding_task``): next to nothing in a room, not so with an avatar.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from ..call.turn_latency import Answer, EndOfTurn, Generation
from . import clock

_KEPT: Final = 16
"""Generations and tools that are remembered: a chat has no answer that would clear them."""


@dataclass(slots=True)
class _Run:
    """LiveKit's records of a run of ``llm_node``, and of ``tts_node`` on its first segment."""

    llm: Any = None
    tts: Any = None

    def generation(self, handed_out_at: float) -> Generation:
        """Read the records; their instants are those of :mod:`.clock`."""
        generation = Generation()
        if (started_at := getattr(self.llm, "started_at", None)) is not None:
            generation.started_at = started_at
            if self.llm.ttft is not None:
                generation.first_token_at = generation.started_at + self.llm.ttft
        if self.tts is not None and self.tts.ttfb is not None:
            asked_at = getattr(self.tts, "synthesis_started_at", None)
            if asked_at is not None:
                generation.sentence_at = asked_at
            else:
                # a custom tts_node leaves no stamp: its first audio is what is now handed out
                generation.sentence_at = handed_out_at - self.tts.ttfb
            generation.first_byte_at = generation.sentence_at + self.tts.ttfb
        return generation


@dataclass(slots=True)
class _Tool:
    call_id: str
    called_at: float
    answered_at: float | None = None


class TurnTracker:
    """The generations, tools and decisions since the last answer."""

    def __init__(self) -> None:
        self._runs: deque[_Run] = deque(maxlen=_KEPT)
        self._tools: deque[_Tool] = deque(maxlen=_KEPT)
        self._end_of_turn: EndOfTurn | None = None
        self._requests: deque[float] = deque(maxlen=_KEPT)

    def llm_asked(self, llm_data: Any) -> None:
        """Note LiveKit's record of a run of ``llm_node``, which it fills in as it goes."""
        self._runs.append(_Run(llm=llm_data))

    def tts_asked(self, tts_data: Any) -> None:
        """Note LiveKit's record of a run of ``tts_node``, on the words of the latest generation."""
        if not self._runs or self._runs[-1].tts is not None:
            self._runs.append(_Run())
        self._runs[-1].tts = tts_data

    def tool_called(self, call_id: str) -> None:
        """A tool starts, and the answer waits for it."""
        self._tools.append(_Tool(call_id, clock.now()))

    def tool_answered(self, call_id: str) -> None:
        """The answer no longer waits for a tool: it returned, or said that it will take a while."""
        for tool in self._tools:
            if tool.call_id == call_id:
                tool.answered_at = clock.now()

    def turn_ended(self, metrics: Any) -> None:
        """Note LiveKit's ``EOUMetrics``."""
        self._end_of_turn = EndOfTurn(
            decided_at=clock.instant_of(metrics.timestamp),
            transcription_delay=metrics.transcription_delay,
            end_of_turn_delay=metrics.end_of_utterance_delay,
            hook_duration=metrics.on_user_turn_completed_delay,
        )

    def reply_requested(self, at: float) -> None:
        """A realtime model was asked for a reply, or began one."""
        self._requests.append(at)

    def answered(
        self, *, latency: float, playback_latency: float, heard_at: float
    ) -> dict[str, float]:
        """Return what the caller waited for, by stage, and start over.

        Args:
            latency: LiveKit's ``e2e_latency``, seconds.
            playback_latency: LiveKit's, seconds.
            heard_at: When the answer's first audio sounded, an instant of :mod:`.clock`.
        """
        handed_out_at = heard_at - playback_latency
        answer = Answer(
            heard_at=heard_at,
            latency=latency,
            playback_latency=playback_latency,
            end_of_turn=self._end_of_turn,
            generations=[run.generation(handed_out_at) for run in self._runs],
            tools=[(tool.called_at, tool.answered_at or heard_at) for tool in self._tools],
            requests=list(self._requests),
        )
        self._runs.clear()
        self._tools.clear()
        self._requests.clear()
        self._end_of_turn = None
        return answer.stages()
