# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Every variable of ours, declared: its name, its parser, its default, and what it means.

The settings are read by this table, and docs/configuration.md is written from it. A new variable
is a name in ``environment_variables``, an entry here, and a field of the settings that reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from .. import environment_variables as ours
from .. import semconv
from ..diagnostics.problem import InvalidValueError, Problem
from . import parsers

_T_co = TypeVar("_T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Variable(Generic[_T_co]):
    """A variable of ours.

    Attributes:
        name: As ``environment_variables`` has it.
        parse: Makes its value of a text, or of ``default``; see ``parsers``.
        default: The text that is read where the variable is not set; empty for none.
        meaning: What it means, in Markdown.
        default_in_words: What is so where the variable is not set, in Markdown, if ``default``
            does not say it.
        fallback: What is done if its text is no value. Default: that ``default`` is used.
        since: The release that first read it.
    """

    name: str
    parse: Callable[[str, list[Problem]], _T_co]
    default: str
    meaning: str
    default_in_words: str = ""
    fallback: str = ""
    since: str = "0.1.0"

    def read(self, environ: Mapping[str, str], problems: list[Problem]) -> _T_co:
        """Return its value, or its default.

        Args:
            environ: The variables.
            problems: What could not be understood is added here.
        """
        text = environ.get(self.name, "").strip() or self.default
        try:
            return self.parse(text, problems)
        except InvalidValueError as error:
            fallback = self.fallback or f"{self.default} is used"
            finding = f"{self.name}={text}: {error.problem.finding}, {fallback}"
            problems.append(Problem(finding, error.problem.remedy))
            return self.parse(self.default, problems)


CONTENT: Final = Variable(
    ours.OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT,
    parsers.content,
    "NO_CONTENT",
    "Whether what was said, prompted, passed to tools or returned by them is exported, and where. "
    "`NO_CONTENT` (or `false`), `SPAN_ONLY` (or `true`), `EVENT_ONLY`, `SPAN_AND_EVENT`. The name "
    "and the values are OpenTelemetry's; LiveKit reads the same variable.",
    fallback="content stays off",
)
FLUSH_TIMEOUT: Final = Variable(
    ours.CALLSPAN_FLUSH_TIMEOUT,
    parsers.timeout_s,
    "2",
    "Seconds that the end of a call may wait for telemetry, above 0 and up to 8.",
)
COUNTED_KINDS: Final = Variable(
    ours.CALLSPAN_COUNTED_KINDS,
    parsers.counted_kinds,
    semconv.KIND_PRODUCTION,
    f"Kinds of calls that count: any of `{','.join(semconv.KINDS)}`.",
)
DISABLED_PARTS: Final = Variable(
    ours.CALLSPAN_DISABLED_PARTS,
    parsers.disabled_parts,
    "",
    f"Parts to leave out: any of `{','.join(parsers.PARTS)}`.",
)
CONVERSIONS: Final = Variable(
    ours.CALLSPAN_CONVERSIONS,
    parsers.conversions,
    "",
    "Which tools convert a call, and to what: `tool=conversion:outcome`, comma-separated. "
    "`book_appointment=bookings:booking` counts a call in `agent_bookings_total` when that tool "
    "succeeds, and gives it the outcome `booking`. The outcome can be left out.",
)
DEFAULT_OUTCOME: Final = Variable(
    ours.CALLSPAN_DEFAULT_OUTCOME,
    parsers.default_outcome,
    "",
    "The outcome of a call that no rule applies to.",
    default_in_words=f"`{semconv.OUTCOME_COMPLETED}`",
)
OUTCOMES: Final = Variable(
    ours.CALLSPAN_OUTCOMES,
    parsers.outcomes,
    "",
    "Further outcomes of calls, comma-separated; a tag of `ctx.tagger` of that name sets it.",
)
LABELS: Final = Variable(
    ours.CALLSPAN_LABELS,
    parsers.labels,
    "",
    "Labels of calls and all their values: `intent=booking|billing,language=en|es`. A tag "
    "`language:es` of `ctx.tagger` sets the label `language`.",
)
ABANDONED_WITHIN: Final = Variable(
    ours.CALLSPAN_ABANDONED_WITHIN,
    parsers.seconds,
    "0",
    "A caller who leaves within so many seconds abandoned the call, whatever they heard.",
    default_in_words="`0`, never",
)
ABANDONED_HEARD: Final = Variable(
    ours.CALLSPAN_ABANDONED_HEARD,
    parsers.count,
    "2",
    "A caller who leaves before the agent began to speak so often abandoned the call.",
)
KEEP_CALLS: Final = Variable(
    ours.CALLSPAN_KEEP_CALLS,
    parsers.tail_sampling_rules,
    "",
    "Whose traces are sent, decided at the end of the call. "
    "`errors,slow=1.5,outcome=abandoned|booking,ratio=0.1` keeps calls in which something failed, "
    "calls with a turn slower than 1.5 seconds, calls with one of these outcomes, and a tenth of "
    "all others. No metric changes.",
    default_in_words="all calls, and spans are sent while the call goes on",
)
PRICES: Final = Variable(
    ours.CALLSPAN_PRICES,
    parsers.prices,
    "",
    "Path of a file with your own prices, TOML or JSON; they go before the packaged ones.",
)
HOOK_TIMEOUT: Final = Variable(
    ours.CALLSPAN_HOOK_TIMEOUT,
    parsers.timeout_s,
    "2",
    "Seconds that a data hook may take for each record, above 0 and up to 8.",
)
SESSION_REPORT: Final = Variable(
    ours.CALLSPAN_SESSION_REPORT,
    parsers.session_report,
    "off",
    f"Whether a log event `{semconv.EVENT_SESSION_REPORT}` is sent at the end of each call. "
    "`summary`: with the summary of the call. `full`: with LiveKit's own session report as well. "
    "`off`: it is not sent.",
    fallback="none is sent",
)

VARIABLES: Final[tuple[Variable[object], ...]] = tuple(
    value for value in list(globals().values()) if isinstance(value, Variable)
)
"""All of the above, in the order of the documentation's table."""
