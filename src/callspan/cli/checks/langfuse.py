# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a Langfuse server of some version shows of the tokens and the cost that it is sent."""

from __future__ import annotations

import re
from typing import Final

import requests

from ...providers import exporters
from ...providers.presets import langfuse
from .verdict import Setup, Verdict, ok, problem, warning

_HEALTH: Final = "/api/public/health"
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_FIRST_WITH_TOKENS: Final = (3, 125, 0)
_FIRST_WITH_COST: Final = tuple(int(part) for part in langfuse.OLDEST.split("."))
_REMEDY: Final = f"upgrade the server to {langfuse.OLDEST} or newer"


def check_version(setup: Setup) -> Verdict:
    """Ask Langfuse for its version, and say what that shows of a call; no key goes with it."""
    target = exporters.destination(langfuse.NAME, "TRACES", setup.settings, setup.environ)
    address = target.address.partition(langfuse.PATH)[0] + _HEALTH
    try:
        answer = requests.get(address, timeout=setup.timeout_s, allow_redirects=False)
    except requests.RequestException as error:
        return _unknown(address, f"does not answer ({type(error).__name__})")
    version = _version(answer)
    numbers = _VERSION.match(version)
    if numbers is None:
        return _unknown(address, f"answers {answer.status_code} without a version")
    release = tuple(int(number) for number in numbers.groups())
    if release < _FIRST_WITH_TOKENS:
        return problem(
            f"{address}: Langfuse {version} ignores tokens and cost as they are sent: calls have "
            "none there, or estimates of its own where content is sent",
            _REMEDY,
        )
    if release < _FIRST_WITH_COST:
        return problem(
            f"{address}: Langfuse {version} ignores cost as it is sent: calls have their tokens "
            "there, at the prices of its own table, and no cost of speech or by the minute",
            _REMEDY,
        )
    return ok(f"{address}: Langfuse {version} shows tokens and cost as they are sent")


def _version(answer: requests.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return ""
    return str(body.get("version", "")) if isinstance(body, dict) else ""


def _unknown(address: str, said: str) -> Verdict:
    return warning(
        f"{address}: {said}; Langfuse before {langfuse.OLDEST} ignores what calls cost",
        f"look that the server is {langfuse.OLDEST} or newer",
    )
