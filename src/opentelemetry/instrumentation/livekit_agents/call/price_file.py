# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""A user's own prices: read from a file, and checked, so that no typo becomes a wrong sum.

A price that is silently ignored is the worst outcome, so everything that is not understood is
refused, with the entry, the value and what to write instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from .price_rows import TOKENS, UNITS, Kind, provider_id

FLAT: Final = "flat"
CURRENCY: Final = "currency"
PER_CALL: Final = "per_call"
PER_MINUTE: Final = "per_minute"
_HIGHEST: Final = 1_000_000
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
        raise ValueError(f"{path}: a price file ends in .toml or .json, this one in {ending!r}")
    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise type(error)(
            error.errno, f"cannot read the price file: {error.strerror}", path
        ) from None
    try:
        content = (
            tomllib.loads(text)
            if ending == ".toml"
            else json.loads(text, object_pairs_hook=_without_doubles)
        )
    except ValueError as error:
        hint = f"; a model's name stands in quotes: {_EXAMPLE}" if ending == ".toml" else ""
        raise ValueError(f"{path}: not {ending[1:].upper()}: {error}{hint}") from None
    try:
        check(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return dict(content)


def check(content: object) -> None:
    """Check the content of a price file.

    Raises:
        ValueError: With the entry, the value and what to write instead.
    """
    content = _table(content, "the price file", f"tables such as {_EXAMPLE}")
    for key, value in content.items():
        if key == CURRENCY:
            if value != "USD":
                raise ValueError(
                    f"{CURRENCY} is {value!r}: prices are in US dollars. Convert them, and write "
                    f'{CURRENCY} = "USD" or leave it out'
                )
        elif key == FLAT:
            _check_prices(FLAT, value, (PER_CALL, PER_MINUTE))
        elif key in UNITS:
            _check_models(key, value)
        else:
            raise _unknown(f"{key!r} is not a component", key, (*UNITS, FLAT, CURRENCY))


def _check_models(component: str, models: object) -> None:
    names: dict[tuple[str, str], str] = {}
    hint = f'tables such as [{component}."provider/model"]'
    for name, entry in _table(models, component, hint).items():
        where = f"{component}.{json.dumps(name)}"
        provider, slash, model = name.partition("/")
        if not (slash and provider.strip() and model.strip()):
            raise ValueError(
                f'{where}: write "provider/model", or "provider/*" for all models of a provider'
            )
        double = names.setdefault((provider_id(provider), model.lower()), name)
        if double != name:
            raise ValueError(f"{where}: the same model as {json.dumps(double)}; keep one of them")
        _check_entry(component, where, _check_prices(where, entry, UNITS[component]))


def _check_entry(component: str, where: str, entry: Mapping[str, Any]) -> None:
    """Refuse an entry that says a thing twice, or only half of one."""
    said: dict[Kind, str] = {}
    for key in entry:
        kind = UNITS[component][key][0]
        if kind in said:
            raise ValueError(f"{where}: {said[kind]} and {key} price the same; keep one of them")
        said[kind] = key
    if any(kind in TOKENS for kind in said):
        for key in ("per_million_input_tokens", "per_million_output_tokens"):
            if key not in entry:
                raise ValueError(f"{where}: {key} is missing; write 0 if it costs nothing")


def _check_prices(where: str, entry: object, known: Iterable[str]) -> Mapping[str, Any]:
    known = tuple(known)
    prices = _table(entry, where, f"prices such as {known[0]} = 0.01")
    if not prices:
        raise ValueError(f"{where} is empty: write a price, such as {known[0]} = 0.01")
    for key, value in prices.items():
        if key not in known:
            raise _unknown(f"{where}: {key!r} is not a price", key, known)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(
                f"{where}: {key} is {value!r}: write a number of US dollars, without quotes or a "
                "currency sign, such as 0.01"
            )
        if not 0 <= value <= _HIGHEST:
            raise ValueError(
                f"{where}: {key} is {value}: a price is from 0 to {_HIGHEST} US dollars, "
                "such as 0.01"
            )
    return prices


def _table(value: object, where: str, hint: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{where} is {value!r}: it holds {hint}")
    return value


def _unknown(what: str, key: str, known: Iterable[str]) -> ValueError:
    from difflib import get_close_matches

    known = tuple(known)
    close = get_close_matches(key.lower(), known, n=1)
    if close:
        return ValueError(f"{what}; did you mean {close[0]!r}?")
    return ValueError(f"{what}; write one of {', '.join(known)}")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{double!r} stands twice in one table; keep one of them")
    return content
