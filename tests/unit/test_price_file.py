# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A user's own prices: what is read, and what is said about every way to get it wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callspan.config import settings
from callspan.config.arguments import Options
from callspan.pricing import price_file
from callspan.pricing.price_book import PriceBook
from callspan.pricing.rates import UNITS

GOOD = """
currency = "USD"

[flat]
per_call = 0.002
per_minute = 0.0085

[llm."openai/gpt-4o-mini"]
per_million_input_tokens = 0.12
per_million_cached_tokens = 0.06
per_million_output_tokens = 0.48

[stt."deepgram/*"]
per_minute = 0.0043

[tts."cartesia/sonic-3"]
per_character = 0.00003
"""
TOKENS = {"per_million_input_tokens": 1, "per_million_output_tokens": 1}


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    toml, other = tmp_path / "prices.toml", tmp_path / "prices.JSON"
    toml.write_text(GOOD)
    content = price_file.read(str(toml))
    other.write_text(json.dumps(content))
    assert price_file.read(str(other)) == content
    assert content["flat"] == {"per_call": 0.002, "per_minute": 0.0085}
    assert content["stt"] == {"deepgram/*": {"per_minute": 0.0043}}
    PriceBook(content)


WRONG: list[tuple[Any, str]] = [
    ([], 'the price file is []; write tables such as [tts."cartesia/sonic-3"]'),
    ({"lllm": {}}, "'lllm' is not a component; did you mean 'llm'?"),
    (
        {"telephony": {}},
        "'telephony' is not a component; write one of llm, realtime, stt, tts, decision, flat, "
        "currency",
    ),
    (
        {"currency": "EUR"},
        "currency is 'EUR': prices are in US dollars; convert them, and write currency = \"USD\" "
        "or leave it out",
    ),
    ({"llm": 3}, 'llm is 3; write tables such as [llm."provider/model"]'),
    (
        {"llm": {"gpt-4o": TOKENS}},
        'llm."gpt-4o": not a provider and a model; write "provider/model", or "provider/*" for '
        "all models of a provider",
    ),
    (
        {"llm": {"openai": {"gpt-4o": TOKENS}}},
        'llm."openai": not a provider and a model; write "provider/model", or "provider/*" for '
        "all models of a provider",
    ),
    (
        {"llm": {"/gpt-4o": TOKENS}},
        'llm."/gpt-4o": not a provider and a model; write "provider/model", or "provider/*" for '
        "all models of a provider",
    ),
    (
        {"llm": {"openai/gpt-4o": TOKENS, "api.openai.com/GPT-4o": TOKENS}},
        'llm."api.openai.com/GPT-4o": the same model as "openai/gpt-4o"; keep one of them',
    ),
    (
        {"tts": {"cartesia/sonic": {"per_charactor": 0.1}}},
        "tts.\"cartesia/sonic\": 'per_charactor' is not a price; did you mean 'per_character'?",
    ),
    (
        {"stt": {"deepgram/*": {"per_character": 0.1}}},
        "stt.\"deepgram/*\": 'per_character' is not a price; write one of "
        + ", ".join(UNITS["stt"]),
    ),
    (
        {"flat": {"per_hour": 1}},
        "flat: 'per_hour' is not a price; write one of per_call, per_minute",
    ),
    (
        {"tts": {"cartesia/sonic": {"per_character": -0.1}}},
        'tts."cartesia/sonic": per_character is -0.1; write a price from 0 to 1000000 US dollars, '
        "such as 0.01",
    ),
    (
        {"flat": {"per_call": float("nan")}},
        "flat: per_call is nan; write a price from 0 to 1000000 US dollars, such as 0.01",
    ),
    (
        {"flat": {"per_call": float("inf")}},
        "flat: per_call is inf; write a price from 0 to 1000000 US dollars, such as 0.01",
    ),
    (
        {"flat": {"per_call": 2_000_000}},
        "flat: per_call is 2000000; write a price from 0 to 1000000 US dollars, such as 0.01",
    ),
    (
        {"flat": {"per_call": "$0.15"}},
        "flat: per_call is '$0.15'; write a number of US dollars, without quotes or a currency "
        "sign, such as 0.01",
    ),
    (
        {"flat": {"per_call": True}},
        "flat: per_call is True; write a number of US dollars, without quotes or a currency sign, "
        "such as 0.01",
    ),
    ({"flat": {}}, "flat is empty; write a price, such as per_call = 0.01"),
    (
        {"stt": {"deepgram/*": {}}},
        'stt."deepgram/*" is empty; write a price, such as per_second = 0.01',
    ),
    (
        {"stt": {"deepgram/*": 0.0043}},
        'stt."deepgram/*" is 0.0043; write prices such as per_second = 0.01',
    ),
    (
        {"stt": {"deepgram/*": {"per_second": 1, "per_minute": 60}}},
        'stt."deepgram/*": per_second and per_minute price the same; keep one of them',
    ),
    (
        {"llm": {"openai/*": {"per_million_input_tokens": 1}}},
        'llm."openai/*": per_million_output_tokens is missing; write 0 if it costs nothing',
    ),
    (
        {"llm": {"openai/*": {"per_million_cached_tokens": 1}}},
        'llm."openai/*": per_million_input_tokens is missing; write 0 if it costs nothing',
    ),
]


@pytest.mark.parametrize(("content", "text"), WRONG)
def test_what_is_not_understood_is_refused(content: Any, text: str) -> None:
    """From a file and from code alike, with the entry, the value and what to write."""
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        price_file.checked(content)
    if content:
        with pytest.raises(ValueError, match=re.escape(text)):
            PriceBook(content)


def test_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[flat]\nper_cal = 1\n")
    with pytest.raises(ValueError, match=r"my\.toml: flat: 'per_cal' is not a price; did you mean"):
        price_file.read(str(path))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "a.toml",
            "[llm.openai/gpt-4o]\nper_request = 1\n",
            r"a\.toml: not TOML: .*; write a model's name in quotes: \[tts\.\"cartesia/sonic",
        ),
        ("a.toml", "[flat]\nper_call = 1\nper_call = 2\n", r"a\.toml: not TOML: .*line 3"),
        ("a.json", "{", r"a\.json: not JSON: .*line 1"),
        (
            "a.json",
            '{"flat": {"per_call": 1, "per_call": 2}}',
            r"a\.json: not JSON: 'per_call' stands twice in one table; keep one of them",
        ),
        ("a.json", '{"flat": {"per_call": NaN}}', r"a\.json: flat: per_call is nan"),
        ("a.json", f'{{"flat": {{"per_call": 1{"0" * 400}}}}}', r"a\.json: flat: per_call is 10"),
        ("a.yaml", "flat: 1", r"a\.yaml: ends in '\.yaml'; write a price file that ends"),
        ("prices", "", r"prices: ends in ''; write a price file"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_one(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        price_file.read(str(path))


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"# caf\xe9\n")
    with pytest.raises(ValueError, match=r"a\.toml: not UTF-8 text; save it as UTF-8"):
        price_file.read(str(path))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    with pytest.raises(FileNotFoundError, match=r"cannot read the price file: No such file.*none"):
        price_file.read(str(missing))
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    with pytest.raises(IsADirectoryError, match="cannot read the price file: Is a directory"):
        price_file.read(str(folder))


_DEEP = 100_000
_EXAMPLE = r"write tables such as \[tts\.\"cartesia/sonic-3\"\], and prices in them"
_HUGE = "1" + "0" * 400


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", f"flat = {'[' * _DEEP}", rf"a\.toml: nested too deeply; {_EXAMPLE}"),
        ("a.json", f'{{"flat": {"[" * _DEEP}', rf"a\.json: nested too deeply; {_EXAMPLE}"),
        ("a.json", '{"llm":' * _DEEP, rf"a\.json: nested too deeply; {_EXAMPLE}"),
        ("a.toml", f"flat.per_call{'.a' * 2000} = 1", r"flat: per_call is {'a': {'a': .*; write"),
        ("a.toml", "[flat]\nper_call = 1e999", r"flat: per_call is inf; write a price from 0 to 1"),
        ("a.json", '{"flat": {"per_call": 1e999}}', r"flat: per_call is inf; write a price from 0"),
        ("a.toml", f"[flat]\nper_call = {_HUGE}", r"per_call is 10+\.\.\.0+; write a price"),
        ("a.toml", f"[flat]\nper_call = {'1' * 5000}", r"not TOML: Exceeds the limit .* digits; w"),
        ("a.json", f'{{"flat": {{"per_call": {"1" * 5000}}}}}', r"not JSON: Exceeds .* 5000 digit"),
        ("a.toml", "#" * (1 << 20) + "\n", r"a\.toml: longer than 1048576 bytes; keep the prices"),
    ],
    ids=[
        *("toml list", "json list", "json tables", "toml key", "toml 1e999", "json 1e999"),
        *("toml 400 digits", "toml 5000 digits", "json 5000 digits", "toml megabyte"),
    ],
)  # fmt: skip
def test_a_file_that_is_deep_or_huge_is_a_problem_in_plain_words(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    """It is passed over, and the worker starts."""
    path = tmp_path / name
    path.write_text(text)
    variable = "CALLSPAN_PRICES"
    resolved = settings.resolve({variable: str(path)})
    assert resolved.prices == {}
    [problem] = resolved.problems
    assert re.search(said, str(problem).replace("; the packaged prices are used", ""))
    assert len(str(problem)) < 500


def _nested(times: int) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for _ in range(times):
        content = {"llm": content}
    return content


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        (
            _nested(_DEEP),
            'llm."llm": not a provider and a model; write "provider/model", or "provider/*" '
            "for all models",
        ),
        ({"flat": {"per_call": _nested(_DEEP)}}, "flat: per_call is {'llm': {'llm': {'llm': "),
        ({"flat": {"per_call": 10**5000}}, "flat: per_call is <int object at 0x"),
    ],
    ids=["tables", "price", "digits"],
)
def test_deep_prices_in_code_are_a_value_error(prices: dict[str, Any], said: str) -> None:
    """As anything else that is not understood."""
    with pytest.raises(ValueError, match=f"^{re.escape(said)}") as refused:
        Options.of(prices=prices)
    assert len(str(refused.value)) < 500


def test_prices_of_numpys_are_numbers() -> None:
    """A cost that is none of Python's own numbers would not reach the worker."""
    options = Options.of(prices={"flat": {"per_call": np.float64(0.25)}})
    assert options.prices is not None
    assert type(options.prices["flat"]["per_call"]) is float


KEYS = st.sampled_from([(component, key) for component, units in UNITS.items() for key in units])


@given(KEYS, st.data())
def test_every_typo_is_caught(component_key: tuple[str, str], data: st.DataObject) -> None:
    """Any letter left out of any key is refused, and the key that was meant is named."""
    component, key = component_key
    at = data.draw(st.integers(0, len(key) - 1))
    typo = key[:at] + key[at + 1 :]
    with pytest.raises(ValueError, match=f"{typo!r} is not a price; did you mean '"):
        price_file.checked({component: {"a/b": {typo: 1}}})
