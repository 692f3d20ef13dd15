# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Which of the closed set of outcomes a finished call had, and what its tags say of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from .. import semconv
from .call import Call
from .declarations import Declarations

_CALLER_LEFT: Final = "participant_disconnected"


@dataclass(frozen=True, slots=True)
class OutcomeRules:
    """How outcomes that nobody said are found.

    Attributes:
        default: Of a call that no rule applies to; empty for the one that was declared, or
            ``completed``.
        heard_at_least: A caller who left before the agent began to speak this often abandoned
            the call. Default: 2, since who heard less has heard a greeting and no answer.
        abandoned_within_s: A caller who left within so many seconds abandoned the call, however
            often they heard the agent. Default: 0, never.
        declared: Whose conversions stand for outcomes; tags are read as far as it allows.
    """

    default: str = ""
    heard_at_least: int = 2
    abandoned_within_s: float = 0.0
    declared: Declarations = field(default_factory=Declarations)

    def outcome_of(self, call: Call) -> str:
        """Return the outcome of a finished call: the first that there is.

        What the application said; what its conversion stands for; ``ctx.tagger``'s success or
        fail, or a tag that is a declared outcome; ``error``, if the session or the entrypoint
        failed; ``voicemail``; ``transferred``; ``abandoned``; the default.
        """
        return next(self._applying(call))

    def _applying(self, call: Call) -> Iterator[str]:
        tags = call.tags()
        if call.annotations.outcome:
            yield call.annotations.outcome
        for name in call.annotations.conversions:
            if outcome := self.declared.conversions[name].outcome:
                yield outcome
        if semconv.LK_TAG_SUCCESS in tags:
            yield semconv.OUTCOME_SUCCESS
        if semconv.LK_TAG_FAIL in tags:
            yield semconv.OUTCOME_FAILURE
        yield from sorted(self.declared.outcomes.intersection(tags))
        if call.failed:
            yield semconv.OUTCOME_ERROR
        if not semconv.LK_TAGS_MACHINE.isdisjoint(tags):
            yield semconv.OUTCOME_VOICEMAIL
        if call.annotations.transferred:
            yield semconv.OUTCOME_TRANSFERRED
        if call.close_reason == _CALLER_LEFT and self._too_short(call):
            yield semconv.OUTCOME_ABANDONED
        yield self.default or self.declared.default_outcome or semconv.OUTCOME_COMPLETED

    def _too_short(self, call: Call) -> bool:
        return (
            call.agent_speech_count < self.heard_at_least
            or (call.duration_s or 0.0) < self.abandoned_within_s
        )

    def labels_of(self, call: Call) -> dict[str, str]:
        """Return the labels of a call: what the application said, else what its tags say.

        A tag ``language:es`` is the label ``language``, a judge's verdict the label
        ``judge_<name>``, if that label is declared and allows the value.
        """
        of_tags = dict(filter(None, map(self._label_of, sorted(call.tags()))))
        return of_tags | call.annotations.labels

    def known_tags(self, tags: Iterable[str]) -> list[str]:
        """Return those that an outcome or a label is read from; any other is free text."""
        outcomes = {semconv.LK_TAG_SUCCESS, semconv.LK_TAG_FAIL, *self.declared.outcomes}
        outcomes |= semconv.LK_TAGS_MACHINE
        return sorted(tag for tag in tags if tag in outcomes or self._label_of(tag) is not None)

    def _label_of(self, tag: str) -> tuple[str, str] | None:
        name, _, value = tag.partition(":")
        if name.startswith(semconv.LK_TAG_JUDGE):
            name = f"judge_{name.removeprefix(semconv.LK_TAG_JUDGE)}"
        return (name, value) if value in self.declared.labels.get(name, ()) else None
