# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""examples/recipes/README.md is true: each recipe runs as printed, fails as said, or is mended.

What is expected is read from the page: its rows are the failures and the lines that mend them, its
code is run in calls.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from livekit.agents import Agent

from integration.recipes import printed
from integration.recipes.page import (
    ANNOTATION,
    AS_PRINTED,
    ASYNC_HANDLER,
    BLOCKS,
    LOOP,
    ON_CLOSE,
    PAGE,
    ROWS,
    WITH_US,
)
from kit.call_gate import CallGate
from kit.scrape import free_port, samples, wait_for_scrape
from kit.workers import Run, run_agent
from offline.llm_server import Reply, Rule, Script, ScriptedChatServer, ToolCall

HERE = Path(__file__).parent
RESULT = "RECIPE "
"""Begins the line in which a call says what came of its recipe (see recipes/worker.py)."""
TOOL_S = 0.5
"""Seconds that the tool of the calls takes (see recipes/worker.py)."""

MODEL = Script(
    [
        Rule(Reply("You are a patient of ours.", first_token_delay=0.1), tool="look_up"),
        Rule(
            Reply(tool_calls=(ToolCall("look_up"),), first_token_delay=0.1),
            user="it is me",
            offered="look_up",
        ),
        Rule(Reply("Good morning.")),
    ]
)


@dataclass
class Played:
    """A worker's calls.

    Attributes:
        run: How it ended, and what it printed and sent.
        results: What came of each recipe.
        scraped: The worker's scrape after the last call, if it serves one.
    """

    run: Run
    results: dict[str, dict[str, Any]]
    scraped: str

    def errors(self, recipe: str) -> list[str]:
        """What a recipe raised."""
        return self.results[recipe]["errors"]

    def counted(self, recipe: str) -> dict[str, float]:
        """What prometheus_client had in the process of a recipe's call."""
        return self.results[recipe]["counted"]

    def root(self, recipe: str) -> Mapping[str, Any]:
        """The attributes of the root span of a recipe's call."""
        job = self.results[recipe]["job"]
        (root,) = [
            span
            for span in self.run.spans
            if not span.parent_span_id and span.attributes["session.id"] == job
        ]
        return root.attributes

    def total(self, name: str, **labels: str) -> float:
        """The sum of a sample's series that have these labels."""
        return total(self.scraped, name, **labels)


def total(scraped: str, name: str, **labels: str) -> float:
    """The sum of a sample's series that have these labels, in a scrape."""
    return sum(
        sample.value
        for sample in samples(scraped)
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def play(folder: Path, recipes: Mapping[str, str], **variables: str) -> Played:
    """Have a worker take a call for each recipe."""
    for room, text in recipes.items():
        (folder / f"{room}.py").write_text(text)
    port, scraped = free_port(), ""
    with (
        ScriptedChatServer(MODEL) as model,
        ThreadPoolExecutor(1) as pool,
        CallGate() as gate,
    ):
        prices = folder / "prices.json"
        prices.write_text(json.dumps(the_chapters_prices(urlsplit(model.base_url).netloc)))
        running = pool.submit(
            run_agent,
            str(HERE / "recipes" / "worker"),
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}",
                "OTEL_METRICS_EXPORTER": "prometheus",
                "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
                "CALLSPAN_PRICES": str(prices),
                "CALLSPAN_DEFAULT_OUTCOME": "inquiry",
                "OPENAI_BASE_URL": model.base_url,
                "RECIPES": str(folder),
                "ROOMS": ",".join(room for room in recipes if room != "top-of-agent"),
                "GATE": str(gate.port),
                **variables,
            },
            timeout_s=300,
        )
        gate.wait_until_up()
        gate.take_calls()
        if "top-of-agent" in recipes:
            scraped = wait_for_scrape(
                port, lambda text: total(text, "agent_sessions_total") == len(recipes) - 1
            )
    run = running.result()
    results = [
        json.loads(line.removeprefix(RESULT))
        for line in run.stdout.splitlines()
        if line.startswith(RESULT)
    ]
    return Played(run, {result["recipe"]: result for result in results}, scraped)


def the_chapters_prices(chat_server: str) -> dict[str, Any]:
    """The prices of the chapter's CostTracker, for the stand-ins of these calls."""
    return {
        "llm": {
            f"{chat_server}/gpt-4o-mini": {
                "per_million_input_tokens": 0.15,
                "per_million_output_tokens": 0.60,
            }
        },
        "stt": {"test/scripted": {"per_minute": 0.0043}},
        "tts": {"espeak-ng/*": {"per_character": 0.00003}},
    }


@pytest.fixture(scope="module")
def as_printed(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The printed recipes without this package; port 9090 is somebody else's."""
    with closing(socket.socket()) as other:
        with suppress(OSError):  # it is somebody else's already
            other.bind(("0.0.0.0", 9090))
            other.listen()
        return play(tmp_path_factory.mktemp("printed"), AS_PRINTED)


@pytest.fixture(scope="module")
def with_us(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """What the page says to write, with the one line."""
    recipes = {"top-of-agent": BLOCKS["top-of-agent"], **WITH_US}
    return play(tmp_path_factory.mktemp("with-us"), recipes)


def outcome_of(line: str) -> str:
    """What the page says that comes of a line of a recipe."""
    (row,) = [row for row in ROWS if row[1].strip("`") == line]
    return row[2].strip("`")


def test_every_row_names_a_line_that_is_printed() -> None:
    texts = [text for name, text in vars(printed).items() if name.isupper()]
    assert len(ROWS) == 8
    for _, line, _, _ in ROWS:
        assert any(line.strip("`") in text for text in texts), line


def test_every_piece_of_code_on_the_page_is_run() -> None:
    code = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code == list(BLOCKS.values())
    ran = "".join([BLOCKS["top-of-agent"], *WITH_US.values()])
    assert all(block in ran for block in code)


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("port", "start_http_server(9090)"),
        ("egress", "from livekit import api"),
        ("llm-time", "for metric in usage_collector.metrics:"),
        ("metrics-in-tools", ANNOTATION),
        ("total-latency", printed.TOTAL_LATENCY.strip()),
    ],
)
def test_a_recipe_raises_what_the_page_says(as_printed: Played, room: str, line: str) -> None:
    assert as_printed.errors(room) == [outcome_of(line)]


def test_an_async_callback_is_refused_and_logged(as_printed: Played) -> None:
    """Once by each call's on_enter; the call goes on."""
    assert f"{outcome_of(ASYNC_HANDLER)} `.on()`" in as_printed.run.stderr
    assert "Error in _traceable_on_enter" in as_printed.run.stderr
    assert as_printed.errors("async-handler") == []
    assert as_printed.counted("async-handler") == {}
    assert as_printed.results["async-handler"]["latency"] > 0


def test_the_loop_over_one_object_observes_nothing(as_printed: Played) -> None:
    """It goes over the object's fields; and the hook that would count the call is never called."""
    assert outcome_of(LOOP) == "nothing is observed"
    assert outcome_of(ON_CLOSE) == "it is never called"
    assert as_printed.errors("loop") == []
    assert as_printed.counted("loop") == {}
    assert not hasattr(Agent, "on_close")


def test_with_three_lines_mended_the_chapters_agent_counts(as_printed: Played) -> None:
    """What it calls the latency of a turn is the duration of a request to the model."""
    agent = "dental-receptionist"
    counted = as_printed.counted("on-exit")
    assert as_printed.errors("on-exit") == []
    assert counted[f"agent_sessions_total {agent} inquiry"] == 1
    assert counted[f"agent_session_duration_seconds_count {agent}"] == 1
    assert counted[f"agent_turn_latency_seconds_count {agent}"] == 1
    measured = as_printed.results["on-exit"]["latency"]
    assert counted[f"agent_turn_latency_seconds_sum {agent}"] < measured
    assert f"agent_bookings_total {agent}" not in counted


def test_the_chapters_two_files_do_not_go_together(as_printed: Played) -> None:
    (error,) = as_printed.errors("both-files")
    assert error.startswith("DuplicateTimeseries: ")
    assert "agent_tool_call_duration_seconds" in error


def test_tracked_tool_works_as_printed(as_printed: Played) -> None:
    """LiveKit makes a tool of what it returns, too."""
    counted = as_printed.counted("tracked-tool")
    assert as_printed.errors("tracked-tool") == []
    assert counted["agent_tool_calls_total check_availability success"] == 1
    assert counted["agent_tool_call_duration_seconds_count check_availability"] == 1
    assert as_printed.results["tracked-tool"]["tool"] == "book_appointment"


def test_the_cost_tracker_adds_up_what_it_is_given(as_printed: Played) -> None:
    """A million tokens each way, a minute of speech, a hundred characters."""
    expected = 0.15 + 0.60 + 0.0043 + 0.003
    counted = as_printed.counted("cost-tracker")
    assert counted["agent_session_cost_dollars_sum dental-receptionist"] == pytest.approx(expected)


def test_the_session_report_is_written_as_printed(as_printed: Played) -> None:
    (name,) = re.findall(r"Session report for \S+ saved to (\S+)", as_printed.run.stdout)
    report = json.loads(Path(name).read_text())
    Path(name).unlink()
    assert report["job_id"] == as_printed.results["session-report"]["job"]
    items = report["chat_history"]["items"]
    assert {item["type"] for item in items} >= {"message", "function_call"}


def test_recording_by_egress_gets_as_far_as_a_server(as_printed: Played) -> None:
    assert as_printed.errors("egress-mended") == ["ValueError: url must be set"]


def test_metrics_are_logged_as_printed(as_printed: Played) -> None:
    """And LiveKit says that the event is deprecated."""
    assert as_printed.errors("log-metrics") == []
    for component in ("STT", "EOU", "LLM", "TTS"):
        assert f"INFO livekit.agents {component} metrics" in as_printed.run.stderr
    assert "metrics_collected is deprecated." in as_printed.run.stderr


def test_usage_is_logged_as_printed(as_printed: Played) -> None:
    """By the session, per model; by the deprecated collector, in one sum."""
    assert as_printed.errors("session-usage") == as_printed.errors("usage-collector") == []
    log = as_printed.run.stderr
    assert re.search(r"Usage: AgentSessionUsage\(.*LLMModelUsage\(.*model='gpt-4o-mini'", log)
    assert re.search(r"Usage: UsageSummary\(llm_prompt_tokens=[1-9]", log)


def test_metrics_in_tools_are_printed_once_mended(as_printed: Played) -> None:
    assert as_printed.errors("metrics-in-tools-mended") == []
    for component in ("stt", "eou", "llm", "tts"):
        assert f"Received metrics: type='{component}_metrics'" in as_printed.run.stdout


def test_the_langfuse_recipe_loses_the_root(as_printed: Played) -> None:
    """The provider comes when the root has begun: its children arrive, and nothing above them."""
    names = {span.name for span in as_printed.run.own_spans}
    assert as_printed.errors("langfuse") == []
    assert {"user_turn", "agent_turn", "llm_request", "tts_request"} <= names
    assert "job_entrypoint" not in names


def test_nothing_raises_with_us(with_us: Played) -> None:
    assert {room: with_us.errors(room) for room in WITH_US} == {room: [] for room in WITH_US}


def test_bookings_and_inquiries_have_the_chapters_names(with_us: Played) -> None:
    agent = {"agent_name": "dental-receptionist"}
    assert with_us.total("agent_sessions_total", **agent, outcome="booking") == 1
    assert with_us.total("agent_sessions_total", **agent, outcome="inquiry") == len(WITH_US) - 1
    assert with_us.total("agent_bookings_total", **agent) == 1
    for histogram in ("agent_session_duration_seconds", "agent_turn_latency_seconds"):
        assert with_us.total(f"{histogram}_count", **agent) == len(WITH_US)


def test_tools_are_counted_with_no_line_and_functions_with_one(with_us: Played) -> None:
    by_us = {"tool_name": "check_availability", "status": "success"}
    by_livekit = {"tool_name": "look_up", "status": "success"}
    assert with_us.total("agent_tool_calls_total", **by_us) == 1
    assert with_us.total("agent_tool_calls_total", **by_livekit) == len(WITH_US)
    took_s = with_us.total("agent_tool_call_duration_seconds_sum", tool_name="look_up")
    assert took_s >= TOOL_S * len(WITH_US)


def test_usage_per_model_is_ours(with_us: Played) -> None:
    (said,) = re.findall(r"Usage: .*LLMModelUsage\((.*?)\)", with_us.run.stderr)
    usage = with_us.root("usage")
    assert f"input_tokens={usage['agent.usage.llm.input_tokens']:g}," in said
    assert f"output_tokens={usage['agent.usage.llm.output_tokens']:g}" in said


def test_llm_time_is_ours(with_us: Played) -> None:
    """Of two requests: the one that calls the tool, and the one after it."""
    (printed_s,) = re.findall(r"LLM time: (\S+) seconds", with_us.run.stdout)
    ours_s = with_us.root("llm-time")["agent.usage.llm.request_duration"]
    assert float(printed_s) == pytest.approx(ours_s)
    assert with_us.root("llm-time")["agent.usage.llm.requests"] == 2
    assert with_us.total("agent_session_llm_duration_seconds_count") == len(WITH_US)


def test_the_sum_of_the_parts_lacks_the_tool(with_us: Played) -> None:
    (measured_s,) = re.findall(r"measured: (\S+) seconds", with_us.run.stdout)
    (sum_s,) = re.findall(r"sum of the parts: (\S+) seconds", with_us.run.stdout)
    assert 0 < float(sum_s) <= float(measured_s) - TOOL_S
    job = with_us.results["total-latency"]["job"]
    ours = [
        span.attributes["lk.e2e_latency"]
        for span in with_us.run.spans
        if span.attributes["session.id"] == job and "lk.e2e_latency" in span.attributes
    ]
    assert ours == [pytest.approx(float(measured_s))]


def test_a_hook_is_given_the_calls_summary(with_us: Played) -> None:
    """Its numbers are those of the root span; what was said is not in it."""
    (said,) = re.findall(r"^summary: (.*)$", with_us.run.stdout, re.MULTILINE)
    summary, root = json.loads(said), with_us.root("session-report")
    assert summary["call_id"] == with_us.results["session-report"]["job"]
    assert (summary["outcome"], summary["user_turns"]) == ("inquiry", 1)
    assert summary["duration_s"] == pytest.approx(root["agent.session.duration"])
    assert summary["cost_dollars"] == pytest.approx(root["agent.cost.dollars"])
    assert [tool["name"] for tool in summary["tools"]] == ["look_up"]
    assert "it is me" not in said


def test_the_cost_of_a_call_is_the_cost_trackers(with_us: Played) -> None:
    tracked = with_us.counted("cost-tracker")["agent_session_cost_dollars_sum dental-receptionist"]
    assert with_us.root("cost-tracker")["agent.cost.dollars"] == pytest.approx(tracked, abs=1e-9)
    assert with_us.total("agent_session_cost_dollars_count") == len(WITH_US)
    assert with_us.total("agent_unpriced_usage_total") == 0
