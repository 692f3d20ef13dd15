# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""From the text of a variable to its value; ``env`` says which parser is whose.

A parser raises InvalidValueError on a text that is no value at all. Where a text has several
entries, it passes over those that it does not understand, and adds a problem for each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from .. import environment_variables as ours
from .. import semconv
from ..call.declarations import Conversion, Declarations
from ..call.tail_sampling import TailSamplingRules
from ..diagnostics.problem import InvalidValueError, Problem
from ..pricing import price_file

PARTS: Final = ("attributes", "flush", "interruptions", "span_filter", "stt_request")
"""What can be left out, one by one."""

_CONTENT_ON_SPANS: Final = frozenset({"SPAN_ONLY", "SPAN_AND_EVENT", "TRUE", "1", "YES", "ON"})
_CONTENT_IN_EVENTS: Final = frozenset({"EVENT_ONLY", "SPAN_AND_EVENT"})
_CONTENT_OFF: Final = frozenset({"NO_CONTENT", "FALSE", "0", "NO", "OFF"})
_REPORTS: Final = {
    "summary": semconv.REPORT_SUMMARY,
    "full": semconv.REPORT_FULL,
    "off": semconv.REPORT_OFF,
}


def entries(text: str) -> list[str]:
    """Return what stands between commas."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def content(text: str, _: list[Problem]) -> tuple[bool, bool]:
    """Return whether content is exported on spans, and in events."""
    where = (text.upper() in _CONTENT_ON_SPANS, text.upper() in _CONTENT_IN_EVENTS)
    if not any(where) and text.upper() not in _CONTENT_OFF:
        raise InvalidValueError(
            "no such value", "write NO_CONTENT, SPAN_ONLY, EVENT_ONLY or SPAN_AND_EVENT"
        )
    return where


def session_report(text: str, _: list[Problem]) -> str:
    """Return which report is sent, as ``semconv`` has it."""
    if text not in _REPORTS:
        raise InvalidValueError("no such report", "write summary, full or off")
    return _REPORTS[text]


def timeout_s(text: str, _: list[Problem]) -> float:
    """Return seconds that something may take at the end of a call."""
    seconds = _number(text)
    # LiveKit kills a job that is not gone 10 s after it said that it shuts down
    if not 0 < seconds <= 8:
        raise InvalidValueError(
            "not a number of seconds above 0 and up to 8", "write for example 2"
        )
    return seconds


def seconds(text: str, _: list[Problem]) -> float:
    """Return seconds of a call."""
    number = _number(text)
    if not 0 <= number <= 3600:
        raise InvalidValueError("not a number from 0 to 3600", "write for example 10")
    return number


def count(text: str, _: list[Problem]) -> int:
    """Return how often something happens in a call."""
    number = _number(text)
    if not 0 <= number <= 3600 or not number.is_integer():
        raise InvalidValueError("not a whole number from 0 to 3600", "write for example 2")
    return int(number)


def disabled_parts(text: str, problems: list[Problem]) -> frozenset[str]:
    """Return the parts that are left out."""
    return _known(ours.CALLSPAN_DISABLED_PARTS, text, PARTS, "part", problems)


def counted_kinds(text: str, problems: list[Problem]) -> frozenset[str]:
    """Return the kinds of calls that count; never none."""
    kinds = _known(ours.CALLSPAN_COUNTED_KINDS, text, semconv.KINDS, "kind of call", problems)
    return kinds or frozenset({semconv.KIND_PRODUCTION})


def conversions(text: str, problems: list[Problem]) -> tuple[Declarations, dict[str, str]]:
    """Return the conversions, and which of them the success of a tool is, by the tool's name."""
    declared = Declarations()
    tools = {}
    for entry in entries(text):
        tool, separator, goal = (part.strip() for part in entry.partition("="))
        name, _, outcome = (part.strip() for part in goal.partition(":"))
        try:
            if not (tool and separator):
                raise InvalidValueError(
                    "no tool", "write for example book_appointment=bookings:booking"
                )
            known = declared.conversions.get(name)
            # of a second tool for the same thing, it need not be said again what it stands for
            declared.add_conversion(known if known and not outcome else Conversion(name, outcome))
            tools[tool] = name
        except InvalidValueError as error:
            place = f"{ours.CALLSPAN_CONVERSIONS}: {entry}"
            problems.append(error.problem.of(place, "it is passed over"))
    return declared, tools


def labels(text: str, problems: list[Problem]) -> Declarations:
    """Return the labels of calls, with their values."""
    declared = Declarations()
    for entry in entries(text):
        name, _, values = (part.strip() for part in entry.partition("="))
        try:
            declared.add_label(name, [one.strip() for one in values.split("|") if one.strip()])
        except InvalidValueError as error:
            problem = Problem(error.problem.finding, "write for example intent=booking|billing")
            place = f"{ours.CALLSPAN_LABELS}: {entry}"
            problems.append(problem.of(place, "it is passed over"))
    return declared


def outcomes(text: str, problems: list[Problem]) -> Declarations:
    """Return the further outcomes."""
    declared = Declarations()
    for entry in entries(text):
        try:
            declared.add_outcomes([entry])
        except InvalidValueError as error:
            problems.append(error.problem.of(ours.CALLSPAN_OUTCOMES, "it is passed over"))
    return declared


def default_outcome(text: str, problems: list[Problem]) -> str:
    """Return the outcome of calls that no rule applies to; empty for the one said in code."""
    try:
        Declarations().add_outcomes([text] if text else [])
    except InvalidValueError as error:
        place = f"{ours.CALLSPAN_DEFAULT_OUTCOME}={text}"
        problems.append(error.problem.of(place, "it is passed over"))
        return ""
    return text


def tail_sampling_rules(text: str, problems: list[Problem]) -> TailSamplingRules | None:
    """Return whose traces are sent; None for all, as calls go."""
    try:
        return TailSamplingRules.parse(text) if text else None
    except InvalidValueError as error:
        problems.append(error.problem.of(ours.CALLSPAN_KEEP_CALLS, "all calls are kept"))
        return None


def prices(text: str, problems: list[Problem]) -> Mapping[str, Any]:
    """Return what the price file of that path holds."""
    try:
        return price_file.read(text) if text else {}
    except InvalidValueError as error:
        problem = error.problem
    except OSError as error:
        problem = Problem(str(error))
    problems.append(problem.of(ours.CALLSPAN_PRICES, "the packaged prices are used"))
    return {}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def _known(
    variable: str, text: str, known: Collection[str], what: str, problems: list[Problem]
) -> frozenset[str]:
    given = frozenset(entries(text))
    if unknown := sorted(given.difference(known)):
        problems.append(
            Problem(
                f"{variable}={','.join(unknown)}: no such {what}, it is passed over",
                f"use any of {', '.join(known)}",
            )
        )
    return given.intersection(known)
