# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Rows of the genai-prices package, for models that it means by exactly the name that was used.

Importing this module loads all packaged prices: 6 MB and 30 ms, more if a garbage collection falls
into it. A forkserver that preloads it pays that once for all its job processes; without one it is
best imported before a call begins. Nothing is fetched from the network.

The package finds a model by patterns, some of them wide: ``gemini-3.6-flash-lite`` passes for
``gemini-3.6-flash``, at another price. Here the name has to be one of the row's own, give or take
a region before it, and a date or version stamp after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import genai_prices
from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice, Provider

from .. import semconv
from .rates import BillableUnit, Rate, speech_rows, with_audio

_TOKEN_PRICES: Final = {
    "input_mtok": (BillableUnit.INPUT, 1e6),
    "cache_read_mtok": (BillableUnit.CACHED, 1e6),
    "cache_write_mtok": (BillableUnit.CACHE_WRITE, 1e6),
    "input_audio_mtok": (BillableUnit.INPUT_AUDIO, 1e6),
    "cache_audio_read_mtok": (BillableUnit.CACHED_AUDIO, 1e6),
    "input_image_mtok": (BillableUnit.INPUT_IMAGE, 1e6),
    "cache_image_read_mtok": (BillableUnit.CACHED_IMAGE, 1e6),
    "output_mtok": (BillableUnit.OUTPUT, 1e6),
    "output_reasoning_mtok": (BillableUnit.REASONING, 1e6),
    "output_audio_mtok": (BillableUnit.OUTPUT_AUDIO, 1e6),
    "output_image_mtok": (BillableUnit.OUTPUT_IMAGE, 1e6),
    "requests_kcount": (BillableUnit.REQUESTS, 1e3),
}
# the same hour, named twice: what is heard is what is put in
_TIME_PRICES: Final = dict.fromkeys(
    ("audio_hours", "input_audio_hours"), (BillableUnit.SECONDS, 3600.0)
)
_PRICES: Final = {
    semconv.COMPONENT_LLM: _TOKEN_PRICES,
    semconv.COMPONENT_REALTIME: _TOKEN_PRICES,
    semconv.COMPONENT_STT: {**_TOKEN_PRICES, **_TIME_PRICES},
    semconv.COMPONENT_TTS: {**_TOKEN_PRICES, "input_mchars": (BillableUnit.CHARACTERS, 1e6)},
}
_NOT_REPORTED: Final = frozenset(
    {
        "cache_write_1h_mtok",
        "input_video_mtok",
        "output_video_mtok",
        "storage_searches_kcount",
        "web_searches_kcount",
    }
)
"""Prices for what LiveKit does not report. A row with one of neither set is not used at all:
part of what it charges would be left out."""

_REGION: Final = re.compile(r"(?:models/)?(?:[a-z-]+\.)*")
_STAMP: Final = re.compile(
    r"(?:[-@:](?:\d{4}-\d{2}-\d{2}|\d{8}|\d{2}-\d{2,4}|\d{3,4}|v\d+(?::\d+)?|latest|preview|exp))*"
)


def _whole_names(match: Any) -> Iterator[str]:
    for clause, value in vars(match).items():
        if clause == "equals":
            yield value.lower()
        elif clause == "or_":
            for part in value:
                yield from _whole_names(part)


_MODELS: Final = {
    (provider.id, name): (provider, model)
    # the first of a provider's rows is the one that holds
    for provider in providers
    for model in reversed(provider.models)
    for name in _whole_names(model.match)
}
"""A job that looks a model up here shares nearly all of its forkserver's memory; one that goes
through every pattern of a provider copies it."""

speech_rows()


def model_row(
    component: str, provider: str, model: str, *, input_tokens: float, seconds: float
) -> Rate | None:
    """Return what a model costs today; None where the package does not know it, or not all of it.

    Args:
        component: One of ``llm``, ``realtime``, ``stt`` and ``tts``.
        provider: The provider's id.
        model: As the plugin names it.
        input_tokens: Of the one request: some models cost more past a threshold.
        seconds: Of audio in the one request: some providers charge for a minimum.
    """
    priced = _MODELS.get((provider, model.lower())) or _search(provider, model.lower())
    if priced is None:
        return None
    known = _PRICES[component]
    prices: dict[BillableUnit, float] = {}
    for key, price in vars(_standing(*priced)).items():
        if price is None:
            continue
        if key in known:
            kind, amount = known[key]
            prices[kind] = float(_at(price, input_tokens)) / amount
        elif key not in _NOT_REPORTED:
            return None
    if not prices:
        return None
    billed_s = None
    if seconds and prices.get(BillableUnit.SECONDS):
        usage = genai_prices.Usage(audio_seconds=seconds, input_audio_seconds=seconds)
        billed_s = (
            float(priced[1].calc_price(usage, priced[0]).total_price) / prices[BillableUnit.SECONDS]
        )
    source = f"genai-prices {genai_prices.__version__} {provider}/{priced[1].id}"
    return Rate(source, with_audio(component, prices), billed_s)


def _search(provider: str, name: str) -> tuple[Provider, ModelInfo] | None:
    try:
        priced = genai_prices.calc_price(genai_prices.Usage(), name, provider_id=provider)
    except LookupError:
        return None
    # a provider, too, is found by part of its name
    if priced.provider.id != provider or not _is_named(priced.model, name):
        return None
    return priced.provider, priced.model


def _standing(provider: Provider, model: ModelInfo) -> ModelPrice:
    """Return the prices that hold now: some have a first day, or hours of the day."""
    if isinstance(model.prices, ModelPrice):
        return model.prices
    return model.calc_price(genai_prices.Usage(), provider).model_price


def _at(price: Any, input_tokens: float) -> Any:
    """Return the price that holds for a request of this size: past a threshold, for all of it."""
    held = getattr(price, "base", price)
    for tier in getattr(price, "tiers", ()):
        if input_tokens > tier.start:
            held = tier.price
    return held


def _is_named(model: Any, name: str) -> bool:
    """Tell whether a name is the row's own, not merely covered by one of its patterns."""
    return any(
        re.search(own, name) is not None if own.startswith("^") else _is_stamped(own, name)
        for own in (model.id, *_names(model.match))
    )


def _is_stamped(own: str, name: str) -> bool:
    before, priced, after = name.partition(own.lower())
    return (
        bool(priced)
        and _REGION.fullmatch(before) is not None
        and _STAMP.fullmatch(after) is not None
    )


def _names(match: Any) -> Iterator[str]:
    """Give the names that a row matches by; a pattern only if it is for a whole name."""
    for clause, value in vars(match).items():
        if isinstance(value, list):
            for part in value:
                yield from _names(part)
        elif clause != "regex" or (
            value.startswith("^") and value.endswith("$") and "(?" not in value
        ):
            yield value
