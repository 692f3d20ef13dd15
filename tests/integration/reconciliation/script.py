# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What happens in a call, drawn by a seed: plain data that a worker acts out and writes down."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field
from typing import Any, Final

AGENTS: Final = {
    "front-desk": ("acme", "large"),
    "billing": ("globex", "turbo"),
    "surgery": ("api.openai.com", "gpt-4o-mini"),
    "night-shift": ("initech", "mystery"),
}
"""Provider and model of each agent; nobody has a price for the last one."""

KILLED: Final = "killed"
"""The process is killed, two seconds after the last thing that happened."""
BROKEN: Final = "broken"
"""The entrypoint raises."""
HUNG_UP: Final = "hung up"
OVER: Final = "over"


@dataclass
class Generation:
    """One answer of a language model.

    Attributes:
        usage: Input tokens, those of them from the cache and those written to it; output tokens,
            those of them that were reasoning.
        tools: Calls of tools: names and arguments.
        stopped: The application interrupts it, ``before`` or ``after`` the model said what it
            took; empty for not at all.
    """

    usage: tuple[int, int, int, int, int]
    tools: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    stopped: str = ""


@dataclass
class Step:
    """What the application does next.

    Attributes:
        what: ``talk``, or what :mod:`reconciled` calls it.
        arguments: For that.
        answers: Of the model, in a ``talk``: the first, and the one to its tools.
    """

    what: str
    arguments: dict[str, Any] = field(default_factory=dict)
    answers: list[Generation] = field(default_factory=list)


@dataclass
class Script:
    """One call.

    Attributes:
        agent: Who takes it.
        steps: What happens in it.
        at_the_end: What a shutdown callback does.
        end: How it ends.
    """

    agent: str
    steps: list[Step]
    at_the_end: list[Step]
    end: str


def script_of(seed: int, number: int, *, end: str = "") -> Script:
    """Draw a call.

    Args:
        seed: Of all the calls.
        number: Which of them.
        end: How it ends. Default: drawn.
    """
    draw = random.Random(f"{seed}/{number}")
    end = end or draw.choices((OVER, BROKEN, HUNG_UP), (8, 1, 1))[0]
    verdict = draw.choice(("pass", "fail", "maybe"))
    return Script(
        agent=draw.choice(list(AGENTS)),
        steps=[_step(draw, verdict) for _ in range(draw.randint(1, 6))],
        at_the_end=[_report(draw, verdict) for _ in range(draw.choice((0, 0, 1, 2)))],
        end=end,
    )


def as_data(step: Step) -> dict[str, Any]:
    """Return a step as JSON can hold it."""
    return asdict(step)


def _step(draw: random.Random, verdict: str) -> Step:
    return _talk(draw) if draw.random() < 0.6 else _report(draw, verdict)


def _talk(draw: random.Random) -> Step:
    first = _generation(draw)
    kind = draw.choices(("plain", "tools", "stopped"), (4, 5, 1))[0]
    if kind == "stopped":
        first.stopped = draw.choice(("before", "after"))
    elif kind == "tools":
        tool = draw.choice(("look_up", "book_appointment", "pay", "hand_over"))
        arguments = {
            "look_up": {"how": draw.choice(("success", "error"))},
            "book_appointment": {"how": draw.choice(("success", "success", "error"))},
            "pay": {"amount": _money(draw), "currency": draw.choice(("EUR", "USD"))},
            "hand_over": {"to": draw.choice(list(AGENTS))},
        }[tool]
        first.tools = [(tool, arguments)]
    return Step("talk", answers=[first, _generation(draw)])


def _generation(draw: random.Random) -> Generation:
    prompt, completion = draw.randint(50, 9000), draw.randint(1, 700)
    cached = draw.choice((0, draw.randint(0, prompt)))
    written = draw.choice((0, draw.randint(0, prompt - cached)))
    reasoning = draw.choice((0, draw.randint(0, completion)))
    return Generation((prompt, cached, written, completion, reasoning))


def _report(draw: random.Random, verdict: str) -> Step:
    what = draw.choice(
        (
            "convert",
            "convert",
            "label",
            "label",
            "outcome",
            "feedback",
            "count",
            "record",
            "tag",
            "judge",
            "transfer",
            "tracked",
        )
    )
    return Step(
        what,
        {
            "convert": {
                "name": draw.choice(("upsells", "payments")),
                "value": _money(draw),
                "currency": draw.choice(("EUR", "USD", "")),
            },
            "label": draw.choice(
                (
                    {"name": "intent", "value": draw.choice(("booking", "billing", "weather"))},
                    {"name": "tier", "value": draw.choice(("gold", "basic"))},
                )
            ),
            "outcome": {"name": draw.choice(("inquiry", "complaint", "nobody declared this"))},
            "feedback": {"kind": draw.choice(("csat", "nps")), "score": draw.randint(1, 5)},
            "count": {"amount": draw.randint(1, 4), "reason": draw.choice(("busy", "late", "x"))},
            "record": {"value": draw.randint(1, 12)},
            "tag": {"tag": draw.choice(("success", "fail", "complaint", "language:es", "x:y"))},
            "judge": {"verdict": verdict},
            "transfer": {},
            "tracked": {"how": draw.choice(("success", "error", "cancelled"))},
        }[what],
    )


def _money(draw: random.Random) -> str:
    return f"{draw.randint(1, 40000) / 100:.2f}"
