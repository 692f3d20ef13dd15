# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Identifiers that were retired, and what to write in their place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from kit.docs import pages

_AS_IN_DOCS: Final = "entry_point, or in_code and zero_code"
_WHAT_IT_IS: Final = "what it is: call_trace, span, settings, problems, series"
_RECORDS: Final = "what was passed on: records, reported, received, usage"

RETIRED: Final[Mapping[str, str]] = {
    "HOMES": "FIELD_MAPPINGS",
    "HeldSpans": "SpanBuffer",
    "INSTEAD": "FALLBACKS",
    "Journal": "SummaryBuilder",
    "KeepRules": "TailSamplingRules",
    "Labelled": "LabelSet",
    "PROMPT": "FLUSH_IMMEDIATELY",
    "Push": "MetricPusher",
    "Rated": "FeedbackGiven",
    "SET_ASIDE": "ORIGINAL_METRICS_EXPORTER",
    "Said": "MessageAdded",
    "SpanDiet": "SpanFilter",
    "Spent": "CostRecorded",
    "Tally": "DeltaAccumulator",
    "Told": _RECORDS,
    "TurnLog": "TurnTracker",
    "Worth": "CallAnnotations",
    "_LastWord": "_LastValue",
    "_OneOfEach": "_DeduplicatingRegistry",
    "_disown": "_close_in_child",
    "_forget": "_unregister",
    "_if_lost": "_crash_rows",
    "_is_users": "is_user_provider",
    "_said": "log_once, or what was done: reported, spoken",
    "_say": "_log, _write, or _reply in a dialogue",
    "_summed": "_summed_latency",
    "_tell": "_emit",
    "_told": "log_once, or _records",
    "_unsaid": "_cut_off_turn",
    "_welcome": "_register_new",
    "advice": "price_file_example",
    "because": "chosen_by",
    "both_doors": "in_code_and_zero_code",
    "door": _AS_IN_DOCS,
    "doors": _AS_IN_DOCS,
    "found": _WHAT_IT_IS,
    "give_back": "detach",
    "hears_turns": "has_local_turn_detection",
    "if_lost": "crash_rows",
    "instead": "remedy, fallback or replacement",
    "is_brought": "is_user_provided",
    "is_livekit_clouds": "is_livekit_cloud_provider",
    "journal": "builder",
    "last_delivery": "shutdown",
    "listening": "listeners",
    "poke": "send_now",
    "remind": "send_soon",
    "settle": "flat_costs",
    "span_diet": "span_filter",
    "start_line": "startup, or startup_line for the line itself",
    "tally": "accumulator",
    "tell": "emit",
    "times_heard": "agent_speech_count",
    "told": _RECORDS,
    "turn_log": "turn_tracker",
    "worth": "annotations",
    "worth_variables": "business_variables",
}
"""Words of this code base's own, where the field has a term or the thing has a name.

Those that are also good names of other things (``keep``, ``take``, ``turn``) are not here."""

_CODE: Final = ("src", "tests", "examples", "benchmarks", "docs")
_BLOCK: Final = re.compile(r"^( *)```python\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_PROSE: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"""' + r"|'''(?:\\.|[^\\])*?'''"
    r'|"(?:\\.|[^"\\\n])*"' + r"|'(?:\\.|[^'\\\n])*'" + r"|#[^\n]*",
    re.DOTALL,
)
"""Strings and comments: whatever else is in a module is code."""
_WORD: Final = re.compile(rf"(\.?)\b({'|'.join(RETIRED)})\b")


def retired_words(root: Path) -> list[str]:
    """Return each retired identifier in a repository's code, and in that of its pages.

    Prose may use the words. So may what is called on a file: it has a method ``tell``.

    Args:
        root: The folder of the repository.
    """
    return [
        f"{path.relative_to(root)}:{line} has {word}; write {RETIRED[word]}"
        for path, code in _sources(root)
        for line, word in _words(code)
    ]


def _sources(root: Path) -> Iterator[tuple[Path, str]]:
    for folder in _CODE:
        for path in sorted((root / folder).rglob("*.py")):
            yield path, path.read_text()
    for page in pages(root):
        text = page.read_text()
        for block in _BLOCK.finditer(text):
            # so that its lines have the numbers that they have on the page
            yield page, "\n" * text.count("\n", 0, block.start(2)) + block[2]


def _words(code: str) -> Iterator[tuple[int, str]]:
    bare = _PROSE.sub(lambda prose: "\n" * prose[0].count("\n"), code)
    for match in _WORD.finditer(bare):
        dot, word = match.groups()
        if not (dot and word == "tell"):
            yield bare.count("\n", 0, match.start()) + 1, word
