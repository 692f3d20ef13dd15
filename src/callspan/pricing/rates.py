# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What can be charged for, how its price is spelt, and the packaged table of speech prices.

One vocabulary serves a user's price file, the packaged table and the rows of genai-prices.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

from .. import semconv


class BillableUnit(StrEnum):
    """What is charged for. No token, second or character is of two kinds."""

    INPUT = "input tokens"
    CACHED = "cached tokens"
    CACHE_WRITE = "cache write tokens"
    INPUT_AUDIO = "input audio tokens"
    CACHED_AUDIO = "cached audio tokens"
    INPUT_IMAGE = "input image tokens"
    CACHED_IMAGE = "cached image tokens"
    OUTPUT = "output tokens"
    REASONING = "reasoning tokens"
    OUTPUT_AUDIO = "output audio tokens"
    OUTPUT_IMAGE = "output image tokens"
    CHARACTERS = "characters"
    SECONDS = "seconds"
    REQUESTS = "requests"


TOKENS: Final = tuple(kind for kind in BillableUnit if kind.endswith(" tokens"))
BASES: Final = (TOKENS, (BillableUnit.CHARACTERS,), (BillableUnit.SECONDS,))
"""A row is charged by the first of these that it has and that is reported, never by two."""

FALLBACKS: Final[Mapping[BillableUnit, tuple[BillableUnit, ...]]] = {
    BillableUnit.CACHED: (BillableUnit.INPUT,),
    BillableUnit.CACHE_WRITE: (BillableUnit.INPUT,),
    BillableUnit.CACHED_AUDIO: (BillableUnit.INPUT_AUDIO,),
    BillableUnit.INPUT_IMAGE: (BillableUnit.INPUT,),
    BillableUnit.CACHED_IMAGE: (BillableUnit.INPUT_IMAGE, BillableUnit.CACHED, BillableUnit.INPUT),
    BillableUnit.REASONING: (BillableUnit.OUTPUT,),
    BillableUnit.OUTPUT_IMAGE: (BillableUnit.OUTPUT,),
}
"""Whose price holds where a row has none for a kind. Audio is not in it: it costs many times
what text does, so a row without a price for it does not say what it costs."""

_PER_TOKEN: Final = {f"per_million_{kind.replace(' ', '_')}": (kind, 1e6) for kind in TOKENS}
_PER_TIME: Final = {
    "per_second": (BillableUnit.SECONDS, 1.0),
    "per_minute": (BillableUnit.SECONDS, 60.0),
    "per_hour": (BillableUnit.SECONDS, 3600.0),
}
_PER_CHARACTER: Final = {
    "per_character": (BillableUnit.CHARACTERS, 1.0),
    "per_million_characters": (BillableUnit.CHARACTERS, 1e6),
}
_PER_REQUEST: Final = {"per_request": (BillableUnit.REQUESTS, 1.0)}

UNITS: Final[Mapping[str, Mapping[str, tuple[BillableUnit, float]]]] = {
    semconv.COMPONENT_LLM: {**_PER_TOKEN, **_PER_REQUEST},
    semconv.COMPONENT_REALTIME: {**_PER_TOKEN, **_PER_TIME, **_PER_REQUEST},
    semconv.COMPONENT_STT: {**_PER_TIME, **_PER_TOKEN, **_PER_REQUEST},
    semconv.COMPONENT_TTS: {**_PER_CHARACTER, **_PER_TOKEN, **_PER_TIME, **_PER_REQUEST},
    semconv.COMPONENT_DECISION: {**_PER_TOKEN, **_PER_REQUEST},
}
"""The prices that an entry can give, by component: what each is for, and for how many of it."""

_PROVIDERS: Final = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "api.groq.com": "groq",
    "api.x.ai": "x-ai",
    "xai": "x-ai",
    "api.deepseek.com": "deepseek",
    "api.cerebras.ai": "cerebras",
    "api.fireworks.ai": "fireworks",
    "fireworksai": "fireworks",
    "api.together.xyz": "together",
    "api.perplexity.ai": "perplexity",
    "openrouter.ai": "openrouter",
    "inference.baseten.co": "baseten",
    "oai.endpoints.kepler.ai.cloud.ovh.net": "ovhcloud",
    "mistralai": "mistral",
    "gemini": "google",
    "vertex-ai": "google",
    "vertex-ai-model-garden": "google",
    "aws-bedrock": "aws",
    "amazon": "aws",
}
_AZURE: Final = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")


def provider_id(provider: str) -> str:
    """Return the short name of a provider that a plugin names by its host or in its own words.

    ``api.openai.com`` is ``openai``, ``AWS Bedrock`` is ``aws``. Names are compared whole: a proxy
    that has ``openai`` in its name is not OpenAI. One that is not known keeps its name.
    """
    name = provider.strip().lower().replace(" ", "-")
    return "azure" if name.endswith(_AZURE) else _PROVIDERS.get(name, name) or semconv.UNKNOWN


@dataclass(frozen=True, slots=True)
class Rate:
    """What one model costs.

    Attributes:
        source: Which row it is, and where it comes from.
        prices: Dollars for one of each kind.
        billed_s: The seconds that are charged, where a provider charges more than there were.
    """

    source: str
    prices: Mapping[BillableUnit, float]
    billed_s: float | None = None

    def price(self, kind: BillableUnit) -> float | None:
        """Return dollars for one; None where the row does not say."""
        for one in (kind, *FALLBACKS.get(kind, ())):
            if one in self.prices:
                return self.prices[one]
        return None

    def has(self, kinds: tuple[BillableUnit, ...]) -> bool:
        """Tell whether any of these has a price."""
        return any(kind in self.prices for kind in kinds)


def prices_of(component: str, entry: Mapping[str, Any]) -> dict[BillableUnit, float]:
    """Return dollars for one of each kind that an entry, already checked, has a price for."""
    units = UNITS[component]
    prices = {kind: entry[key] / amount for key, (kind, amount) in units.items() if key in entry}
    return with_audio(component, prices)


def with_audio(component: str, prices: dict[BillableUnit, float]) -> dict[BillableUnit, float]:
    """Let a transcriber's one price for input hold for audio: that is what it is given."""
    if component == semconv.COMPONENT_STT and BillableUnit.INPUT in prices:
        prices.setdefault(BillableUnit.INPUT_AUDIO, prices[BillableUnit.INPUT])
    return prices


def speech_row(component: str, name: str, *, streamed: bool) -> Rate | None:
    """Return the packaged row of a speech model, by ``provider/model``.

    Args:
        component: ``stt`` or ``tts``.
        name: The provider's id and the model, in small letters.
        streamed: Whether audio was streamed. Several providers take another price then; a row
            for the other way is not used.
    """
    rows = speech_rows()
    mode = "streaming" if streamed else "batch"
    return rows.get((component, name, mode)) or rows.get((component, name, ""))


@cache
def speech_rows() -> Mapping[tuple[str, str, str], Rate]:
    """Return the packaged table, by component, ``provider/model``, and mode where it matters."""
    table = json.loads(Path(__file__).with_name("speech_prices.json").read_text("utf-8"))
    rows = {}
    for entry in table["rows"]:
        component, name, mode = entry["component"], entry["name"], entry.get("mode", "")
        rows[component, name, mode] = Rate(
            source=f"{' '.join(filter(None, (name, mode)))} {entry['source']} ({table['date']})",
            prices=prices_of(component, entry),
        )
    return rows
