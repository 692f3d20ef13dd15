# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The table of variables is whole: each name is in it, is read, and refuses nonsense in words."""

from __future__ import annotations

import pytest

from callspan import environment_variables
from callspan.config import env, settings
from callspan.config.env import Variable

WRONG = {
    env.CONTENT: "maybe",
    env.FLUSH_TIMEOUT: "soon",
    env.COUNTED_KINDS: "real",
    env.DISABLED_PARTS: "stt",
    env.CONVERSIONS: "book=Bookings",
    env.DEFAULT_OUTCOME: "Inquiry",
    env.OUTCOMES: "Complaint",
    env.LABELS: "Intent=a",
    env.ABANDONED_WITHIN: "-1",
    env.ABANDONED_HEARD: "1.5",
    env.KEEP_CALLS: "slow=never",
    env.PRICES: "prices.yaml",
    env.HOOK_TIMEOUT: "9",
    env.SESSION_REPORT: "long",
}
"""Of each variable a text that is no value of it."""
each_variable = pytest.mark.parametrize("variable", env.VARIABLES, ids=lambda one: one.name)


def test_every_name_is_in_the_table_and_no_other() -> None:
    names = [value for name, value in vars(environment_variables).items() if name.isupper()]
    assert sorted(variable.name for variable in env.VARIABLES) == sorted(names)


@each_variable
def test_a_name_is_spelt_like_its_constant(variable: Variable[object]) -> None:
    assert getattr(environment_variables, variable.name) == variable.name


@each_variable
def test_a_default_is_a_value(variable: Variable[object]) -> None:
    """Writing it out is the same as leaving the variable away, and neither is a problem."""
    problems = []
    left_away = variable.read({}, problems)
    assert variable.read({variable.name: variable.default}, problems) == left_away
    assert variable.read({variable.name: " "}, problems) == left_away
    assert problems == []


@each_variable
def test_a_wrong_value_is_said_and_the_default_is_used(variable: Variable[object]) -> None:
    """With the variable, the value and what to write, by whoever resolves the settings."""
    wrong = WRONG[variable]
    resolved = settings.resolve({variable.name: wrong})
    (problem,) = resolved.problems
    assert problem.finding.startswith(variable.name)
    assert wrong in problem.finding
    assert problem.remedy.startswith(("write ", "use any of "))
    assert variable.read({variable.name: wrong}, []) == variable.read({}, [])
