# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The end of a call: nothing lost with a healthy backend, no waiting with a sick one."""

from __future__ import annotations

import re

import pytest

from kit.scrape import sent_totals
from kit.workers import Run, assert_whole, run_agent
from offline.receiver import Mode

CALLS = 4
TIMEOUT_S = 2
"""What the end of a call waits at most, unless it is told otherwise."""
ROOM_S = 3
"""What a busy machine may be late; without a bound of ours an end takes ten seconds and more."""


def _endings(run: Run) -> list[float]:
    """Return, for each job process, the seconds from the end of its root span to its own."""
    ended = dict(re.findall(r"ROOT ENDED (\d+) ([\d.]+)", run.stdout))
    gone = dict(re.findall(r"GONE (\d+) ([\d.]+)", run.stdout))
    assert len(ended) == CALLS
    return [float(gone[pid]) - float(at) for pid, at in ended.items()]


def _run(mode: Mode, **variables: str) -> Run:
    return run_agent(
        "job_end_log",
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}",
            "OTEL_METRICS_EXPORTER": "none",
            "CALLS": str(CALLS),
            **variables,
        },
        mode=mode,
        protocol="grpc" if variables.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc" else "http",
    )


def test_with_a_healthy_backend_nothing_is_lost_and_nothing_is_said() -> None:
    """Four calls, four whole traces, not one word of loss."""
    run = _run("ok")
    assert_whole(run.spans, calls=CALLS)
    assert [line for line in run.logged("WARNING") if "did not get to" in line] == []
    assert max(_endings(run)) < TIMEOUT_S + ROOM_S


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("mode", ["hang", "refuse", "503"])
def test_with_a_sick_backend_each_job_ends_in_time_and_says_what_it_lost(
    mode: Mode, protocol: str
) -> None:
    """Two seconds after its root span; one line per call, with the count."""
    run = _run(mode, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    assert run.calls_ended == CALLS
    assert max(_endings(run)) < TIMEOUT_S + ROOM_S
    lost = [
        re.match(r"(\d+) of (\d+) spans of call (\S+) did not get to otlp\(", line)
        for line in run.logged("WARNING")
        if "did not get to" in line
    ]
    assert len(lost) == CALLS
    assert len({match[3] for match in lost if match}) == CALLS
    for match in lost:
        assert match is not None
        assert int(match[1]) == int(match[2]) > 0


def test_the_wait_can_be_set() -> None:
    """A tenth of a second leaves a busy machine room to be late, and is not the default."""
    run = _run("hang", CALLSPAN_FLUSH_TIMEOUT="0.1")
    assert min(_endings(run)) < TIMEOUT_S
    assert any("within 0.1 s of its end" in line for line in run.logged("WARNING"))


@pytest.mark.parametrize("mode", ["ok", "hang"])
def test_nothing_of_ours_touches_a_socket_or_a_file_on_the_loop(mode: Mode) -> None:
    """Exporters work on threads of their own, whatever the backend does."""
    run = _run(mode, WATCH="1")
    assert run.stdout.count("WATCHING") == CALLS
    assert [line for line in run.stdout.splitlines() if line.startswith("ON THE LOOP")] == []


def test_a_callback_of_the_application_that_hangs_holds_up_no_end() -> None:
    """What is our own leaves before it: each call is counted by its outcome, and ends in time."""
    run = _run("ok", HANGING_CALLBACK="1", OTEL_METRICS_EXPORTER="otlp")

    assert run.stdout.count("CALLBACK HANGS") == CALLS
    assert_whole(run.spans, calls=CALLS)
    assert max(_endings(run)) < TIMEOUT_S + ROOM_S
    sessions = {
        dict(labels)["outcome"]: count
        for (name, labels), count in sent_totals(run.pushes[-1]).items()
        if name == "agent_sessions_total"
    }
    assert (sessions["completed"], sessions["crashed"]) == (CALLS, 0)
