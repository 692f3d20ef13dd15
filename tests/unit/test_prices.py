# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Costs: published prices recomputed by hand, tokens counted once, and nothing priced by a guess.

Prices at the sources named here were those of November 2026.
"""

from __future__ import annotations

import json
import math
import pickle
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents.metrics import LLMMetrics
from livekit.agents.metrics.base import Metadata

import callspan as package
from callspan import semconv
from callspan.call.events import ModelUsed
from callspan.livekit import metric_fields
from callspan.pricing import price_book as costs
from callspan.pricing.genai_catalog import _MODELS
from callspan.pricing.price_book import PriceBook, Priced, Unpriced
from callspan.pricing.rates import TOKENS, UNITS, BillableUnit
from callspan.semconv import Usage

LLM, REALTIME = semconv.COMPONENT_LLM, semconv.COMPONENT_REALTIME
STT, TTS = semconv.COMPONENT_STT, semconv.COMPONENT_TTS
STREAMED = {Usage.STREAMED_REQUESTS: 1.0}
OPENAI = "https://platform.openai.com/docs/pricing"
CLAUDE = "https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing"
GEMINI = "https://ai.google.dev/gemini-api/docs/pricing"
TRANSCRIBE = "https://developers.openai.com/api/docs/models/gpt-4o-transcribe"

SEEDS_PRICES = {
    "llm": {
        "openai/gpt-4o-mini": {
            "per_million_input_tokens": 0.15,
            "per_million_output_tokens": 0.60,
        }
    },
    "stt": {"deepgram/*": {"per_minute": 0.0043}},
    "tts": {"cartesia/*": {"per_character": 0.000030}},
}
"""The example of the article that this package started from."""


def used(component: str, provider: str, model: str, **usage: float) -> ModelUsed:
    return ModelUsed(component, provider, model, {Usage(key): n for key, n in usage.items()})


def dollars(result: Priced | Unpriced | None) -> float:
    assert isinstance(result, Priced), result
    return result.dollars


PUBLISHED = [
    pytest.param(
        # 1000 x $0.15 + 200 x $0.075 + 80 x $0.60, all per million
        used(LLM, "api.openai.com", "gpt-4o-mini", input_tokens=1200, cached_tokens=200,
             output_tokens=80, total_tokens=1280),
        0.000150 + 0.000015 + 0.000048,
        OPENAI,
        id="cached tokens",
    ),
    pytest.param(
        # 500 x $1 + 2000 x $1.25 + 7500 x $0.10 + 300 x $5, all per million
        used(LLM, "api.anthropic.com", "claude-haiku-4-5-20251001", input_tokens=10_000,
             cached_tokens=7_500, cache_write_tokens=2_000, output_tokens=300),
        0.0005 + 0.0025 + 0.00075 + 0.0015,
        CLAUDE,
        id="cache write tokens",
    ),
    pytest.param(
        # past 200k tokens in: 250,000 x $2.50 + 1,000 x $15 per million; below: $1.25 and $10
        used(LLM, "Gemini", "gemini-2.5-pro", input_tokens=250_000, output_tokens=1_000),
        0.625 + 0.015,
        GEMINI,
        id="a long request",
    ),
    pytest.param(
        # thinking is output at $2.50; Gemini counts it in the total only: 1500 - 1000 - 100
        used(LLM, "Vertex AI", "gemini-2.5-flash", input_tokens=1_000, output_tokens=100,
             total_tokens=1_500),
        0.0003 + 500 * 2.50e-6,
        GEMINI,
        id="thinking outside of the output",
    ),
    pytest.param(
        # reasoning is part of OpenAI's output: 1000 x $1.10 + 500 x $4.40 per million
        used(LLM, "openai", "o4-mini", input_tokens=1_000, output_tokens=500,
             reasoning_tokens=400, total_tokens=1_500),
        0.0011 + 0.0022,
        OPENAI,
        id="reasoning within the output",
    ),
    pytest.param(
        # text 100 x $4 + cached 100 x $0.40, audio 600 x $32 + cached 200 x $0.40;
        # out: text 50 x $16 + audio 150 x $64, all per million
        used(REALTIME, "api.openai.com", "gpt-realtime", input_tokens=1_000, cached_tokens=300,
             input_text_tokens=200, input_audio_tokens=800, cached_text_tokens=100,
             cached_audio_tokens=200, output_tokens=200, output_text_tokens=50,
             output_audio_tokens=150),
        0.0004 + 0.00004 + 0.0192 + 0.00008 + 0.0008 + 0.0096,
        OPENAI,
        id="realtime audio tokens",
    ),
    pytest.param(
        # text 100 x $4 + image 400 x $5 per million; out: text 10 x $16
        used(REALTIME, "openai", "gpt-realtime", input_tokens=500, input_text_tokens=100,
             input_image_tokens=400, output_tokens=10, output_text_tokens=10),
        0.0004 + 0.002 + 0.00016,
        OPENAI,
        id="realtime image tokens",
    ),
    pytest.param(
        # 90 s at $0.0048 per minute, streamed; a recording is $0.0043
        used(STT, "Deepgram", "nova-3", audio_duration=90, streamed_requests=1),
        0.0072,
        "https://deepgram.com/pricing",
        id="seconds by the minute",
    ),
    pytest.param(
        # 15 minutes at $0.12 per hour
        used(STT, "Soniox", "stt-rt-v4", audio_duration=900, streamed_requests=1),
        0.03,
        "https://soniox.com/pricing",
        id="seconds by the hour",
    ),
    pytest.param(
        # $0.111 per hour, 10 s at least
        used(STT, "api.groq.com", "whisper-large-v3", audio_duration=3),
        10 * 0.111 / 3600,
        "https://groq.com/pricing",
        id="seconds with a minimum",
    ),
    pytest.param(
        # a second is listed as input and as output, at $0.006 per minute once
        used(STT, "api.openai.com", "whisper-1", audio_duration=60),
        0.006,
        "https://developers.openai.com/api/docs/pricing",
        id="a second that is listed twice",
    ),
    pytest.param(
        # 1000 x $2.50 + 50 x $10 per million, and not $0.006 per minute on top
        used(STT, "api.openai.com", "gpt-4o-transcribe", input_tokens=1_000, output_tokens=50,
             total_tokens=1_050, audio_duration=100, streamed_requests=1),
        0.0025 + 0.0005,
        TRANSCRIBE,
        id="a transcriber's tokens",
    ),
    pytest.param(
        # 600,000 characters at $16 per million
        used(TTS, "Amazon Polly", "neural", characters=600_000, audio_duration=40_000),
        9.60,
        "https://aws.amazon.com/polly/pricing/",
        id="characters",
    ),
    pytest.param(
        # 20 x $0.60 + 500 x $12 per million, and neither characters nor minutes on top
        used(TTS, "api.openai.com", "gpt-4o-mini-tts", input_tokens=20, output_tokens=500,
             characters=90, audio_duration=10),
        0.000012 + 0.006,
        OPENAI,
        id="a voice's tokens",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("usage", "expected", "source"), PUBLISHED)
def test_published_prices_by_hand(usage: ModelUsed, expected: float, source: str) -> None:
    result = PriceBook().price(usage)
    assert dollars(result) == pytest.approx(expected, abs=1e-12), source
    assert result.dollars == pytest.approx(sum(line.dollars for line in result.lines))
    for line in result.lines:
        assert line.dollars == line.quantity * line.unit_price


def test_the_seeds_prices() -> None:
    """The user's own figures give what the article's cost tracker adds up."""
    book = PriceBook(SEEDS_PRICES)
    assert dollars(
        book.price(used(LLM, "api.openai.com", "gpt-4o-mini", input_tokens=1500, output_tokens=300))
    ) == pytest.approx(1500 * 0.15 / 1_000_000 + 300 * 0.60 / 1_000_000, abs=1e-15)
    assert dollars(
        book.price(used(STT, "Deepgram", "nova-3", audio_duration=62, streamed_requests=1))
    ) == pytest.approx(62 * (0.0043 / 60), abs=1e-15)
    assert dollars(book.price(used(TTS, "Cartesia", "sonic-3", characters=400))) == pytest.approx(
        400 * 0.000030, abs=1e-15
    )


def test_a_line_names_its_row() -> None:
    version = genai_prices.__version__
    book = PriceBook(SEEDS_PRICES)
    for usage, what, source in (
        (used(LLM, "openai", "gpt-4o-mini", input_tokens=1), "input tokens",
         "own openai/gpt-4o-mini"),
        (used(LLM, "openai", "gpt-4.1", input_tokens=1), "input tokens",
         f"genai-prices {version} openai/gpt-4.1"),
        (used(STT, "soniox", "stt-rt-v4", audio_duration=1), "seconds",
         "soniox/stt-rt-v4 https://soniox.com/pricing (2026-11)"),
        (used(STT, "Deepgram", "nova-2", audio_duration=1), "seconds", "own deepgram/*"),
    ):  # fmt: skip
        result = book.price(usage)
        assert isinstance(result, Priced)
        (line,) = result.lines
        assert (line.what, line.quantity, line.source) == (what, 1, source)


def test_own_prices_take_precedence() -> None:
    """Exactly this model first, then all models of its provider, then the packaged prices."""
    tokens = {"per_million_input_tokens": 500_000, "per_million_output_tokens": 0}
    one = {"per_million_input_tokens": 1_000_000, "per_million_output_tokens": 0}
    book = PriceBook({"llm": {"api.openai.com/*": tokens, "OpenAI/GPT-4o": one}})
    assert dollars(book.price(used(LLM, "api.openai.com", "gpt-4o", input_tokens=1))) == 1
    assert dollars(book.price(used(LLM, "api.openai.com", "gpt-9", input_tokens=1))) == 0.5
    assert dollars(book.price(used(LLM, "api.groq.com", "gemma2-9b-it", input_tokens=1))) < 0.1
    inference = PriceBook({"llm": {"livekit/openai/gpt-4o-mini": one}})
    assert dollars(inference.price(used(LLM, "livekit", "openai/gpt-4o-mini", input_tokens=1))) == 1


def test_an_own_price_of_one_component_is_not_that_of_another() -> None:
    book = PriceBook({"tts": {"deepgram/*": {"per_character": 1}}})
    assert book.price(used(STT, "Deepgram", "flux", audio_duration=1)) == Unpriced("no_price")


def test_flat_costs() -> None:
    assert PriceBook().flat(90) == Priced(0.0, ())
    priced = PriceBook({"flat": {"per_call": 0.002, "per_minute": 0.0085}}).flat(90)
    assert priced.dollars == pytest.approx(0.002 + 1.5 * 0.0085)
    assert [(line.what, line.quantity, line.source) for line in priced.lines] == [
        ("calls", 1.0, "own flat.per_call"),
        ("minutes", 1.5, "own flat.per_minute"),
    ]


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-9"),
        ("openai", "gpt-4o-2099-01-01"),
        ("openai", ""),
        ("openai", "gpt-4o-mini-mine"),
        ("Gemini", "gemini-3.6-flash-lite"),  # genai-prices takes it for gemini-3.6-flash
        ("Gemini", "gemini-1.5-flash-8b"),  # and this for gemini-1.5-flash
        ("Gemini", "gemma-3-27b-it"),  # and gives this no price at all
        ("api.anthropic.com", "claude-haiku-4-5-mega"),
        ("my.openai.azure.com", "my-o4-mini"),
        ("openai-proxy.example", "gpt-4o"),  # and takes this provider for OpenAI
        ("localhost:8080", "gpt-4o"),
        ("livekit", "openai/gpt-4o-mini"),  # LiveKit's inference has a price list of its own
        ("litellm", "openai/gpt-4o"),
        ("", ""),
    ],
)
def test_an_unknown_model_is_never_priced(provider: str, model: str) -> None:
    usage = used(LLM, provider, model, input_tokens=100, output_tokens=10)
    assert PriceBook().price(usage) == Unpriced("no_price")


@pytest.mark.parametrize(
    ("provider", "model", "row"),
    [
        ("my.openai.azure.com", "gpt-4o", "azure/gpt-4o"),
        ("AWS Bedrock", "us.amazon.nova-lite-v1:0", "aws/amazon.nova-lite-v1:0"),
        ("api.x.ai", "grok-4.7", "x-ai/grok-4.7"),
        ("MistralAI", "mistral-large-2512", "mistral/mistral-large-2512"),
        ("api.openai.com", "gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini"),
        ("Gemini", "gemini-2.5-pro-preview-05-06", "google/gemini-2.5-pro"),
    ],
)
def test_names_as_plugins_report_them(provider: str, model: str, row: str) -> None:
    result = PriceBook().price(used(LLM, provider, model, input_tokens=100))
    assert isinstance(result, Priced)
    assert {line.source for line in result.lines} == {
        f"genai-prices {genai_prices.__version__} {row}"
    }


@pytest.mark.parametrize(
    ("usage", "reason"),
    [
        # several providers charge more for a stream than for a recording
        (used(STT, "Deepgram", "nova-2", audio_duration=1, streamed_requests=1), "no_price"),
        # the row has no price for audio
        (used(REALTIME, "openai", "gpt-4o", input_tokens=9, input_audio_tokens=9), "no_price"),
        # by the hour of audio, which LiveKit does not report
        (used(REALTIME, "openai", "gpt-live-1", input_tokens=9, output_tokens=9), "no_price"),
        # audio costs eight times what text does, and nothing says which it was
        (used(REALTIME, "openai", "gpt-realtime", input_tokens=9), "no_usage"),
        (used(REALTIME, "openai", "gpt-realtime", output_tokens=9), "no_usage"),
        # stopped before the provider said what it took
        (used(LLM, "openai", "gpt-4o", cancelled_requests=1, requests=1), "no_usage"),
        (used(REALTIME, "openai", "gpt-realtime", cancelled_requests=1), "no_usage"),
        # priced by tokens, and only text was counted
        (used(TTS, "Gemini", "gemini-2.5-flash-preview-tts", characters=90), "no_usage"),
    ],
)
def test_what_cannot_be_priced(usage: ModelUsed, reason: str) -> None:
    assert PriceBook().price(usage) == Unpriced(reason)


def test_a_cancelled_generation_is_paid_for() -> None:
    """What was reported of it is priced, and so is the text that a voice was given."""
    book = PriceBook()
    llm = used(LLM, "openai", "gpt-4o", input_tokens=1000, cancelled_requests=1)
    assert dollars(book.price(llm)) == pytest.approx(0.0025)
    tts = used(TTS, "ElevenLabs", "eleven_flash_v2_5", characters=100, cancelled_requests=1)
    assert dollars(book.price(tts)) == pytest.approx(0.004)


def test_zero_usage_of_a_finished_request_costs_nothing() -> None:
    for usage in (used(LLM, "openai", "gpt-4o", requests=1), used(STT, "soniox", "stt-rt-v4")):
        assert PriceBook().price(usage) == Priced(0.0, ())


@pytest.mark.parametrize(
    "component",
    [
        semconv.COMPONENT_VAD,
        semconv.COMPONENT_END_OF_TURN,
        semconv.COMPONENT_INTERRUPTION,
        semconv.COMPONENT_AVATAR,
        semconv.COMPONENT_DECISION,
    ],
)
def test_components_that_cost_nothing(component: str) -> None:
    assert PriceBook().price(used(component, "livekit", "x", requests=1)) is None


def test_a_decision_costs_what_its_own_entry_says() -> None:
    book = PriceBook({"decision": {"livekit/*": {"per_request": 0.001}}})
    assert dollars(book.price(used("decision", "livekit", "x", requests=3))) == pytest.approx(0.003)


def test_advice_is_an_entry_that_the_price_file_takes() -> None:
    """What is logged can be pasted: it names the model, and it is read."""
    book = PriceBook()
    for usage, first in (
        (used(TTS, "Cartesia", "sonic-9", characters=1), '[tts."cartesia/sonic-9"]'),
        (used(STT, "AssemblyAI", "best", audio_duration=1), '[stt."assemblyai/best"]'),
        (used(LLM, "api.openai.com", "gpt-9", input_tokens=1), '[llm."openai/gpt-9"]'),
        (used(LLM, "", "", input_tokens=1), '[llm."unknown/*"]'),
        (used(LLM, "a b", 'x"y', input_tokens=1), '[llm."a-b/x\\"y"]'),
    ):
        price_file_example = book.price_file_example(usage)
        assert price_file_example.splitlines()[0] == first
        assert isinstance(PriceBook(tomllib.loads(price_file_example)).price(usage), Priced)
    assert book.price_file_example(used(TTS, "Cartesia", "sonic-9")) == (
        '[tts."cartesia/sonic-9"]\nper_character = 0.00003'
    )
    assert book.price_file_example(used(LLM, "openai", "gpt-4o", cancelled_requests=1)) == (
        "nothing to add: the provider did not report how much it charges for"
    )


def test_livekits_own_reports_are_priced() -> None:
    """From LiveKit's metrics object, as its OpenAI plugin fills it, to dollars."""
    metadata = Metadata(model_name="gpt-4o-mini", model_provider="api.openai.com")
    report = LLMMetrics(
        label="livekit.plugins.openai.llm.LLM",
        request_id="r",
        timestamp=0.0,
        duration=1.0,
        ttft=0.3,
        cancelled=False,
        completion_tokens=80,
        prompt_tokens=1200,
        prompt_cached_tokens=200,
        total_tokens=1280,
        tokens_per_second=80.0,
        metadata=metadata,
    )
    translated = metric_fields.to_model_used(report)
    assert translated is not None
    assert dollars(PriceBook().price(translated)) == pytest.approx(0.000213, abs=1e-12)

    stopped = report.model_copy(
        update={"cancelled": True, "completion_tokens": 0, "prompt_tokens": 0,
                "prompt_cached_tokens": 0, "total_tokens": 0}
    )  # fmt: skip
    translated = metric_fields.to_model_used(stopped)
    assert translated is not None
    assert PriceBook().price(translated) == Unpriced("no_usage")


def test_a_price_book_travels_to_a_job_process() -> None:
    book = pickle.loads(pickle.dumps(PriceBook(SEEDS_PRICES)))
    assert dollars(book.price(used(TTS, "Cartesia", "sonic-3", characters=1))) == 0.00003


# --- the packaged tables -----------------------------------------------------------------------


def test_every_packaged_row_has_a_source_and_a_date() -> None:
    path = Path(package.__file__).parent / "pricing" / "speech_prices.json"
    table = json.loads(path.read_text())
    assert table["currency"] == "USD"
    assert table["date"] == "2026-11"
    seen = set()
    for row in table["rows"]:
        assert row["source"].startswith("https://"), row
        key = (row["component"], row["name"], row.get("mode"))
        assert key not in seen, row
        seen.add(key)
        prices = set(row) - {"component", "name", "mode", "source"}
        assert prices, row
        assert prices <= set(UNITS[row["component"]]), row
        assert row.get("mode") in (None, "streaming", "batch")
        assert row["name"] == row["name"].lower()
    assert len(seen) == len(table["rows"])


def test_models_found_by_name_are_those_that_genai_prices_finds() -> None:
    """Our short way to a row leads to the same one as the package's search."""
    for (provider, name), (_, model) in _MODELS.items():
        price = genai_prices.calc_price(genai_prices.Usage(), name, provider_id=provider)
        assert price.model is model, (provider, name)


# --- nothing is counted twice ------------------------------------------------------------------

TOKEN_SUMS = [usage for usage in Usage if usage.value.endswith("_tokens")]
COUNTS = st.integers(0, 100_000).map(float)
ANY_USAGE = st.dictionaries(st.sampled_from(TOKEN_SUMS), COUNTS)
INPUTS = {
    BillableUnit.INPUT,
    BillableUnit.CACHED,
    BillableUnit.CACHE_WRITE,
    BillableUnit.INPUT_AUDIO,
    BillableUnit.CACHED_AUDIO,
    BillableUnit.INPUT_IMAGE,
    BillableUnit.CACHED_IMAGE,
}


@given(ANY_USAGE, st.sampled_from((LLM, REALTIME, STT, TTS)))
def test_parts_are_never_negative_and_never_more_than_was_reported(
    usage: dict[Usage, float], component: str
) -> None:
    """Whatever a provider reports, consistent or not."""
    kinds = costs.quantities(ModelUsed(component, "openai", "x", usage))
    assert all(amount >= 0 for amount in kinds.values())
    caches = usage.get(Usage.CACHED_TOKENS, 0.0) + usage.get(Usage.CACHE_WRITE_TOKENS, 0.0)
    for parts, prefix, more, apart in (
        (INPUTS, "input", caches, 0.0),
        (set(TOKENS) - INPUTS, "output", 0.0, usage.get(Usage.REASONING_TOKENS, 0.0)),
    ):
        total = sum(kinds[kind] for kind in parts)
        reported = usage.get(Usage(f"{prefix}_tokens"), 0.0)
        by_modality = sum(
            usage.get(Usage(f"{prefix}_{modality}_tokens"), 0.0)
            for modality in ("text", "audio", "image")
        )
        assert reported <= total <= max(reported, by_modality, more) + apart


@st.composite
def consistent_usage(draw: st.DrawFn) -> Mapping[Usage, float]:
    """Draw a realtime report whose sums contain what LiveKit says they contain."""
    parts = {
        kind: draw(st.integers(0, 50_000)) for kind in TOKENS if kind is not BillableUnit.REASONING
    }
    parts[BillableUnit.REASONING] = draw(st.integers(0, 1000))
    audio = parts[BillableUnit.INPUT_AUDIO] + parts[BillableUnit.CACHED_AUDIO]
    image = parts[BillableUnit.INPUT_IMAGE] + parts[BillableUnit.CACHED_IMAGE]
    text = parts[BillableUnit.INPUT] + parts[BillableUnit.CACHED] + parts[BillableUnit.CACHE_WRITE]
    said = parts[BillableUnit.OUTPUT] + parts[BillableUnit.REASONING]
    output = said + parts[BillableUnit.OUTPUT_AUDIO] + parts[BillableUnit.OUTPUT_IMAGE]
    usage = {
        Usage.INPUT_TOKENS: text + audio + image,
        Usage.INPUT_TEXT_TOKENS: text,
        Usage.INPUT_AUDIO_TOKENS: audio,
        Usage.INPUT_IMAGE_TOKENS: image,
        Usage.CACHED_TOKENS: sum(
            parts[kind]
            for kind in (BillableUnit.CACHED, BillableUnit.CACHED_AUDIO, BillableUnit.CACHED_IMAGE)
        ),
        Usage.CACHED_AUDIO_TOKENS: parts[BillableUnit.CACHED_AUDIO],
        Usage.CACHED_IMAGE_TOKENS: parts[BillableUnit.CACHED_IMAGE],
        Usage.CACHE_WRITE_TOKENS: parts[BillableUnit.CACHE_WRITE],
        Usage.OUTPUT_TOKENS: output,
        Usage.OUTPUT_TEXT_TOKENS: said,
        Usage.OUTPUT_AUDIO_TOKENS: parts[BillableUnit.OUTPUT_AUDIO],
        Usage.OUTPUT_IMAGE_TOKENS: parts[BillableUnit.OUTPUT_IMAGE],
        Usage.REASONING_TOKENS: parts[BillableUnit.REASONING],
        Usage.TOTAL_TOKENS: text + audio + image + output,
    }
    kinds = costs.quantities(ModelUsed(REALTIME, "openai", "gpt-realtime", usage))
    assert {kind: kinds[kind] for kind in TOKENS} == parts
    return usage


@given(consistent_usage(), st.sampled_from(("gpt-realtime", "gpt-realtime-mini")))
def test_the_sum_is_that_of_genai_prices(usage: Mapping[Usage, float], model: str) -> None:
    """Our lines add up to what the package, which subtracts in its own way, comes to."""
    result = PriceBook().price(ModelUsed(REALTIME, "api.openai.com", model, usage))
    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=int(usage[Usage.INPUT_TOKENS]),
            input_audio_tokens=int(usage[Usage.INPUT_AUDIO_TOKENS]),
            input_image_tokens=int(usage[Usage.INPUT_IMAGE_TOKENS]),
            cache_read_tokens=int(usage[Usage.CACHED_TOKENS]),
            cache_audio_read_tokens=int(usage[Usage.CACHED_AUDIO_TOKENS]),
            cache_image_read_tokens=int(usage[Usage.CACHED_IMAGE_TOKENS]),
            output_tokens=int(usage[Usage.OUTPUT_TOKENS]),
            output_audio_tokens=int(usage[Usage.OUTPUT_AUDIO_TOKENS]),
        ),
        model,
        provider_id="openai",
    )
    assert dollars(result) == pytest.approx(float(theirs.total_price), abs=1e-9)


@given(st.integers(0, 400_000), st.integers(0, 10_000), st.data())
def test_long_requests_cost_what_genai_prices_says(
    total: int, output: int, data: st.DataObject
) -> None:
    cached = data.draw(st.integers(0, total))
    result = PriceBook().price(
        used(LLM, "Gemini", "gemini-2.5-pro", input_tokens=total, cached_tokens=cached,
             output_tokens=output)
    )  # fmt: skip
    usage = genai_prices.Usage(input_tokens=total, cache_read_tokens=cached, output_tokens=output)
    theirs: Decimal = genai_prices.calc_price(
        usage, "gemini-2.5-pro", provider_id="google"
    ).total_price
    assert math.isclose(dollars(result), float(theirs), abs_tol=1e-9)
