# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""The key figures of a worker, computed from one scrape of it as Prometheus would compute them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

SESSIONS = "agent_sessions_total"
BOOKINGS = "agent_bookings_total"
CONVERSION_VALUE = "agent_conversion_value_total"
SESSION_DURATION = "agent_session_duration_seconds"
SESSION_COST = "agent_session_cost_dollars"
COST = "agent_cost_dollars_total"
UNPRICED = "agent_unpriced_usage_total"
TURN_LATENCY = "agent_turn_latency_seconds"
STAGE_DURATION = "agent_turn_stage_duration_seconds"
TOOL_CALLS = "agent_tool_calls_total"
TOOL_DURATION = "agent_tool_call_duration_seconds"
INTERRUPTIONS = "agent_interruptions_total"

BOOKED = "booking"
"""The outcome of a call that came to a booking."""

LARGEST_OTHER = 0.05
"""The part of turn latency that no stage may claim."""

_PERCENTILES = (50, 90, 99)


class Scrape:
    """The samples of one scrape.

    Args:
        text: What ``/metrics`` answered, in the text format.
    """

    def __init__(self, text: str) -> None:
        self._samples: dict[str, list[Sample]] = defaultdict(list)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._samples[sample.name].append(sample)

    def sum_by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the sums of a metric's series by some of their labels; all in one without any."""
        sums: dict[tuple[str, ...], float] = defaultdict(float)
        for sample in self._samples[name]:
            sums[tuple(sample.labels.get(label, "") for label in labels)] += sample.value
        return dict(sums)

    def total(self, name: str) -> float:
        """Return the sum of all series of a metric; 0 where there are none."""
        return sum(self.sum_by(name).values())

    def mean(self, name: str) -> float:
        """Return the mean of what a histogram has seen; NaN where it has seen nothing."""
        return self.mean_by(name).get((), math.nan)

    def mean_by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the means of what a histogram has seen by some of its labels."""
        sums = self.sum_by(f"{name}_sum", *labels)
        counts = self.sum_by(f"{name}_count", *labels)
        return {key: sums[key] / count for key, count in counts.items() if count}

    def quantile(self, rank: float, name: str) -> float:
        """Return a quantile of all series of a histogram together, ``rank`` being 0 to 1."""
        buckets = self.sum_by(f"{name}_bucket", "le")
        return quantile(rank, {float(bound): count for (bound,), count in buckets.items()})


def quantile(rank: float, buckets: Mapping[float, float]) -> float:
    """Return a quantile as PromQL's ``histogram_quantile`` does.

    Args:
        rank: Between 0 and 1.
        buckets: The number of values up to each bound, for bounds from 0 up to infinity.

    Returns:
        The value, interpolated within its bucket; the highest finite bound for a value beyond
        it; NaN where there are no values.
    """
    wanted = rank * buckets.get(math.inf, 0.0)
    if not wanted:
        return math.nan
    lower, below = 0.0, 0.0
    for upper, up_to in sorted(buckets.items()):
        if up_to >= wanted:
            break
        lower, below = upper, up_to
    if math.isinf(upper):
        return lower
    return lower + (upper - lower) * (wanted - below) / (up_to - below)


def other_share(scrape: Scrape) -> float:
    """Return the part of all turn latency that no stage claims; NaN where no turn was answered."""
    latency_s = scrape.total(f"{TURN_LATENCY}_sum")
    other_s = scrape.sum_by(f"{STAGE_DURATION}_sum", "stage").get(("other",), 0.0)
    return other_s / latency_s if latency_s else math.nan


def shortcomings(scrape: Scrape, calls: int) -> list[str]:
    """Say what is wrong with the numbers of a worker that took so many calls."""
    wrong = []
    if (sessions := scrape.total(SESSIONS)) != calls:
        wrong.append(f"{SESSIONS} is {sessions:g} after {calls} calls")
    booked = scrape.sum_by(SESSIONS, "outcome").get((BOOKED,), 0.0)
    if (bookings := scrape.total(BOOKINGS)) != booked:
        wrong.append(f"{BOOKINGS} is {bookings:g}, {booked:g} calls have the outcome {BOOKED}")
    # a call's cost is recorded at its end, each use of a model as it is paid for
    of_calls, of_uses = scrape.total(f"{SESSION_COST}_sum"), scrape.total(COST)
    if not math.isclose(of_calls, of_uses, abs_tol=1e-9):
        wrong.append(f"calls cost {of_calls} dollars, what they used {of_uses}")
    # NaN, where nothing was counted, is not within the limit either
    if not (share := other_share(scrape)) <= LARGEST_OTHER:
        wrong.append(
            f"{share:.1%} of {TURN_LATENCY} is in no stage, {LARGEST_OTHER:.0%} is the limit"
        )
    return wrong


def table(scrape: Scrape) -> str:
    """Return the key figures in lines, by the names that a dashboard asks for."""
    lines = []
    for name, figures in _rows(scrape):
        for number, (figure, what) in enumerate(figures):
            lines.append(f"{'' if number else name:<34} {figure:>8}  {what}".rstrip())
    return "\n".join(lines)


def _rows(scrape: Scrape) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    yield SESSIONS, _counts(scrape, SESSIONS, "outcome")
    conversion = scrape.total(BOOKINGS) / (scrape.total(SESSIONS) or math.nan)
    bookings = f"{scrape.total(BOOKINGS):g}"
    yield BOOKINGS, [(bookings, "calls"), (_percent(conversion), "conversion rate")]
    yield CONVERSION_VALUE, _counts(scrape, CONVERSION_VALUE, "currency", "conversion")
    calls = f"{scrape.total(f'{SESSION_DURATION}_count'):g}"
    mean = _seconds(scrape.mean(SESSION_DURATION))
    by_intent = _largest_first(scrape.mean_by(SESSION_DURATION, "intent").items())
    yield (
        SESSION_DURATION,
        [(calls, "calls"), (mean, "average handle time")]
        + [(_seconds(value), f"intent {intent}") for (intent,), value in by_intent if intent],
    )
    cost = _dollars(scrape.mean(SESSION_COST))
    yield SESSION_COST, [(cost, "cost per call")]
    by_component = _largest_first(scrape.sum_by(COST, "component").items())
    yield (
        COST,
        [(_dollars(value), component) for (component,), value in by_component] or [("0", "")],
    )
    yield UNPRICED, _counts(scrape, UNPRICED, "component", "model")
    latencies = [(f"{scrape.total(f'{TURN_LATENCY}_count'):g}", "turns")]
    for percent in _PERCENTILES:
        value = _seconds(scrape.quantile(percent / 100, TURN_LATENCY))
        latencies.append((value, f"P{percent}"))
    yield TURN_LATENCY, latencies
    yield STAGE_DURATION, _shares(scrape.sum_by(f"{STAGE_DURATION}_sum", "stage"))
    yield TOOL_CALLS, _counts(scrape, TOOL_CALLS, "tool_name", "status")
    yield TOOL_DURATION, [(_seconds(scrape.mean(TOOL_DURATION)), "mean")]
    yield INTERRUPTIONS, _counts(scrape, INTERRUPTIONS, "kind")


def _counts(scrape: Scrape, name: str, *labels: str) -> list[tuple[str, str]]:
    counted = _largest_first(scrape.sum_by(name, *labels).items())
    return [(f"{count:g}", " ".join(key)) for key, count in counted if count] or [("0", "")]


def _shares(durations: Mapping[tuple[str, ...], float]) -> list[tuple[str, str]]:
    total_s = sum(durations.values()) or math.nan
    return [
        (_percent(duration_s / total_s), " ".join(key))
        for key, duration_s in _largest_first(durations.items())
        if duration_s or key == ("other",)
    ] or [("0", "")]


def _largest_first(
    items: Iterable[tuple[tuple[str, ...], float]],
) -> list[tuple[tuple[str, ...], float]]:
    return sorted(items, key=lambda item: (-item[1], item[0]))


def _seconds(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.2f} s"


def _dollars(value: float) -> str:
    return "none" if math.isnan(value) else f"${value:.4f}"


def _percent(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.1%}"
