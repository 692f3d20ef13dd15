# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The subcommand ``cost``: what some usage would cost, and by which rows."""

from __future__ import annotations

import argparse
import math
from typing import Any, Final

from .. import semconv
from ..call.events import ModelUsed
from ..pricing import price_file
from ..pricing.price_book import NO_USAGE, PriceBook, Priced, PriceLine, Unpriced
from ..semconv import Usage

_TOKENS: Final = {
    "--input-tokens": (Usage.INPUT_TOKENS, "all of them, cached ones included"),
    "--cached-tokens": (Usage.CACHED_TOKENS, "those of the input that were cached"),
    "--output-tokens": (Usage.OUTPUT_TOKENS, "all of them"),
}
_TEXT: Final = {
    **_TOKENS,
    "--cache-write-tokens": (
        Usage.CACHE_WRITE_TOKENS,
        "those of the input that were written to a cache",
    ),
    "--reasoning-tokens": (Usage.REASONING_TOKENS, "those of the output that were not said"),
}
_VOICE: Final = {
    **_TOKENS,
    "--input-audio-tokens": (Usage.INPUT_AUDIO_TOKENS, "those of the input that are audio"),
    "--cached-audio-tokens": (Usage.CACHED_AUDIO_TOKENS, "those of the cached that are audio"),
    "--output-audio-tokens": (Usage.OUTPUT_AUDIO_TOKENS, "those of the output that are audio"),
    "--input-image-tokens": (Usage.INPUT_IMAGE_TOKENS, "those of the input that are images"),
    "--session-seconds": (Usage.SESSION_DURATION, "how long the connection was open"),
}
_SPEECH: Final = {
    "--audio-seconds": (Usage.AUDIO_DURATION, "of audio"),
    "--input-tokens": _TOKENS["--input-tokens"],
    "--output-tokens": _TOKENS["--output-tokens"],
}
_AMOUNTS: Final = {
    semconv.COMPONENT_LLM: _TEXT,
    semconv.COMPONENT_REALTIME: _VOICE,
    semconv.COMPONENT_STT: _SPEECH,
    semconv.COMPONENT_TTS: {"--characters": (Usage.CHARACTERS, "of text"), **_SPEECH},
}
_PARTS: Final = (
    ("--cached-tokens", "--input-tokens"),
    ("--cache-write-tokens", "--input-tokens"),
    ("--reasoning-tokens", "--output-tokens"),
    ("--input-audio-tokens", "--input-tokens"),
    ("--input-image-tokens", "--input-tokens"),
    ("--cached-audio-tokens", "--cached-tokens"),
    ("--output-audio-tokens", "--output-tokens"),
)


def add_to(subparsers: Any) -> None:
    """Add the subcommand to a parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "cost",
        help="show what some usage would cost, and by which prices",
        description="Show what the usage of one request would cost, and by which prices. "
        "Exit status: 0 priced, 1 not priced, 2 not understood.",
        usage="%(prog)s --component C --provider P --model M amounts [--prices FILE]",
    )
    parser.add_argument("--component", required=True, choices=tuple(_AMOUNTS))
    parser.add_argument("--provider", required=True, help="as LiveKit names it, or its short name")
    parser.add_argument("--model", required=True, help="as LiveKit names it")
    every = {option: said for options in _AMOUNTS.values() for option, said in options.items()}
    for option, (_, text) in every.items():
        parser.add_argument(option, type=_quantity, metavar="N", help=text)
    parser.add_argument(
        "--batch", action="store_true", help="audio was sent as a whole, not streamed"
    )
    parser.add_argument("--prices", metavar="FILE", help="your own prices, .toml or .json")
    parser.add_argument(
        "--call-minutes", type=_quantity, metavar="N", help="add the file's flat costs of a call"
    )
    parser.set_defaults(run=lambda arguments: _run(parser, arguments))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    used = _used(parser, arguments)
    try:
        book = PriceBook(price_file.read(arguments.prices) if arguments.prices else None)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    result = book.price(used)
    if not isinstance(result, Priced):
        print(_unpriced(book, used, result))
        return 1
    lines = list(result.lines)
    if arguments.call_minutes is not None:
        lines += book.flat(60 * arguments.call_minutes).lines
    for line in lines:
        print(_row(line))
    print(f"total ${_figure(math.fsum(line.dollars for line in lines))}")
    return 0


def _used(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> ModelUsed:
    """Read what was used, and refuse what would be priced at 0 without a word."""
    given = {
        option: value
        for option in {option for options in _AMOUNTS.values() for option in options}
        if (value := getattr(arguments, option[2:].replace("-", "_"))) is not None
    }
    own = _AMOUNTS[arguments.component]
    for option in sorted(given):
        if option not in own:
            parser.error(f"{option} is nothing that {arguments.component} reports: {_choice(own)}")
    if not given:
        parser.error(f"say how much was used: {_choice(own)}")
    for part, whole in _PARTS:
        if given.get(part, 0) > given.get(whole, 0):
            parser.error(
                f"{part} {given[part]:g} is more than {whole} {given.get(whole, 0):g}, "
                "which it is a part of"
            )
    usage = {own[option][0]: value for option, value in given.items()}
    if arguments.component == semconv.COMPONENT_REALTIME:
        usage |= _text_tokens(usage)
    usage[Usage.REQUESTS] = 1.0
    if not arguments.batch:
        usage[Usage.STREAMED_REQUESTS] = 1.0
    return ModelUsed(arguments.component, arguments.provider, arguments.model, usage)


def _text_tokens(usage: dict[Usage, float]) -> dict[Usage, float]:
    """Count as text what is not said to be anything else."""
    others = usage.get(Usage.INPUT_AUDIO_TOKENS, 0) + usage.get(Usage.INPUT_IMAGE_TOKENS, 0)
    return {
        Usage.INPUT_TEXT_TOKENS: max(0.0, usage.get(Usage.INPUT_TOKENS, 0) - others),
        Usage.OUTPUT_TEXT_TOKENS: usage.get(Usage.OUTPUT_TOKENS, 0)
        - usage.get(Usage.OUTPUT_AUDIO_TOKENS, 0),
    }


def _quantity(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more, such as 1200")
    return value


def _choice(options: dict[str, tuple[Usage, str]]) -> str:
    return f"use {', '.join(options)}"


def _unpriced(book: PriceBook, used: ModelUsed, result: Unpriced | None) -> str:
    what = f"{used.component} {used.provider}/{used.model} is not priced"
    if isinstance(result, Unpriced) and result.reason == NO_USAGE:
        return f"{what}: its price is for something other than what was given."
    return (
        f"{what}. Add to your price file, with your own figures:\n\n{book.price_file_example(used)}"
    )


def _row(line: PriceLine) -> str:
    """Write a line with its price in the unit that price lists have."""
    amount, unit = 1.0, line.what.removesuffix("s")
    if line.what.endswith("tokens") or line.what == "characters":
        amount, unit = 1e6, f"1M {line.what}"
    elif line.what == "seconds":
        amount, unit = 60.0, "minute"
    return (
        f"{line.quantity:g} {line.what} x ${_figure(line.unit_price * amount)} per {unit} "
        f"= ${_figure(line.dollars)}  [{line.source}]"
    )


def _figure(dollars: float) -> str:
    """Write an amount of money in full, with at least two digits behind the point."""
    text = f"{dollars:.10f}".rstrip("0")
    whole, _, rest = text.partition(".")
    return f"{whole}.{rest:0<2}"
