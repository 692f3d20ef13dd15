# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What a call costs: the user's own prices first, then the packaged ones, and never a guess.

One rule holds everything together: what a provider charges is split into kinds of which no token
is in two, and each kind is multiplied by one price. What cannot be priced is said to be unpriced.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .. import semconv
from ..call.events import ModelUsed
from ..semconv import Usage
from . import price_file
from .rates import BASES, TOKENS, UNITS, BillableUnit, Rate, prices_of, provider_id, speech_row

NO_PRICE: Final = "no_price"
"""No row prices this model, or not all of what it took."""
NO_USAGE: Final = "no_usage"
"""It was paid for, and nobody knows how much: a cancelled generation whose provider reported no
tokens, or tokens without saying which of them are audio."""

_PRICED: Final = (
    semconv.COMPONENT_LLM,
    semconv.COMPONENT_REALTIME,
    semconv.COMPONENT_STT,
    semconv.COMPONENT_TTS,
)
_EXAMPLES: Final = {
    semconv.COMPONENT_STT: "per_minute = 0.0043",
    semconv.COMPONENT_TTS: "per_character = 0.00003",
}
_TOKENS_EXAMPLE: Final = "per_million_input_tokens = 0.15\nper_million_output_tokens = 0.60"


@dataclass(frozen=True, slots=True)
class PriceLine:
    """One price that was applied.

    Attributes:
        what: What it is for: ``input tokens``, ``seconds`` and so on.
        quantity: How many of it.
        unit_price: Dollars for one.
        dollars: The product.
        source: Which row it is from, and where that comes from: ``own`` and its name, the version
            of genai-prices and its row, or a row of the packaged table, its URL and date.
    """

    what: str
    quantity: float
    unit_price: float
    dollars: float
    source: str


@dataclass(frozen=True, slots=True)
class Priced:
    """What something costs.

    Attributes:
        dollars: The sum of the lines.
        lines: The prices that were applied.
    """

    dollars: float
    lines: tuple[PriceLine, ...]


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Something costs, and it is not known what.

    Attributes:
        reason: :data:`NO_PRICE` or :data:`NO_USAGE`.
    """

    reason: str


class PriceBook:
    """Prices of models and services, and of the call itself."""

    def __init__(self, own: Mapping[str, Any] | None = None) -> None:
        """Take the user's own prices in.

        Args:
            own: Plain data, as :func:`.price_file.read` returns it.

        Raises:
            ValueError: They are not understood; the text says what to write instead.
        """
        own = price_file.checked(own or {})
        self._flat: dict[str, float] = dict(own.get(price_file.FLAT, {}))
        self._own: dict[tuple[str, str], Rate] = {}
        for component in UNITS:
            for name, entry in own.get(component, {}).items():
                provider, _, model = name.partition("/")
                self._own[component, f"{provider_id(provider)}/{model.lower()}"] = Rate(
                    f"own {name}", prices_of(component, entry)
                )

    def price(self, used: ModelUsed) -> Priced | Unpriced | None:
        """Price one report of a model or service.

        Each report is priced by itself: several models cost more per token in a long request.

        Returns:
            None for a component that costs nothing by nature, or whose cost LiveKit does not
            report in any unit: vad, end of turn, interruption, avatar, and decision unless an own
            entry prices it.
        """
        row = self._own_row(used)
        if row is None and used.component not in _PRICED:
            return None
        row = row or _packaged_row(used)
        return Unpriced(NO_PRICE) if row is None else _apply(row, used)

    def flat(self, duration_s: float) -> Priced:
        """Price a call's flat costs, such as telephony: so much per call, and per minute of it."""
        minutes = max(0.0, duration_s) / 60
        return _sum(
            [
                _line(what, quantity, self._flat[key], f"own {price_file.FLAT}.{key}")
                for key, what, quantity in (
                    (price_file.PER_CALL, "calls", 1.0),
                    (price_file.PER_MINUTE, "minutes", minutes),
                )
                if key in self._flat
            ]
        )

    def price_file_example(self, used: ModelUsed) -> str:
        """Return what to add to the price file for something that was unpriced.

        The figures in it are examples of the form, not of what the model costs.
        """
        result = self.price(used)
        if isinstance(result, Unpriced) and result.reason == NO_USAGE:
            return "nothing to add: the provider did not report how much it charges for"
        name = f"{provider_id(used.provider)}/{used.model.lower() or '*'}"
        example = _EXAMPLES.get(used.component, _TOKENS_EXAMPLE)
        return f"[{used.component}.{json.dumps(name)}]\n{example}"

    def _own_row(self, used: ModelUsed) -> Rate | None:
        provider = provider_id(used.provider)
        return self._own.get((used.component, f"{provider}/{used.model.lower()}")) or self._own.get(
            (used.component, f"{provider}/*")
        )


def _packaged_row(used: ModelUsed) -> Rate | None:
    provider, model = provider_id(used.provider), used.model.lower()
    seconds = 0.0
    if used.component in (semconv.COMPONENT_STT, semconv.COMPONENT_TTS):
        streamed = used.usage.get(Usage.STREAMED_REQUESTS, 0.0) > 0
        row = speech_row(used.component, f"{provider}/{model}", streamed=streamed)
        if row is not None:
            return row
    if used.component == semconv.COMPONENT_STT:
        seconds = used.usage.get(Usage.AUDIO_DURATION, 0.0)
    from .genai_catalog import model_row  # heavy, unless preloaded

    return model_row(
        used.component,
        provider,
        model,
        input_tokens=used.usage.get(Usage.INPUT_TOKENS, 0.0),
        seconds=seconds,
    )


def _apply(row: Rate, used: ModelUsed) -> Priced | Unpriced:
    amounts = quantities(used)
    if row.billed_s is not None:
        amounts[BillableUnit.SECONDS] = row.billed_s
    lines = []
    basis = next((b for b in BASES if row.has(b) and any(amounts.get(kind) for kind in b)), ())
    if not basis and _is_unreported(row, used):
        return Unpriced(NO_USAGE)
    if basis is TOKENS and not _is_split(row, used):
        return Unpriced(NO_USAGE)
    for kind in (*basis, BillableUnit.REQUESTS):
        quantity = amounts.get(kind, 0.0)
        price = row.price(kind)
        if quantity and price is not None:
            lines.append(_line(kind.value, quantity, price, row.source))
        elif quantity and kind is not BillableUnit.REQUESTS:
            return Unpriced(NO_PRICE)
    return _sum(lines)


def quantities(used: ModelUsed) -> dict[BillableUnit, float]:
    """Split what was used into kinds: tokens that are in two of LiveKit's sums are in one of them.

    Cached and cache write tokens are part of LiveKit's input tokens, audio and image tokens of
    both sums, cached audio of audio. The parts add up to the sums, whatever is reported.
    """
    seconds = (
        Usage.SESSION_DURATION
        if used.component == semconv.COMPONENT_REALTIME
        else Usage.AUDIO_DURATION
    )
    return {
        **_input(used),
        **_output(used),
        BillableUnit.CHARACTERS: _amount(used, Usage.CHARACTERS),
        BillableUnit.SECONDS: _amount(used, seconds),
        BillableUnit.REQUESTS: _amount(used, Usage.REQUESTS),
    }


def _input(used: ModelUsed) -> dict[BillableUnit, float]:
    total = _amount(used, Usage.INPUT_TOKENS)
    audio = _amount(used, Usage.INPUT_AUDIO_TOKENS)
    image = _amount(used, Usage.INPUT_IMAGE_TOKENS)
    said = _amount(used, Usage.INPUT_TEXT_TOKENS)
    if used.component == semconv.COMPONENT_STT:
        # what a transcriber is given is audio, where nothing else is said
        audio = audio or max(0.0, total - image - said)
    cached = _amount(used, Usage.CACHED_TOKENS)
    written = _amount(used, Usage.CACHE_WRITE_TOKENS)
    text = max(said, max(total, cached + written) - audio - image)
    cached_audio = min(cached, audio, _amount(used, Usage.CACHED_AUDIO_TOKENS))
    cached_image = min(cached - cached_audio, image, _amount(used, Usage.CACHED_IMAGE_TOKENS))
    cached_text = min(cached - cached_audio - cached_image, text)
    # said to be cached, but not what of it: all of the text is, so the rest is audio, then images
    rest = cached - cached_audio - cached_image - cached_text
    more_audio = min(rest, audio - cached_audio)
    cached_audio += more_audio
    cached_image += min(rest - more_audio, image - cached_image)
    written = min(written, text - cached_text)
    return {
        BillableUnit.INPUT: text - cached_text - written,
        BillableUnit.CACHED: cached_text,
        BillableUnit.CACHE_WRITE: written,
        BillableUnit.INPUT_AUDIO: audio - cached_audio,
        BillableUnit.CACHED_AUDIO: cached_audio,
        BillableUnit.INPUT_IMAGE: image - cached_image,
        BillableUnit.CACHED_IMAGE: cached_image,
    }


def _output(used: ModelUsed) -> dict[BillableUnit, float]:
    total = _amount(used, Usage.OUTPUT_TOKENS)
    audio = _amount(used, Usage.OUTPUT_AUDIO_TOKENS)
    image = _amount(used, Usage.OUTPUT_IMAGE_TOKENS)
    text = max(0.0, total - audio - image, _amount(used, Usage.OUTPUT_TEXT_TOKENS))
    reasoning = _amount(used, Usage.REASONING_TOKENS)
    # Most providers count reasoning as output. Some do not, and their total is larger by it.
    # Google does not, and its plugin reports it in the total only.
    outside = max(
        0.0, _amount(used, Usage.TOTAL_TOKENS) - _amount(used, Usage.INPUT_TOKENS) - total
    )
    if provider_id(used.provider) != "google":
        outside = min(outside, reasoning)
    inside = min(max(0.0, reasoning - outside), text)
    return {
        BillableUnit.OUTPUT: text - inside,
        BillableUnit.REASONING: inside + outside,
        BillableUnit.OUTPUT_AUDIO: audio,
        BillableUnit.OUTPUT_IMAGE: image,
    }


def _is_unreported(row: Rate, used: ModelUsed) -> bool:
    """Tell whether something was charged for that nobody reported, rather than nothing."""
    if row.has(TOKENS) and _amount(used, Usage.CANCELLED_REQUESTS):
        return True
    worked = _amount(used, Usage.AUDIO_DURATION) or _amount(used, Usage.CHARACTERS)
    return bool(worked) and not row.has((BillableUnit.REQUESTS,))


def _is_split(row: Rate, used: ModelUsed) -> bool:
    """Tell whether tokens are known by modality, where a row prices audio by itself."""
    if used.component != semconv.COMPONENT_REALTIME:
        return True
    for total, audio, parts in (
        (
            Usage.INPUT_TOKENS,
            BillableUnit.INPUT_AUDIO,
            (Usage.INPUT_TEXT_TOKENS, Usage.INPUT_AUDIO_TOKENS, Usage.INPUT_IMAGE_TOKENS),
        ),
        (
            Usage.OUTPUT_TOKENS,
            BillableUnit.OUTPUT_AUDIO,
            (Usage.OUTPUT_TEXT_TOKENS, Usage.OUTPUT_AUDIO_TOKENS, Usage.OUTPUT_IMAGE_TOKENS),
        ),
    ):
        unsplit = _amount(used, total) and not any(_amount(used, part) for part in parts)
        if unsplit and row.has((audio,)):
            return False
    return True


def _amount(used: ModelUsed, name: Usage) -> float:
    return max(0.0, used.usage.get(name, 0.0))


def _line(what: str, quantity: float, unit_price: float, source: str) -> PriceLine:
    return PriceLine(what, quantity, unit_price, quantity * unit_price, source)


def _sum(lines: list[PriceLine]) -> Priced:
    return Priced(math.fsum(line.dollars for line in lines), tuple(lines))
