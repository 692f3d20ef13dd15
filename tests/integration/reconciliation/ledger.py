# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What calls come to, worked out from their own ledgers: nothing of the package is used here.

Money is exact: decimal figures, added up as fractions. What only a clock can tell is bounded by
the calls' own clocks.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

Series = tuple[str, frozenset[tuple[str, str]]]
"""A sample's name, as Prometheus has it, and its labels."""

PRICE_FILE: Final = """
[llm."acme/large"]
per_million_input_tokens = 2.53
per_million_cached_tokens = 0.31
per_million_cache_write_tokens = 3.17
per_million_output_tokens = 9.71
per_million_reasoning_tokens = 11.3

[llm."globex/*"]
per_million_input_tokens = 0.17
per_million_output_tokens = 0.61
per_request = 0.00013

[llm."openai/gpt-4o-mini"]
per_million_input_tokens = 0.149
per_million_cached_tokens = 0.074
per_million_output_tokens = 0.593

[flat]
per_call = 0.0021
per_minute = 0.0085
"""
_MILLION: Final = 1_000_000


@dataclass(frozen=True)
class _Rates:
    """Dollars for a million tokens, as text; those that are missing are taken from the sums."""

    input: str
    output: str
    cached: str = ""
    written: str = ""
    reasoning: str = ""
    request: str = "0"

    def dollars(self, usage: Iterable[int]) -> Fraction:
        prompt, cached, written, completion, reasoning = usage
        parts = (
            (prompt - cached - written, self.input),
            (cached, self.cached or self.input),
            (written, self.written or self.input),
            (completion - reasoning, self.output),
            (reasoning, self.reasoning or self.output),
        )
        return Fraction(self.request) + sum(
            (tokens * Fraction(rate) / _MILLION for tokens, rate in parts), Fraction()
        )


_RATES: Final = {
    "acme": _Rates("2.53", "9.71", cached="0.31", written="3.17", reasoning="11.3"),
    "globex": _Rates("0.17", "0.61", request="0.00013"),
    "api.openai.com": _Rates("0.149", "0.593", cached="0.074"),
}
_PER_CALL, _PER_MINUTE = Fraction("0.0021"), Fraction("0.0085")

_LABELS: Final = {"intent": ("booking", "billing"), "tier": ("gold", "basic")}
_STANDS_FOR: Final = {"bookings": "booking", "payments": "paid", "upsells": ""}
_BUCKETS: Final = {
    "agent_feedback_score": range(11),
    "agent_party_size": (1, 2, 5, 10),
    "agent_session_turns": (1, 2, 3, 5, 8, 13, 20, 30, 50, 100),
    "agent_session_cost_dollars": (
        *("0.001", "0.005", "0.01", "0.05", "0.1", "0.25", "0.5", "1", "2", "5"),
    ),
}


@dataclass
class CallLedger:
    """One call.

    Attributes:
        entries: What was done in it, in order.
        spent: Dollars by component, provider and model; flat costs are not in it.
    """

    entries: list[dict[str, Any]]
    spent: defaultdict[tuple[str, ...], Fraction] = field(
        default_factory=lambda: defaultdict(Fraction)
    )
    unpriced: bool = False
    reported_outcome: str = ""
    reported_labels: dict[str, str] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    conversions: list[str] = field(default_factory=list)
    transferred: bool = False
    answers: int = 0
    turns: int = 0

    @property
    def end(self) -> dict[str, Any] | None:
        """The last entry; None of a call that was killed."""
        return next((each for each in self.entries if each["what"] == "end"), None)

    @property
    def at_least_s(self) -> float:
        """What the session lasted at least."""
        return next(each["at_least_s"] for each in self.entries if each["what"] == "ending")

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the call so far."""
        tagged = {}
        if "language:es" in self.tags:
            tagged["language"] = "es"
        for verdict in ("pass", "fail"):
            if f"judge:{verdict}" in self.tags:
                tagged["judge_manners"] = verdict
        return tagged | self.reported_labels

    @property
    def outcome(self) -> str:
        """How the call ended, by the rules."""
        assert self.end is not None
        how = self.end["how"]
        if self.reported_outcome:
            return self.reported_outcome
        for conversion in self.conversions:
            if _STANDS_FOR[conversion]:
                return _STANDS_FOR[conversion]
        for tag, outcome in (
            ("success", "success"),
            ("fail", "failure"),
            ("complaint", "complaint"),
        ):
            if tag in self.tags:
                return outcome
        if how == "broken":
            return "error"
        if self.transferred:
            return "transferred"
        return "abandoned" if how == "hung up" and self.answers < 2 else "inquiry"

    def cost(self, duration_s: float) -> Fraction:
        """What the call cost, if its session lasted so long."""
        flat = _PER_CALL + _PER_MINUTE * Fraction(duration_s) / 60
        return flat + sum(self.spent.values(), Fraction())


class Ledger:
    """All calls.

    Attributes:
        calls: By room.
        totals: What they come to, exactly.
        at_least_s: Lower bounds of the sums of durations of tools.
    """

    def __init__(self, folder: Path, durations_s: Mapping[str, float]) -> None:
        """Add up ledgers.

        Args:
            folder: A file for each call, called after its room.
            durations_s: How long the session of each job lasted; only flat costs come of it.
        """
        self.calls: dict[str, CallLedger] = {}
        self.totals: defaultdict[Series, Fraction] = defaultdict(Fraction)
        self.at_least_s: defaultdict[Series, float] = defaultdict(float)
        for path in sorted(folder.glob("*.jsonl")):
            entries = [json.loads(line) for line in path.read_text().splitlines()]
            call = self.calls[path.stem] = CallLedger(entries)
            for entry in entries:
                getattr(self, f"_{entry['what']}")(call, entry)
            if call.end is None:
                self._add("agent_sessions_total", {"outcome": "crashed"})
                self._add("agent_jobs_total", {"status": "crashed"})
            else:
                self._close(call, durations_s[call.end["job"]])

    # --- as it went ----------------------------------------------------------------------------

    def _generation(self, call: CallLedger, entry: dict[str, Any]) -> None:
        provider, model, usage = entry["provider"], entry["model"], entry["usage"]
        call.answers += 1
        labels = {"component": "llm", "provider": provider, "model": model}
        if usage is None or provider not in _RATES:
            call.unpriced = True
            self._add("agent_unpriced_usage_total", labels, agent=False)
        else:
            dollars = _RATES[provider].dollars(usage)
            call.spent["llm", provider, model] += dollars
            self._add("agent_cost_dollars_total", labels, dollars)
        if usage is not None:
            of_model = {"provider": provider, "model": model}
            self._add("agent_llm_tokens_per_second_count", of_model)

    def _tool(self, call: CallLedger, entry: dict[str, Any]) -> None:
        tool = {"tool_name": entry["name"]}
        self._add("agent_tool_calls_total", {**tool, "status": entry["status"]})
        self._add("agent_tool_call_duration_seconds_count", tool)
        self.at_least_s[series("agent_tool_call_duration_seconds_sum", tool)] += entry["at_least_s"]
        if entry["name"] == "book_appointment" and entry["status"] == "success":
            self._convert(call, {"name": "bookings", "value": "0", "currency": ""})

    def _handoff(self, _: CallLedger, entry: dict[str, Any]) -> None:
        names = {key: entry[key] for key in ("from_agent", "to_agent")}
        self._add("agent_handoffs_total", names)

    def _turn(self, call: CallLedger, _: dict[str, Any]) -> None:
        call.turns += 1

    def _interruption(self, _: CallLedger, __: dict[str, Any]) -> None:
        self._add("agent_interruptions_total", {"kind": "programmatic"})

    def _convert(self, call: CallLedger, entry: dict[str, Any]) -> None:
        name = entry["name"]
        if name not in call.conversions:
            call.conversions.append(name)
            self._add(f"agent_{name}_total", call.labels)
        if entry["currency"]:
            labels = {"conversion": name, "currency": entry["currency"]}
            self._add("agent_conversion_value_total", labels, Fraction(entry["value"]))

    def _label(self, call: CallLedger, entry: dict[str, Any]) -> None:
        name, value = entry["name"], entry["value"]
        call.reported_labels[name] = value if value in _LABELS[name] else "other"

    def _outcome(self, call: CallLedger, entry: dict[str, Any]) -> None:
        known = entry["name"] in ("inquiry", "complaint")
        call.reported_outcome = entry["name"] if known else "other"

    def _feedback(self, _: CallLedger, entry: dict[str, Any]) -> None:
        self._observe("agent_feedback_score", {"kind": entry["kind"]}, Fraction(entry["score"]))

    def _count(self, _: CallLedger, entry: dict[str, Any]) -> None:
        reason = entry["reason"] if entry["reason"] in ("busy", "late") else "other"
        self._add("agent_callbacks_total", {"reason": reason}, Fraction(entry["amount"]))

    def _record(self, _: CallLedger, entry: dict[str, Any]) -> None:
        self._observe("agent_party_size", {}, Fraction(entry["value"]))

    def _observe(self, name: str, labels: Mapping[str, str], value: Fraction) -> None:
        self._add(f"{name}_count", labels)
        self._add(f"{name}_sum", labels, value)
        bounds = [Fraction(bound) for bound in _BUCKETS[name]]
        for bound in bounds[bisect_left(bounds, value) :]:
            self._add(f"{name}_bucket", {**labels, "le": f"{float(bound)!r}"})
        self._add(f"{name}_bucket", {**labels, "le": "+Inf"})

    def _tag(self, call: CallLedger, entry: dict[str, Any]) -> None:
        if entry["tag"] in ("success", "fail"):
            call.tags -= {"success", "fail"}
        call.tags.add(entry["tag"])

    def _judge(self, call: CallLedger, entry: dict[str, Any]) -> None:
        call.tags.add(f"judge:{entry['verdict']}")

    def _transfer(self, call: CallLedger, _: dict[str, Any]) -> None:
        call.transferred = True

    def _ending(self, _: CallLedger, __: dict[str, Any]) -> None:
        """Only a clock's reading."""

    def _end(self, _: CallLedger, __: dict[str, Any]) -> None:
        """What it comes to is added when all entries are read."""

    # --- at the end ----------------------------------------------------------------------------

    def _close(self, call: CallLedger, duration_s: float) -> None:
        flat = {"component": "other", "provider": "flat", "model": "flat"}
        cost = call.cost(duration_s)
        spent = sum(call.spent.values(), Fraction())
        self._add("agent_jobs_total", {"status": "done"})
        self._add("agent_sessions_total", {**call.labels, "outcome": call.outcome})
        ended = {**call.labels, "outcome": call.outcome}
        self._add("agent_session_duration_seconds_count", ended)
        self._add("agent_session_duration_seconds_sum", ended, Fraction(duration_s))
        self._add("agent_session_llm_duration_seconds_count", {})
        self._observe("agent_session_turns", {}, Fraction(call.turns))
        self._observe("agent_session_cost_dollars", call.labels, cost)
        self._add("agent_cost_dollars_total", flat, cost - spent)

    def _add(
        self,
        name: str,
        labels: Mapping[str, str],
        value: Fraction = Fraction(1),
        *,
        agent: bool = True,
    ) -> None:
        self.totals[series(name, labels, agent=agent)] += value


def series(name: str, labels: Mapping[str, str], *, agent: bool = True) -> Series:
    """Return a sample's name with all of its labels, the agent's name too by default."""
    everybody = {"agent_name": "receptionist"} if agent else {}
    return name, frozenset({**everybody, **labels}.items())
