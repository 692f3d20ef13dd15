# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""From what models report to money: on the call, on the span, in the log; never by a guess."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Span

from callspan import LiveKitAgentsInstrumentor, instrument
from callspan.call.call import Call
from callspan.call.events import CostRecorded, ModelUsed, UserTurnEnded
from callspan.pricing import price_file
from callspan.pricing.price_book import PriceBook, Priced
from callspan.pricing.unpriced import name_unpriced
from callspan.runtime.call_costs import Pricing
from callspan.semconv import Usage
from callspan.tracing.call_trace import CallTrace

OWN: dict[str, Any] = {
    "llm": {"acme/large": {"per_million_input_tokens": 2, "per_million_output_tokens": 8}},
    "tts": {"acme/voice": {"per_character": 0.001}},
    "stt": {"acme/ears": {"per_minute": 0.6}},
    "flat": {"per_call": 0.5, "per_minute": 0.06},
}


@pytest.fixture
def trace() -> CallTrace:
    return CallTrace(Call("job", opened_instant=100.0))


def request_span(trace: CallTrace, request_id: str, provider: TracerProvider | None = None) -> Span:
    """A request's span, as LiveKit has written on it when its metrics come."""
    provider = provider or TracerProvider(shutdown_on_exit=False)
    span = provider.get_tracer("livekit-agents").start_span("llm_request")
    span.set_attribute("lk.llm_metrics", json.dumps({"request_id": request_id}))
    trace.requests[len(trace.requests)] = span
    return span


def llm(input_tokens: float = 1000, output_tokens: float = 100, request_id: str = "") -> ModelUsed:
    usage = {Usage.INPUT_TOKENS: input_tokens, Usage.OUTPUT_TOKENS: output_tokens}
    return ModelUsed("llm", "acme", "large", usage, request_id=request_id)


def spend(prices: Pricing, trace: CallTrace, used: ModelUsed) -> CostRecorded | None:
    """Have a use priced, and the call charged for it."""
    cost = prices.spend(trace, used)
    if cost is not None:
        trace.emit(cost)
    return cost


def cost_on(span: Span) -> object:
    assert isinstance(span, ReadableSpan)
    return (span.attributes or {}).get("agent.cost.dollars")


def test_a_request_is_paid_for_on_its_own_span(trace: CallTrace) -> None:
    """Of several in flight, the one that LiveKit wrote the same id on."""
    first, second = request_span(trace, "id-1"), request_span(trace, "id-2")
    spent = spend(Pricing(OWN), trace, llm(request_id="id-2"))
    assert spent == CostRecorded("llm", "acme", "large", pytest.approx(0.0028))
    assert cost_on(first) is None
    assert cost_on(second) == pytest.approx(0.0028)
    assert trace.call.costs.by_model == {("llm", "acme", "large"): pytest.approx(0.0028)}
    # the span is done with, the other is still waited for
    assert list(trace.requests.values()) == [first]


def test_an_id_is_not_looked_for_in_another(trace: CallTrace) -> None:
    """Nor in the rest of what LiveKit wrote; and what is no JSON has no id."""
    longer, other, broken = (request_span(trace, request_id) for request_id in ("id-10", "x", "y"))
    other.set_attribute("lk.llm_metrics", json.dumps({"request_id": "x", "label": "id-1"}))
    broken.set_attribute("lk.llm_metrics", "{id-1")
    asked = request_span(trace, "id-1")
    spend(Pricing(OWN), trace, llm(request_id="id-1"))
    assert [cost_on(span) for span in (longer, other, broken)] == [None] * 3
    assert cost_on(asked) == pytest.approx(0.0028)


def test_money_does_not_depend_on_spans(trace: CallTrace) -> None:
    """No id, no such span, one that has ended, one that is not sampled: the call pays."""
    prices = Pricing(OWN)
    request_span(trace, "ended").end()
    request_span(trace, "unsampled", TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    for request_id in ("", "nobody's", "ended", "unsampled"):
        spend(prices, trace, llm(request_id=request_id))
    assert trace.call.costs.total == pytest.approx(4 * 0.0028)
    assert trace.requests == {}


def test_a_recognisers_cost_waits_for_its_turn(trace: CallTrace) -> None:
    """Its span is made when the turn has ended; what came before is on it, once."""
    prices = Pricing(OWN)
    for seconds in (2.0, 4.0):
        spend(prices, trace, ModelUsed("stt", "acme", "ears", {Usage.AUDIO_DURATION: seconds}))
    assert trace.call.speech(since=0.0).dollars == pytest.approx(0.06)
    trace.emit(UserTurnEnded())
    assert trace.call.speech(since=0.0).dollars == 0
    assert trace.call.costs.by_component() == {"stt": pytest.approx(0.06)}


def test_what_has_no_price_is_counted_and_not_priced(trace: CallTrace) -> None:
    """Not at 0 and not by a guess; a call of nothing else has no cost that is known."""
    used = ModelUsed("llm", "initech", "mystery", {Usage.INPUT_TOKENS: 5.0})
    prices = Pricing(OWN)
    assert spend(prices, trace, used) == CostRecorded("llm", "initech", "mystery", None)
    spend(prices, trace, used)
    assert trace.call.costs.unpriced == {("llm", "initech", "mystery"): 2}
    assert not trace.call.costs.known


def test_a_request_without_a_price_says_so(trace: CallTrace) -> None:
    """Whoever reads the span can tell it from one whose cost came too late."""
    span = request_span(trace, "id-1")
    used = ModelUsed("llm", "initech", "mystery", {Usage.INPUT_TOKENS: 5.0}, request_id="id-1")
    spend(Pricing(OWN), trace, used)
    assert isinstance(span, ReadableSpan)
    assert (span.attributes or {})["agent.unpriced_usage"] is True
    assert cost_on(span) is None
    assert trace.requests == {}


def test_what_costs_nothing_by_nature_is_not_counted(trace: CallTrace) -> None:
    """VAD runs here."""
    vad = ModelUsed("vad", "", "silero", {Usage.INFERENCES: 30.0})
    assert spend(Pricing(OWN), trace, vad) is None
    assert trace.call.costs.known
    assert trace.call.costs.total == 0


def test_flat_costs_are_due_once(trace: CallTrace) -> None:
    """By the call once, by the minute up to the last close: a session can be started again."""
    prices = Pricing(OWN)
    trace.call.closed_instant = 160.0
    for closed_instant, due in ((160.0, 0.56), (220.0, 0.06)):
        trace.call.closed_instant = closed_instant
        cost = prices.flat_costs(trace.call)
        assert cost == CostRecorded("other", "flat", "flat", pytest.approx(due))
        trace.emit(cost)
        assert prices.flat_costs(trace.call) is None
    assert trace.call.costs.by_component() == {"other": pytest.approx(0.62)}
    assert Pricing({}).flat_costs(trace.call) is None


def test_a_clock_that_was_set_back_costs_nothing(trace: CallTrace) -> None:
    """The caller is not paid."""
    trace.call.closed_instant = 40.0
    assert Pricing({"flat": {"per_minute": 1}}).flat_costs(trace.call) is None


# --- the log -----------------------------------------------------------------------------------

FILE = "add to the file that CALLSPAN_PRICES names: "


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        (
            {"component": "tts", "provider": "Initech", "model": "Voice-1"},
            "no price for tts Voice-1 of Initech: its use is counted in "
            f"agent_unpriced_usage_total and is in no cost; {FILE}"
            '[tts."initech/voice-1"] per_character = 0.00003',
        ),
        (
            {"component": "stt", "provider": "unknown", "model": "unknown"},
            "no price for stt unknown of unknown: its use is counted in "
            f"agent_unpriced_usage_total and is in no cost; {FILE}"
            '[stt."unknown/*"] per_minute = 0.0043',
        ),
        (
            {"component": "llm", "provider": "acme", "model": "large"},
            "llm large of acme has a price, and was used without its provider saying how much of "
            "all that it charges for, as cancelled requests are: that is counted in "
            "agent_unpriced_usage_total and is in no cost",
        ),
    ],
)
def test_what_is_unpriced_is_named_with_the_line_to_add(
    caplog: pytest.LogCaptureFixture, labels: dict[str, str], line: str
) -> None:
    """Unless there is a price, and it is the usage that nobody knows."""
    with caplog.at_level(logging.WARNING):
        name_unpriced(PriceBook(OWN), labels)
    assert [record.getMessage() for record in caplog.records] == [line]


@pytest.mark.parametrize("component", ["llm", "stt", "tts", "realtime", "decision"])
@pytest.mark.parametrize(("provider", "model"), [("Initech", "Mystery"), ("", ""), ("x", "")])
def test_the_line_to_add_can_be_added(
    caplog: pytest.LogCaptureFixture, component: str, provider: str, model: str, tmp_path: Path
) -> None:
    """With the line breaks that a log line lacks, it is a price file, and prices that model."""
    names = {"provider": provider or "unknown", "model": model or "unknown"}
    name_unpriced(PriceBook(), {"component": component, **names})
    advised = caplog.records[0].getMessage().partition(FILE)[2]
    path = tmp_path / "prices.toml"
    path.write_text(re.sub(r"(\]| [0-9.]+) ", r"\1\n", advised))
    book = PriceBook(price_file.read(str(path)))
    assert isinstance(book.price(ModelUsed(component, provider, model, {})), Priced)


# --- prices in code ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        (
            {"lml": {}},
            "'lml' is not a component; did you mean 'llm'?",
        ),
        (
            {"tts": {"acme/voice": {"per_character": "0.001"}}},
            "tts.\"acme/voice\": per_character is '0.001'; write a number of US dollars, without "
            "quotes or a currency sign, such as 0.01",
        ),
        (
            {"tts": {"acme/voice": {"per_character": -1}}},
            'tts."acme/voice": per_character is -1; write a price from 0 to 1000000 US '
            "dollars, such as 0.01",
        ),
        (
            {"tts": {"acme/voice": {"per_character": float("nan")}}},
            'tts."acme/voice": per_character is nan; write a price from 0 to 1000000 US '
            "dollars, such as 0.01",
        ),
        (
            {"currency": "EUR"},
            "currency is 'EUR': prices are in US dollars; convert them, and write currency = "
            '"USD" or leave it out',
        ),
        (
            "prices.toml",
            "the price file is 'prices.toml'; write tables such as [tts.\"cartesia/sonic-3\"]",
        ),
    ],
)
def test_prices_in_code_that_are_not_understood(prices: Any, message: str) -> None:
    """It raises where they are passed, and nothing is instrumented."""
    with pytest.raises(ValueError) as raised:
        instrument(prices=prices)
    assert str(raised.value) == message
    assert not LiveKitAgentsInstrumentor().is_instrumented_by_opentelemetry
