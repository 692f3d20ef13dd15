# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Which calls' traces are kept, decided at hang-up, when all is known of a call.

A sampler decides before a call begins, and a Collector's tail sampling some seconds after: a call
lasts minutes, and what makes it worth keeping is often its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..diagnostics.problem import InvalidValueError
from .call import Call

_EXAMPLE: Final = "errors,slow=1.5,outcome=abandoned|booking,ratio=0.1"
_OF_RATIO: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class TailSamplingRules:
    """Calls of which one of these is true are kept; of the others, a ratio.

    Attributes:
        errors: Something failed in it: the call, a model or service for good, or a tool.
        slow_turn_s: A turn took longer than so many seconds; None for whatever it took.
        outcomes: It had one of these.
        ratio: The part of all other calls that is kept, by trace id, so that every process
            decides alike.
    """

    errors: bool = False
    slow_turn_s: float | None = None
    outcomes: frozenset[str] = frozenset()
    ratio: float = 0.0

    def should_keep(self, call: Call, outcome: str, trace_id: int) -> bool:
        """Tell whether the trace of a finished call is kept.

        Args:
            call: The call.
            outcome: Which it had.
            trace_id: Its low 64 bits are as good as random, as samplers take them to be.
        """
        return (
            (self.errors and (call.failed or call.failures > 0))
            or (self.slow_turn_s is not None and call.slowest_turn_s > self.slow_turn_s)
            or outcome in self.outcomes
            or trace_id % _OF_RATIO < self.ratio * _OF_RATIO
        )

    @classmethod
    def parse(cls, text: str) -> TailSamplingRules:
        """Read rules as a variable has them: ``errors,slow=1.5,outcome=abandoned,ratio=0.1``.

        Raises:
            ValueError: If an entry is not understood; the text says which, and what to write.
        """
        errors, slow_turn_s, ratio = False, None, 0.0
        outcomes: set[str] = set()
        for entry in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = (part.strip() for part in entry.partition("="))
            if entry == "errors":
                errors = True
            elif name == "slow":
                slow_turn_s = _number(entry, value, 60.0)
            elif name == "ratio":
                ratio = _number(entry, value, 1.0)
            elif name == "outcome" and value:
                outcomes.update(one.strip() for one in value.split("|"))
            else:
                raise InvalidValueError(f"{entry}: not understood", f"write for example {_EXAMPLE}")
        return cls(errors, slow_turn_s, frozenset(outcomes), ratio)


def _number(entry: str, value: str, greatest: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= greatest:
        raise InvalidValueError(
            f"{entry}: not a number from 0 to {greatest:g}", f"write for example {_EXAMPLE}"
        )
    return number
