# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Prices: whether what the models in use cost is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ... import semconv
from ...call.events import ModelUsed
from ...environment_variables import CALLSPAN_PRICES as VARIABLE
from ...pricing import price_file
from ...pricing.price_book import PriceBook, Priced, Unpriced
from ...semconv import Usage
from .verdict import Setup, Verdict, ok, problem, warning

_TOKENS: Final = {Usage.INPUT_TOKENS: 1000.0, Usage.OUTPUT_TOKENS: 100.0}
_STREAMED: Final = {Usage.REQUESTS: 1.0, Usage.STREAMED_REQUESTS: 1.0}
_USAGE: Final = {
    semconv.COMPONENT_LLM: {**_TOKENS, **_STREAMED},
    semconv.COMPONENT_REALTIME: {
        **_TOKENS,
        **_STREAMED,
        Usage.INPUT_TEXT_TOKENS: 100.0,
        Usage.INPUT_AUDIO_TOKENS: 900.0,
        Usage.OUTPUT_TEXT_TOKENS: 10.0,
        Usage.OUTPUT_AUDIO_TOKENS: 90.0,
        Usage.SESSION_DURATION: 60.0,
    },
    semconv.COMPONENT_STT: {**_TOKENS, **_STREAMED, Usage.AUDIO_DURATION: 60.0},
    semconv.COMPONENT_TTS: {
        **_TOKENS,
        **_STREAMED,
        Usage.CHARACTERS: 100.0,
        Usage.AUDIO_DURATION: 10.0,
    },
}
"""What such a component reports: any of it can be what a price is for."""

FORM: Final = "component:provider/model, for example llm:openai/gpt-4o-mini"


def parsed(text: str) -> tuple[str, str, str]:
    """Return component, provider and model of what ``--model`` was given.

    Raises:
        ValueError: It is not understood; the text says what to write instead.
    """
    component, _, rest = text.partition(":")
    provider, _, model = rest.partition("/")
    if component not in _USAGE or not provider or not model:
        raise ValueError(f"--model {text}: not {FORM}; components are {', '.join(sorted(_USAGE))}")
    return component, provider, model


def check(setup: Setup) -> Iterator[Verdict]:
    """Look whether each model has a price."""
    try:
        # a file that a variable names is read with the variables, and its mistakes said there
        book = PriceBook(price_file.read(setup.prices) if setup.prices else setup.settings.prices)
    except (OSError, ValueError) as error:
        yield problem(f"--prices: {error}", "correct the file, or leave it out")
        return
    names = dict.fromkeys(setup.models)
    if setup.worker is not None:
        names |= dict.fromkeys(setup.worker.models)
    if not names:
        yield ok(f"no model was named that could be looked up; name them with --model {FORM}")
    for name in names:
        yield _priced(book, name, setup)


def _priced(book: PriceBook, name: str, setup: Setup) -> Verdict:
    component, provider, model = parsed(name)
    used = ModelUsed(component, provider, model, _USAGE[component])
    result = book.price(used)
    if isinstance(result, Priced):
        sources = dict.fromkeys(line.source for line in result.lines)
        return ok(f"{name} is priced: {', '.join(sources)}")
    assert isinstance(result, Unpriced)
    path = setup.prices or setup.environ.get(VARIABLE, "").strip()
    return warning(
        f"{name} is not priced: calls with it show as unpriced, never as free",
        f"add to {path or f'the file that {VARIABLE} names'}, with your own figures:\n"
        f"{book.price_file_example(used)}",
    )
