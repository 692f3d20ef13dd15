# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Off means off: altogether, part by part, and again after it was on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest

from kit.workers import Run, assert_whole, run_agent, run_side_by_side

_ENDPOINT = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}
_VARIABLE = "CALLSPAN_DISABLED_PARTS"
_WRAPPED = {
    "livekit.agents.worker.AgentServer.run",
    "livekit.agents.ipc.job_proc_lazy_main._JobProc._run_job_task",
    "livekit.agents.voice.agent_session.AgentSession.start",
    "livekit.api.sip_service.SipService.transfer_sip_participant",
    "opentelemetry.trace.set_tracer_provider",
}
"""Some of what is replaced while we are on."""


def _identities(
    steps: str, variables: Mapping[str, str] | None = None, *, by_command: bool = False
) -> dict[str, Any]:
    run = run_agent(
        "patched_objects",
        {**_ENDPOINT, "EXECUTOR": "thread", "STEPS": steps, **(variables or {})},
        by_command=by_command,
    )
    identities: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    assert ("call" in steps) == bool(run.calls_ended)
    return {**identities, "spans": len(run.spans)}


# --- altogether --------------------------------------------------------------------------------


_SDK = {"OTEL_SDK_DISABLED": "true"}
_INSTRUMENTATION = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "requests, livekit_agents"}


@pytest.mark.parametrize(
    ("variables", "steps", "by_command"),
    [
        pytest.param(_SDK, "instrument,call", False, id="SDK, line"),
        pytest.param(_SDK, "call", True, id="SDK, command"),
        pytest.param(_INSTRUMENTATION, "instrument,instrumentor,call", False, id="ours, line"),
        pytest.param(_INSTRUMENTATION, "call", True, id="ours, command"),
    ],
)
def test_standard_switch_leaves_livekit_untouched(
    variables: dict[str, str], steps: str, by_command: bool
) -> None:
    """Every function of livekit is the object it was, also after a call; we send nothing."""
    identities = _identities(steps, variables, by_command=by_command)

    assert identities["changed"] == []
    assert identities["wrapped"] == []
    assert identities["provider kept"]
    if not by_command:  # whose own provider sends what it gets, without us
        assert identities["spans"] == 0
        assert identities["global provider"] == "ProxyTracerProvider"


# --- on and off again --------------------------------------------------------------------------


@pytest.mark.parametrize("steps", ["instrument,uninstrument", "instrument,call,uninstrument"])
def test_uninstrument_puts_every_object_back(steps: str) -> None:
    """Also after a call has run; LiveKit's tracer has its provider back, too."""
    identities = _identities(steps)

    assert set(identities["wrapped"]) >= _WRAPPED
    assert identities["changed"] == []
    assert identities["provider kept"]


def test_uninstrument_leaves_no_thread() -> None:
    """However often: a test suite of the application's does it in each of its tests."""
    log_events = {"CALLSPAN_SESSION_REPORT": "summary"}
    identities = _identities(",".join(["instrument,call,uninstrument"] * 3), log_events)

    assert identities["threads left"] == []


@pytest.mark.parametrize(
    ("steps", "wraps"),
    [
        ("workflows,instrument,uninstrument", True),
        ("instrument,workflows,uninstrument", True),
        ("instrument,uninstrument,workflows", False),
        ("instrument,uninstrument,instrument,workflows,uninstrument", True),
    ],
)
def test_what_livekit_imports_late_is_put_back(steps: str, wraps: bool) -> None:
    """Warm transfers are observed where they are used, while we are on, and no longer."""
    identities = _identities(steps)

    warm = "livekit.agents.beta.workflows.warm_transfer.WarmTransferTask._merge_calls"
    assert (warm in identities["wrapped"]) == wraps
    assert identities["left wrapped"] == []
    assert identities["wrapped twice"] == []


def test_uninstrument_undoes_the_command() -> None:
    """What the command instrumented is taken back by a line of code."""
    identities = _identities("call,uninstrument", by_command=True)

    assert set(identities["wrapped"]) >= _WRAPPED
    assert set(identities["wrapped"]) == set(identities["changed"])
    assert identities["spans"] > 0


def test_uninstrument_leaves_a_provider_that_the_application_set_since() -> None:
    """It takes back what it did, not what others did after it."""
    assert _identities("instrument,call,own,uninstrument")["provider kept"]


def test_instrumenting_twice_wraps_once() -> None:
    """By the same entry point or by both."""
    once = _identities("instrument")
    twice = _identities("instrument,instrument,instrumentor")

    assert set(once["changed"]) == set(once["wrapped"]) >= _WRAPPED
    assert twice["wrapped"] == once["wrapped"]
    assert twice["wrapped twice"] == []


def test_instrumenting_again_delivers_again() -> None:
    """A second life of it sends the second call, as the first one did the first."""
    off_at_last = _identities("instrument,call,uninstrument")
    on_again = _identities("instrument,call,uninstrument,instrument,call")

    assert on_again["spans"] == 2 * off_at_last["spans"] > 0


def test_instrumentor_waits_for_livekit_to_be_imported() -> None:
    """It costs nothing before that, and misses nothing after it."""
    run = run_agent("instrument_before_livekit", _ENDPOINT)

    assert "before livekit: True" in run.stdout
    assert run.calls_ended == 1
    assert_whole(run.spans)


# --- part by part ------------------------------------------------------------------------------

_SWITCHES = {
    "line, argument": ("module", "PARTS"),
    "line under main, argument": ("main", "PARTS"),
    "line, variable": ("module", _VARIABLE),
    "command, variable": ("none", _VARIABLE),
}
_CASES = [
    *(("attributes", switch) for switch in _SWITCHES),
    ("interruptions", "line, variable"),
    ("interruptions", "line under main, argument"),
    ("flush", "line, argument"),
    ("flush", "command, variable"),
]


@pytest.fixture(scope="module")
def without() -> dict[str, Future[Run]]:
    """Calls without a part, by the part and the switch that turned it off."""

    def run_without(part: str, switch: str) -> Run:
        where, name = _SWITCHES[switch]
        variables = {**_ENDPOINT, "WHERE": where, name: part}
        return run_agent("switched_off_parts", variables, by_command=where == "none")

    return run_side_by_side(
        {
            f"{part} by {switch}": partial(run_without, part, switch)
            for part, switch in [("", "line, argument"), *_CASES]
        }
    )


def _switches_for(part: str) -> list[str]:
    return [switch for other, switch in _CASES if other == part]


def _interruptions(run: Run) -> list[str]:
    return [name for span in run.spans for name, _, _ in span.events if name == "interruption"]


def _identified(run: Run) -> set[bool]:
    return {"session.id" in span.attributes for span in run.spans}


def test_all_parts_are_on_unless_turned_off(without: dict[str, Future[Run]]) -> None:
    """What the tests below look for is there."""
    run = without[" by line, argument"].result()

    assert_whole(run.spans)
    assert _interruptions(run) == ["interruption"]
    assert _identified(run) == {True}


@pytest.mark.parametrize("switch", _switches_for("attributes"))
def test_attributes_can_be_turned_off(switch: str, without: dict[str, Future[Run]]) -> None:
    """No attribute of ours on any span; the rest works."""
    run = without[f"attributes by {switch}"].result()

    assert_whole(run.spans)
    assert _identified(run) == {False}
    assert not [name for span in run.spans for name in span.attributes if name.startswith("agent.")]
    assert _interruptions(run) == ["interruption"]


@pytest.mark.parametrize("switch", _switches_for("interruptions"))
def test_interruptions_can_be_turned_off(switch: str, without: dict[str, Future[Run]]) -> None:
    """No event of ours on the agent's turn; the rest works."""
    run = without[f"interruptions by {switch}"].result()

    assert_whole(run.spans)
    assert _interruptions(run) == []
    assert _identified(run) == {True}


@pytest.mark.parametrize("switch", _switches_for("flush"))
def test_flush_can_be_turned_off(switch: str, without: dict[str, Future[Run]]) -> None:
    """Then the end of a call waits for nothing, and what is not yet sent is left to others."""
    run = without[f"flush by {switch}"].result()

    assert run.calls_ended == 1
    assert run.spans == []
    assert run.logged("WARNING") == []
    assert run.logged("ERROR") == []
