# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""How an answer came about, read from the spans of its turn.

The metric of stages is made of LiveKit's records of the same steps while the call goes on, by
``livekit/turn_tracker.py``, whose docstring says what each number means. What is read here has to
be the same instants, so that `Answer` divides both alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .. import semconv
from ..call.turn_latency import Answer, EndOfTurn, Generation
from .span_record import NS_PER_S, SpanRecord, SpanTree, first_audio_ns

_SHOWN_BY: Final = {
    semconv.STAGE_TRANSCRIPTION: (semconv.SPAN_STT_REQUEST,),
    semconv.STAGE_END_OF_TURN: (semconv.SPAN_EOU_WAIT,),
    semconv.STAGE_TURN_HOOK: (semconv.SPAN_TURN_HOOK,),
    semconv.STAGE_TOOLS: (semconv.SPAN_FUNCTION_TOOL,),
    semconv.STAGE_LLM_FIRST_TOKEN: (
        *(semconv.SPAN_LLM_REQUEST, semconv.SPAN_LLM_NODE, semconv.SPAN_REALTIME_INFERENCE),
    ),
    semconv.STAGE_SENTENCE: (semconv.SPAN_LLM_REQUEST, semconv.SPAN_LLM_NODE),
    semconv.STAGE_TTS_FIRST_BYTE: (semconv.SPAN_TTS_REQUEST, semconv.SPAN_TTS_NODE),
}
"""The spans that show a stage; a node only where it made no request."""


def named(spans: Sequence[SpanRecord], name: str) -> list[SpanRecord]:
    """The spans of that name."""
    return [s for s in spans if s.name == name]


def inferences(spans: Sequence[SpanRecord], tree: SpanTree) -> list[SpanRecord]:
    """The spans that show an inference each: requests, or the node where it made no request."""
    return _requests(spans, tree, semconv.SPAN_LLM_REQUEST, semconv.SPAN_LLM_NODE)


def syntheses(spans: Sequence[SpanRecord], tree: SpanTree) -> list[SpanRecord]:
    """The spans that show a speech synthesis each: requests, or the node where it made none."""
    return _requests(spans, tree, semconv.SPAN_TTS_REQUEST, semconv.SPAN_TTS_NODE)


def showing(stage: str, spans: Sequence[SpanRecord], tree: SpanTree) -> list[SpanRecord]:
    """The spans of a turn in which a person sees a stage; none for some stages."""
    nodes = {s.span_id for s in (*inferences(spans, tree), *syntheses(spans, tree))}
    hidden = {semconv.SPAN_LLM_NODE, semconv.SPAN_TTS_NODE}
    return [
        s
        for s in spans
        if s.name in _SHOWN_BY.get(stage, ()) and (s.name not in hidden or s.span_id in nodes)
    ]


def read_answer(spans: Sequence[SpanRecord], tree: SpanTree, start_ns: int, end_ns: int) -> Answer:
    """What is known of how the answer came about, in seconds since the wait began.

    Args:
        spans: The turn's spans, by start.
        tree: All spans of the call.
        start_ns: The user's last word.
        end_ns: The agent's first audio.
    """
    return _Reader([s for s in spans if s.start_ns < end_ns], tree, start_ns, end_ns).answer()


@dataclass
class _Run:
    """The span of a run of ``llm_node``, and of ``tts_node`` on its first segment."""

    llm: SpanRecord | None = None
    tts: SpanRecord | None = None


@dataclass(frozen=True)
class _Reader:
    spans: Sequence[SpanRecord]
    tree: SpanTree
    start_ns: int
    end_ns: int

    def answer(self) -> Answer:
        heard_at = self._at(self.end_ns)
        end_of_turn = self._end_of_turn()
        generations = [self._generation(run) for run in self._runs()]
        # No span shows when audio was handed out: it was as soon as there was some, and a turn.
        handed_out_at = max(
            (
                g.first_byte_at
                for g in generations
                if g.first_byte_at is not None and g.first_byte_at <= heard_at
            ),
            default=heard_at,
        )
        if end_of_turn is not None:
            handed_out_at = max(handed_out_at, end_of_turn.decided_at)
        requests = [self._at(s.start_ns) for s in self._named(semconv.SPAN_REALTIME_INFERENCE)]
        if requests and end_of_turn is not None:
            # Asked for when the turn had ended here; the span begins once the service answers.
            requests.insert(0, end_of_turn.decided_at)
        return Answer(
            heard_at=heard_at,
            latency=heard_at,
            playback_latency=max(heard_at - handed_out_at, 0.0),
            end_of_turn=end_of_turn,
            generations=generations,
            tools=[
                (self._at(s.start_ns), self._at(s.stop_ns))
                for s in self._named(semconv.SPAN_FUNCTION_TOOL)
            ],
            requests=requests,
        )

    def _at(self, ns: int) -> float:
        return (ns - self.start_ns) / NS_PER_S

    def _named(self, name: str) -> list[SpanRecord]:
        return named(self.spans, name)

    # --- the end of the user's turn ------------------------------------------------------------

    def _end_of_turn(self) -> EndOfTurn | None:
        hook = next(reversed(self._named(semconv.SPAN_TURN_HOOK)), None)
        if hook is None and self._named(semconv.SPAN_REALTIME_INFERENCE):
            # The model's service decided, whatever was detected here as well.
            return None
        # A wait that the user ended by speaking on lies before this one.
        eou = next(
            (
                s
                for s in reversed(self._named(semconv.SPAN_EOU_WAIT))
                if s.text(semconv.LK_EOU_OUTCOME) in (None, semconv.EOU_COMMITTED)
            ),
            None,
        )
        decision = self._delay(semconv.LK_END_OF_TURN_DELAY)
        if decision is None and eou is not None:
            decision = self._at(eou.stop_ns)
        if decision is None and hook is not None:
            decision = self._at(hook.start_ns)
        if decision is None:
            return None
        transcription = self._delay(semconv.LK_TRANSCRIPTION_DELAY)
        stt = next(reversed(self._named(semconv.SPAN_STT_REQUEST)), None)
        if transcription is None:
            transcription = min(self._at(stt.stop_ns), decision) if stt else 0.0
        return EndOfTurn(
            decided_at=self._at(hook.stop_ns) if hook else decision,
            transcription_delay=transcription,
            end_of_turn_delay=decision,
            hook_duration=hook.seconds if hook else 0.0,
        )

    def _delay(self, key: str) -> float | None:
        """A latency from the user's last word; LiveKit writes 0 for unknown."""
        turns = (
            *reversed(self._named(semconv.SPAN_AGENT_TURN)),
            *reversed(self._named(semconv.SPAN_USER_TURN)),
        )
        return next((d for turn in turns if (d := turn.number(key))), None)

    # --- the answer ----------------------------------------------------------------------------

    def _runs(self) -> list[_Run]:
        runs: list[_Run] = []
        llm = self._nodes(semconv.SPAN_LLM_NODE, semconv.SPAN_LLM_REQUEST)
        tts = self._nodes(semconv.SPAN_TTS_NODE, semconv.SPAN_TTS_REQUEST)
        for span in self.spans:
            if span.span_id in llm:
                runs.append(_Run(llm=span))
            elif span.span_id in tts:
                if not runs or runs[-1].tts is not None:
                    runs.append(_Run())
                runs[-1].tts = span
        return runs

    def _nodes(self, node: str, request: str) -> set[str]:
        """The ids of the nodes, and of requests whose node is missing."""
        alone = [s for s in self._named(request) if self.tree.enclosing(s, node) is None]
        return {s.span_id for s in (*self._named(node), *alone)}

    def _generation(self, run: _Run) -> Generation:
        generation = Generation()
        if run.llm is not None:
            generation.started_at = self._at(run.llm.start_ns)
            generation.first_token_at = self._first_token_at(run.llm)
        if run.tts is not None and (audio := self._first_audio(run.tts)) is not None:
            generation.sentence_at, generation.first_byte_at = audio
        return generation

    def _first_token_at(self, node: SpanRecord) -> float | None:
        # Counted from the node, with what a custom one does first, and with retries.
        if (ttft := node.number(semconv.LK_TTFT)) is not None:
            return self._at(node.start_ns) + ttft
        # A node that was broken off has none, its request may have.
        return next(
            (
                self._at(request.start_ns) + ttft
                for request in self._within(node, semconv.SPAN_LLM_REQUEST)
                if (ttft := request.number(semconv.GEN_AI_TIME_TO_FIRST_CHUNK)) is not None
            ),
            None,
        )

    def _first_audio(self, node: SpanRecord) -> tuple[float, float] | None:
        """When a node had the first words synthesised, and when it had audio of them."""
        ttfb = node.number(semconv.LK_TTFB)
        for request in self._within(node, semconv.SPAN_TTS_REQUEST):
            # A request for several segments reports its last one; the node reports the first.
            if (asked := first_audio_ns(request)) and asked[1] <= self.end_ns:
                sentence_at, first_byte_at = map(self._at, asked)
                return sentence_at, first_byte_at if ttfb is None else sentence_at + ttfb
        if ttfb is None:
            return None
        heard_at = self._at(self.end_ns)
        return heard_at - ttfb, heard_at

    def _within(self, node: SpanRecord, name: str) -> Iterator[SpanRecord]:
        """The spans of that name below a node, by start; the node itself if it is one."""
        for span in self._named(name):
            if any(s.span_id == node.span_id for s in self.tree.lineage(span)):
                yield span


def _requests(
    spans: Sequence[SpanRecord], tree: SpanTree, request: str, node: str
) -> list[SpanRecord]:
    requests = named(spans, request)
    covered = {covering.span_id for r in requests if (covering := tree.enclosing(r, node))}
    own = [s for s in spans if s.name == node and s.span_id not in covered]
    return sorted(requests + own, key=lambda s: s.start_ns)
