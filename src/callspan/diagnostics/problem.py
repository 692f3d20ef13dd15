# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What is wrong, and what to write instead: from where it is noticed to the log and the doctor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be, in words that people act on.

    As a text it is one line: the finding, a semicolon, the remedy.

    Attributes:
        finding: What is wrong, with the value it is read from, and what follows from it.
        remedy: What to write instead; empty where nothing is to be written.
    """

    finding: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.finding}; {self.remedy}" if self.remedy else self.finding

    def of(self, place: str, consequence: str = "") -> Problem:
        """Return it with the place that it is in, and what follows from it there.

        Args:
            place: For example a variable and its entry.
            consequence: For example ``it is passed over``. Default: none.
        """
        then = f"; {consequence}" if consequence else ""
        return Problem(f"{place}: {self.finding}{then}", self.remedy)


class ProblemError(Exception):
    """Something cannot be had, for a reason that people can act on.

    Args:
        finding: As of a problem.
        remedy: As of a problem. Default: none.

    Attributes:
        problem: The same.
    """

    def __init__(self, finding: str, remedy: str = "") -> None:
        self.problem = Problem(finding, remedy)
        super().__init__(str(self.problem))


class InvalidValueError(ProblemError, ValueError):
    """A value that somebody wrote is not one that can be used."""
