# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Data hooks in real job processes: what they are given, and what those that go wrong cost."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from integration.hook_calls import CONTENT, SAID, HookRecords, take_calls
from integration.speech_calls import take_calls as take_speech_calls
from kit.stages import AGREEMENT_S, drawn_stages, every_stage, received_record

ROOMS = ("plain-1", "tools-1", "tools-2", "killed-1", "sessionless-1", "tools-3")


@pytest.fixture(
    scope="module",
    params=[("line", "process"), ("command", "process"), ("line", "thread")],
    ids=" ".join,
)
def calls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HookRecords:
    """Six calls in code and zero-code, and in one process."""
    entry_point, executor = request.param
    rooms = ROOMS if executor == "process" else tuple(r for r in ROOMS if r != "killed-1")
    return take_calls(
        tmp_path_factory.mktemp("hooks"),
        rooms,
        {"EXECUTOR": executor},
        by_command=entry_point == "command",
    )


def test_hooks_see_each_call_in_order(calls: HookRecords) -> None:
    """Start, turns and tools as they happened, the end; sync ones on a thread of their own."""
    with_tools = [s for s in calls.summaries if s["tools"]]
    assert len(with_tools) == 3
    for summary in with_tools:
        records = calls.of(summary["call_id"])
        assert [record["hook"] for record in records] == [
            "on_call_start",
            "on_turn",
            "on_turn",
            "on_tool",
            "on_tool",
            "on_turn",
            "on_call_end",
        ]
        turns = [record for record in records if record["hook"] == "on_turn"]
        assert [(turn["speaker"], turn["index"]) for turn in turns] == [
            ("agent", 0),
            ("user", 1),
            ("agent", 1),
        ]
        assert all(turn["thread"].startswith("callspan-hook-") for turn in turns)
        tools = {record["name"]: record for record in records if record["hook"] == "on_tool"}
        assert tools["look_up"]["status"] == "success"
        assert tools["book"]["status"] == "error"
        assert tools["book"]["turn"] == 1
        assert tools["book"]["duration_s"] > 0
        # the summary has the very same
        for of_summary, of_hook in zip(summary["turns"], turns, strict=True):
            assert of_summary.items() <= of_hook.items()


def test_the_summary_is_final_and_whole(calls: HookRecords) -> None:
    """It knows what the shutdown callbacks still said."""
    summary = next(s for s in calls.summaries if s["tools"])
    assert summary["outcome"] == "booking"
    assert summary["labels"] == {"intent": "billing"}
    assert summary["user_id"] == "caller-1"
    assert summary["feedback"] == {"csat": 4.0}
    assert summary["conversions"] == [{"name": "bookings", "values": {"EUR": 120.0}}]
    assert summary["close_reason"] == "user_initiated"
    assert summary["user_turns"] == 1
    assert summary["kind"] == "production"
    assert summary["agent_name"] == "receptionist"
    assert re.fullmatch("[0-9a-f]{32}", summary["trace_id"])
    [llm] = [used for used in summary["usage"] if used["component"] == "llm"]
    assert llm["model"].startswith("gpt-4o-mini")
    assert llm["usage"]["requests"] == 2
    [start] = [r for r in calls.of(summary["call_id"]) if r["hook"] == "on_call_start"]
    assert start["trace_id"] == summary["trace_id"]
    root = next(
        span
        for span in calls.run.spans
        if span.trace_id == summary["trace_id"] and not span.parent_span_id
    )
    assert root.attributes["session.id"] == summary["call_id"]
    assert root.attributes["agent.outcome"] == "booking"


def test_summaries_add_up_to_what_is_counted(calls: HookRecords) -> None:
    """Outcomes, durations, money, conversions; a killed process is counted and tells nobody."""
    summaries = calls.summaries
    assert len(summaries) == 4
    for outcome in ("booking", "completed"):
        of_outcome = [s for s in summaries if s["outcome"] == outcome]
        assert calls.counted("agent_sessions_total", outcome=outcome) == len(of_outcome)
        assert calls.counted(
            "agent_session_duration_seconds_sum", outcome=outcome
        ) == pytest.approx(sum(s["duration_s"] for s in of_outcome), abs=1e-9)
    costs = [s["cost_dollars"] for s in summaries]
    assert calls.counted("agent_session_cost_dollars_sum") == pytest.approx(sum(costs), abs=1e-9)
    assert max(costs) > 0
    for summary in summaries:
        assert sum(cost["dollars"] for cost in summary["costs"]) == pytest.approx(
            summary["cost_dollars"], abs=1e-12
        )
    assert calls.counted("agent_bookings_total") == 3
    assert calls.counted("agent_conversion_value_total", currency="EUR") == 360
    assert calls.counted("agent_session_turns_sum") == sum(s["user_turns"] for s in summaries)
    killed = {r["call_id"] for r in calls.records} - {s["call_id"] for s in summaries}
    assert len(killed) == calls.counted("agent_sessions_total", outcome="crashed")
    for call_id in killed:
        # what had happened had reached the hooks
        assert [r["hook"] for r in calls.of(call_id)] == ["on_call_start", "on_turn", "on_turn"]


def test_hooks_get_no_content_unless_it_is_captured(calls: HookRecords) -> None:
    """Neither what was said nor what went through tools is in any record."""
    for record in calls.records:
        for word in SAID:
            assert word not in json.dumps(record), word


def test_hooks_get_content_where_it_is_captured(tmp_path: Path) -> None:
    """With any value of the standard variable that is not off."""
    calls = take_calls(tmp_path, ("tools-1",), CONTENT)
    [summary] = calls.summaries
    assert [turn["text"] for turn in summary["turns"]] == [
        "Hello from Zanzibar.",
        "tools",
        "Goodbye.",
    ]
    tools = {tool["name"]: tool for tool in summary["tools"]}
    assert json.loads(tools["look_up"]["arguments"]) == {"name": "Marmaduke"}
    assert tools["look_up"]["output"] == "a patient from Timbuktu"
    assert tools["look_up"]["tool_call_id"]


@pytest.mark.parametrize(
    "variables",
    [pytest.param({}, id="process"), pytest.param({"EXECUTOR": "thread"}, id="thread")],
)
def test_a_hook_that_hangs_or_raises_costs_a_line_and_nothing_else(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    """Hanging on a thread, hanging and deaf to its cancellation, raising, leaving: all at once."""
    rooms = ("tools-1", "tools-2", "tools-3", "tools-4")
    calls = take_calls(
        tmp_path,
        rooms,
        {
            "FAULTY": "hang,hang_async,raise,raise_async,exit",
            # the start, three turns and two tools: the good hooks have them while it goes on
            "HELD": "6",
            # which a good hook does not take, on a machine whose cores are all taken
            "CALLSPAN_HOOK_TIMEOUT": "5",
            "CALLSPAN_FLUSH_TIMEOUT": "8",
            **variables,
        },
    )
    assert calls.run.calls_ended == 4
    # the good ones got everything
    assert len(calls.summaries) == 4
    for summary in calls.summaries:
        assert len(calls.of(summary["call_id"])) == 7
    assert "killing process" not in calls.run.stderr
    processes = 1 if variables else 4
    logged = calls.run.logged("ERROR")
    for name, what in (
        ("hang", "did not return within 5 s; it is not called again in this call, the others are"),
        ("hang_async", "did not return within 5 s; it is not called again in this call, the"),
        ("fail", "raised LookupError; the call goes on"),
        ("fail_async", "raised LookupError; the call goes on"),
        ("leave", "raised SystemExit; the call goes on"),
    ):
        about = [line for line in logged if re.match(rf"hook \S+\.{name} ", line)]
        assert len(about) == processes, (name, logged)
        assert all(what in line for line in about)
    assert calls.counted("agent_sessions_total", outcome="booking") == 4


def test_a_hook_that_hangs_at_the_end_delays_it_by_the_flush_at_most(tmp_path: Path) -> None:
    """With a hook timeout that is longer: the good hook has its summary, the job ends in time."""
    calls = take_calls(
        tmp_path,
        ("plain-1", "plain-2"),
        {
            "FAULTY": "hang_at_end",
            "CALLSPAN_HOOK_TIMEOUT": "8",
            "CALLSPAN_FLUSH_TIMEOUT": "1",
        },
    )
    assert len(calls.summaries) == 2
    late = [line for line in calls.run.logged("ERROR") if "did not return within 0.9 s" in line]
    assert len(late) == 4  # two hooks, two processes
    assert not [line for line in calls.run.logged("WARNING") if "hooks of call" in line]
    assert calls.run.calls_ended == 2
    assert "killing process" not in calls.run.stderr


def test_latencies_are_those_of_the_spans(tmp_path: Path) -> None:
    """Real speech: each answer's latency, its stages, what was interrupted, who spoke how long."""
    rooms = ("call-books", "call-interrupts")
    calls = take_speech_calls(tmp_path, "speech_call_end_hook", rooms)
    lines = [line for line in calls.log.splitlines() if line.startswith("SUMMARY ")]
    summaries = {
        calls.rooms[summary["call_id"]]: summary
        for summary in (json.loads(line.removeprefix("SUMMARY ")) for line in lines)
    }
    assert summaries.keys() == set(rooms)
    for room, summary in summaries.items():
        measured = [turn for turn in summary["turns"] if turn["latency_s"] is not None]
        assert {turn["latency_source"] for turn in measured} == {"measured"}
        assert {turn["speaker"] for turn in measured} == {"agent"}
        of_spans = [
            span.attributes["lk.e2e_latency"]
            for span in sorted(calls.of(room), key=lambda span: span.start_ns)
            if "lk.e2e_latency" in span.attributes
        ]
        assert [turn["latency_s"] for turn in measured] == pytest.approx(of_spans, abs=1e-9)
        assert len(measured) >= 2
        for turn in measured:
            assert sum(turn["stages_s"].values()) == pytest.approx(turn["latency_s"], abs=1e-6)
        # the picture of the call says the same
        assert drawn_stages(map(received_record, calls.of(room))) == [
            pytest.approx(every_stage(turn["stages_s"]), abs=AGREEMENT_S) for turn in measured
        ]
        users = [turn for turn in summary["turns"] if turn["speaker"] == "user"]
        assert [turn["index"] for turn in users] == list(range(1, summary["user_turns"] + 1))
        assert all(turn["timings_s"]["end_of_turn_delay"] > 0 for turn in users)
        assert all(turn["started_at"] < turn["ended_at"] <= turn["at"] for turn in users)
        assert summary["first_response_s"] > 0
        assert summary["speech_s"].keys() == {"user", "agent"}
        assert {used["component"] for used in summary["usage"]} >= {"llm", "stt", "tts", "vad"}
        assert summary["close_reason"] == "participant_disconnected"
    kinds = [each["kind"] for each in summaries["call-interrupts"]["interruptions"]]
    assert kinds.count("barge_in") == 1
    assert any(turn["interrupted"] for turn in summaries["call-interrupts"]["turns"])


def test_a_clock_that_is_set_back_changes_no_duration(tmp_path: Path) -> None:
    """Real speech, and an hour that goes back in the middle of it: every sum is what it took."""
    since = time.monotonic()
    calls = take_speech_calls(
        tmp_path,
        "speech_clock_set_back",
        ("call-books",),
        # where the first process's clock is ours before livekit-agents is imported
        START_METHOD="spawn",
        OTEL_METRICS_EXPORTER="console",
    )
    took_s = time.monotonic() - since
    [line] = [each for each in calls.log.splitlines() if each.startswith("SUMMARY ")]
    summary = json.loads(line.removeprefix("SUMMARY "))
    assert summary["ended_at"] < summary["started_at"]
    assert summary["user_turns"] >= 2
    counted = exported_metrics(calls.log)
    assert counted["agent.session.duration"] == [summary["duration_s"]]
    assert counted.keys() >= {
        *("agent.speech.duration", "agent.tool_call.duration", "agent.turn.stage.duration"),
        *("agent.turn.latency", "agent.first_response.latency", "agent.session.llm_duration"),
    }
    durations = [summary["duration_s"], summary["first_response_s"], *summary["speech_s"].values()]
    durations += [tool["duration_s"] for tool in summary["tools"]]
    durations += [s for turn in summary["turns"] for s in turn["stages_s"].values()]
    durations += [each for sums in counted.values() for each in sums]
    assert all(0 <= each < took_s for each in durations), (durations, took_s)


def exported_metrics(log: str) -> dict[str, list[float]]:
    """Return the sums of our metrics in seconds that a worker printed last, by their names."""
    printed = json.JSONDecoder().raw_decode(log[log.rindex('{\n    "resource_metrics"') :])[0]
    return {
        metric["name"]: [
            point["sum"] if "sum" in point else point["value"]
            for point in metric["data"]["data_points"]
        ]
        for resource in printed["resource_metrics"]
        for scope in resource["scope_metrics"]
        for metric in scope["metrics"]
        if metric["name"].startswith("agent.") and metric["unit"] == "s"
    }


def test_hooks_are_waited_for_where_the_flush_is_left_out(tmp_path: Path) -> None:
    """The end of a call has nothing else to wait for then, and nothing to say of spans."""
    variables = {"CALLSPAN_DISABLED_PARTS": "flush"}
    calls = take_calls(tmp_path, ("plain-1", "plain-2"), variables)
    assert len(calls.summaries) == 2
    assert [line for line in calls.run.logged("WARNING") if "did not get to" in line] == []
