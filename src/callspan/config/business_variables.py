# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What calls are worth, said without code: conversions, outcomes, labels and prices by variable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import environment_variables as ours
from ..call.declarations import Conversion, Declarations
from ..call.outcome import OutcomeRules
from ..diagnostics.problem import InvalidValueError, Problem
from ..pricing import price_file
from .parsers import entries


def read(
    environ: Mapping[str, str], problems: list[Problem]
) -> tuple[OutcomeRules, dict[str, str]]:
    """Read how outcomes are found, and which tools convert a call to what."""
    declared = Declarations()
    tools = _conversions(environ, declared, problems)
    _labels(environ, declared, problems)
    _outcomes(environ, declared, problems)
    variable = ours.CALLSPAN_DEFAULT_OUTCOME
    default = environ.get(variable, "").strip()
    try:
        declared.add_outcomes([default] if default else [])
    except InvalidValueError as error:
        problems.append(error.problem.of(f"{variable}={default}", "it is passed over"))
        default = ""
    rules = OutcomeRules(
        default=default,
        heard_at_least=int(
            _number(
                environ,
                ours.CALLSPAN_ABANDONED_HEARD,
                2,
                problems,
                whole=True,
            )
        ),
        abandoned_within_s=_number(environ, ours.CALLSPAN_ABANDONED_WITHIN, 0, problems),
        declared=declared,
    )
    return rules, tools


def read_prices(environ: Mapping[str, str], problems: list[Problem]) -> Mapping[str, Any]:
    """Read the user's price file, if one is named."""
    variable = ours.CALLSPAN_PRICES
    path = environ.get(variable, "").strip()
    if not path:
        return {}
    try:
        return price_file.read(path)
    except InvalidValueError as error:
        problem = error.problem
    except OSError as error:
        problem = Problem(str(error))
    problems.append(problem.of(variable, "the packaged prices are used"))
    return {}


def _conversions(
    environ: Mapping[str, str], declared: Declarations, problems: list[Problem]
) -> dict[str, str]:
    variable = ours.CALLSPAN_CONVERSIONS
    tools = {}
    for entry in entries(environ.get(variable, "")):
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
            problems.append(error.problem.of(f"{variable}: {entry}", "it is passed over"))
    return tools


def _labels(environ: Mapping[str, str], declared: Declarations, problems: list[Problem]) -> None:
    variable = ours.CALLSPAN_LABELS
    for entry in entries(environ.get(variable, "")):
        name, _, values = (part.strip() for part in entry.partition("="))
        try:
            declared.add_label(name, [one.strip() for one in values.split("|") if one.strip()])
        except InvalidValueError as error:
            problem = Problem(error.problem.finding, "write for example intent=booking|billing")
            problems.append(problem.of(f"{variable}: {entry}", "it is passed over"))


def _outcomes(environ: Mapping[str, str], declared: Declarations, problems: list[Problem]) -> None:
    variable = ours.CALLSPAN_OUTCOMES
    for entry in entries(environ.get(variable, "")):
        try:
            declared.add_outcomes([entry])
        except InvalidValueError as error:
            problems.append(error.problem.of(variable, "it is passed over"))


def _number(
    environ: Mapping[str, str],
    variable: str,
    default: float,
    problems: list[Problem],
    *,
    whole: bool = False,
) -> float:
    value = environ.get(variable, "").strip()
    try:
        number = float(value or default)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 3600 or (whole and not number.is_integer()):
        kind = "whole number" if whole else "number"
        problems.append(
            Problem(
                f"{variable}={value}: not a {kind} from 0 to 3600, {default:g} is used",
                f"write for example {default or 10:g}",
            )
        )
        return default
    return number
