# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A user's own prices: read from a file, and checked, so that no typo becomes a wrong sum.

A price that is silently ignored is the worst outcome, so everything that is not understood is
refused, with the entry, the value and what to write instead.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from ..call.plain_values import plain_number, plain_text, safe_repr
from ..diagnostics.problem import InvalidValueError
from .rates import TOKENS, UNITS, BillableUnit, provider_id

FLAT: Final = "flat"
CURRENCY: Final = "currency"
PER_CALL: Final = "per_call"
PER_MINUTE: Final = "per_minute"
_HIGHEST: Final = 1_000_000
_MAX_BYTES: Final = 1 << 20
"""More than all models there are take: what is longer is another file."""
_EXAMPLE: Final = '[tts."cartesia/sonic-3"]'


def read(path: str) -> Mapping[str, Any]:
    """Read a price file, TOML or JSON by its ending, and check it.

    Raises:
        ValueError: It is not understood. The text names the file, the entry, the value and what
            to write instead.
        OSError: It cannot be read.
    """
    import tomllib  # not needed by a job process, which is given what its worker read

    file = Path(path)
    ending = file.suffix.lower()
    if ending not in (".toml", ".json"):
        raise InvalidValueError(
            f"{path}: ends in {ending!r}", "write a price file that ends in .toml or .json"
        )
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise type(error)(
            error.errno, f"cannot read the price file: {error.strerror}", path
        ) from None
    if len(content) > _MAX_BYTES:
        raise InvalidValueError(
            f"{path}: longer than {_MAX_BYTES} bytes", "keep the prices of the models that you use"
        )
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InvalidValueError(f"{path}: not UTF-8 text", "save it as UTF-8") from error
    try:
        prices = (
            tomllib.loads(text)
            if ending == ".toml"
            else json.loads(text, object_pairs_hook=_without_doubles)
        )
    except RecursionError:
        raise InvalidValueError(
            f"{path}: nested too deeply", f"write tables such as {_EXAMPLE}, and prices in them"
        ) from None
    except ValueError as error:
        hint = f"write a model's name in quotes: {_EXAMPLE}" if ending == ".toml" else ""
        # of a number with thousands of digits, Python says how a program may read it all the same
        reason = str(error).partition("; use sys.")[0]
        raise InvalidValueError(f"{path}: not {ending[1:].upper()}: {reason}", hint) from None
    try:
        return checked(prices)
    except InvalidValueError as error:
        problem = error.problem.of(path)
        raise InvalidValueError(problem.finding, problem.remedy) from None


def checked(content: object) -> Mapping[str, Any]:
    """Check the content of a price file.

    Returns:
        The same in plain values of Python.

    Raises:
        ValueError: With the entry, the value and what to write instead.
    """
    prices: dict[str, Any] = {}
    for key, value in _table(content, "the price file", f"tables such as {_EXAMPLE}").items():
        if key == CURRENCY:
            prices[key] = plain_text(value)
            if prices[key] != "USD":
                raise InvalidValueError(
                    f"{CURRENCY} is {safe_repr(value)}: prices are in US dollars",
                    f'convert them, and write {CURRENCY} = "USD" or leave it out',
                )
        elif key == FLAT:
            prices[key] = _prices(FLAT, value, (PER_CALL, PER_MINUTE))
        elif key in UNITS:
            prices[key] = _models(key, value)
        else:
            raise _unknown(f"{safe_repr(key)} is not a component", key, (*UNITS, FLAT, CURRENCY))
    return prices


def _models(component: str, models: object) -> dict[str, dict[str, float]]:
    entries = {}
    names: dict[tuple[str, str], str] = {}
    hint = f'tables such as [{component}."provider/model"]'
    for name, entry in _table(models, component, hint).items():
        where = f"{component}.{json.dumps(name)}"
        provider, slash, model = name.partition("/")
        if not (slash and provider.strip() and model.strip()):
            raise InvalidValueError(
                f"{where}: not a provider and a model",
                'write "provider/model", or "provider/*" for all models of a provider',
            )
        double = names.setdefault((provider_id(provider), model.lower()), name)
        if double != name:
            raise InvalidValueError(
                f"{where}: the same model as {json.dumps(double)}", "keep one of them"
            )
        entries[name] = _prices(where, entry, UNITS[component])
        _check_entry(component, where, entries[name])
    return entries


def _check_entry(component: str, where: str, entry: Mapping[str, Any]) -> None:
    """Refuse an entry that says a thing twice, or only half of one."""
    said: dict[BillableUnit, str] = {}
    for key in entry:
        kind = UNITS[component][key][0]
        if kind in said:
            raise InvalidValueError(
                f"{where}: {said[kind]} and {key} price the same", "keep one of them"
            )
        said[kind] = key
    if any(kind in TOKENS for kind in said):
        for key in ("per_million_input_tokens", "per_million_output_tokens"):
            if key not in entry:
                raise InvalidValueError(f"{where}: {key} is missing", "write 0 if it costs nothing")


def _prices(where: str, entry: object, known: Iterable[str]) -> dict[str, float]:
    known = tuple(known)
    prices: dict[str, float] = {}
    for key, value in _table(entry, where, f"prices such as {known[0]} = 0.01").items():
        if key not in known:
            raise _unknown(f"{where}: {safe_repr(key)} is not a price", key, known)
        number = None if isinstance(value, bool) else plain_number(value)
        if number is None:
            raise InvalidValueError(
                f"{where}: {key} is {safe_repr(value)}",
                "write a number of US dollars, without quotes or a currency sign, such as 0.01",
            )
        if not 0 <= number <= _HIGHEST:
            raise InvalidValueError(
                f"{where}: {key} is {safe_repr(number)}",
                f"write a price from 0 to {_HIGHEST} US dollars, such as 0.01",
            )
        prices[key] = number
    if not prices:
        raise InvalidValueError(f"{where} is empty", f"write a price, such as {known[0]} = 0.01")
    return prices


def _table(value: object, where: str, hint: str) -> dict[str, Any]:
    entries: dict[str | None, Any] = {None: None}
    if issubclass(type(value), Mapping):
        try:
            entries = {plain_text(key): entry for key, entry in cast("Any", value).items()}
        except Exception:  # noqa: BLE001  any code can run in a mapping of the application's
            entries = {None: None}
    if None in entries:
        raise InvalidValueError(f"{where} is {safe_repr(value)}", f"write {hint}")
    return cast("dict[str, Any]", entries)


def _unknown(what: str, key: str, known: Iterable[str]) -> ValueError:
    from difflib import get_close_matches

    known = tuple(known)
    close = get_close_matches(key.lower(), known, n=1)
    if close:
        return InvalidValueError(f"{what}", f"did you mean {close[0]!r}?")
    return InvalidValueError(f"{what}", f"write one of {', '.join(known)}")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        [(double, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise InvalidValueError(
            f"{safe_repr(double)} stands twice in one table", "keep one of them"
        )
    return content
