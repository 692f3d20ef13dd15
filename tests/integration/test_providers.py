# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Whose provider is used, where the line may stand, and that in code and zero-code do the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial

import pytest

from kit.workers import (
    SAID,
    Protocol,
    Run,
    assert_whole,
    names,
    run_agent,
    run_in_code_and_zero_code,
    run_side_by_side,
)
from offline.received import ReceivedSpan

_ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}"}
_TRACES = ("/v1/traces", "TraceService/Export")
_METRICS = ("/v1/metrics", "MetricsService/Export")
_BY_HTTP = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_LOGS_EXPORTER": "none"}
_ONLY_TRACES = {**_BY_HTTP, "OTEL_METRICS_EXPORTER": "none"}
_MOVE_IT = "a TracerProvider was set after this process was ready for calls"


@pytest.fixture(scope="module")
def reference() -> Counter[str]:
    """The spans of one call, as LiveKit makes them."""
    run = run_agent("livekit_alone", {})
    assert_whole(run.own_spans)
    return names(run.own_spans)


def _assert_complete(spans: list[ReceivedSpan], expected: Counter[str], *, calls: int = 1) -> None:
    assert_whole(spans, calls=calls)
    assert names(spans) == Counter({name: count * calls for name, count in expected.items()})


# --- the application's own provider ------------------------------------------------------------


_OWN = [
    "global_provider_before",
    "global_provider_after",
    "provider_as_argument",
    "livekit_provider_in_setup",
]


@pytest.fixture(scope="module")
def own() -> dict[str, Future[Run]]:
    """A call of each agent that sets a provider of its own before its calls."""
    variables = {**_ENDPOINT, "OTEL_METRICS_EXPORTER": "none"}
    return run_side_by_side({agent: partial(run_agent, agent, variables) for agent in _OWN})


@pytest.mark.parametrize("agent", _OWN)
def test_own_provider_is_used_in_place_of_ours(
    agent: str, own: dict[str, Future[Run]], reference: Counter[str]
) -> None:
    """The application's exporter gets the whole trace; nothing is sent a second time."""
    run = own[agent].result()

    _assert_complete(run.own_spans, reference)
    assert run.requests == []
    assert {span.resource["service.name"] for span in run.own_spans} == {"own"}
    assert {span.attributes["agent.name"] for span in run.own_spans} == {"receptionist"}
    (startup_line,) = run.logged()
    if agent != "livekit_provider_in_setup":  # which the worker itself cannot know of
        assert (
            "traces: your own TracerProvider, which exports content by its own policy; "
            "metrics: none; content: off" in startup_line
        )


def test_own_provider_passed_where_no_job_process_comes_is_pointed_out() -> None:
    """A provider cannot travel to a job process: the worker says so, and where to pass it."""
    run = run_agent("provider_as_argument_under_main", _ENDPOINT)

    (line,) = (line for line in run.stderr.splitlines() if "tracer_provider=" in line)
    assert "only the worker's main process gets to see it" in line
    assert "call instrument() at the top of agent.py" in line
    assert run.calls_ended == 1


@pytest.fixture(scope="module")
def late() -> dict[str, Future[Run]]:
    """Calls of agents that set a provider of their own in the entrypoint."""
    threads = {**_ENDPOINT, "EXECUTOR": "thread", "CALLS": "2"}
    return run_side_by_side(
        {
            "livekit_provider_in_entrypoint": partial(
                run_agent, "livekit_provider_in_entrypoint", _ENDPOINT
            ),
            "global_provider_in_entrypoint": partial(
                run_agent, "global_provider_in_entrypoint", _ENDPOINT
            ),
            "alone": partial(
                run_agent, "livekit_provider_in_entrypoint", {"OTEL_METRICS_EXPORTER": "none"}
            ),
            "threads": partial(run_agent, "livekit_provider_in_entrypoint", threads),
        }
    )


@pytest.fixture
def with_callback(reference: Counter[str]) -> Counter[str]:
    """The spans of one call that flushes in a shutdown callback of its own."""
    return reference + Counter({"shutdown_callback": 1})


@pytest.mark.parametrize(
    "agent", ["livekit_provider_in_entrypoint", "global_provider_in_entrypoint"]
)
def test_late_provider_gets_the_whole_trace(
    agent: str, late: dict[str, Future[Run]], with_callback: Counter[str]
) -> None:
    """A provider set in the entrypoint gets all of the call, and so does the named endpoint."""
    run = late[agent].result()

    _assert_complete(run.own_spans, with_callback)
    _assert_complete(run.spans, with_callback)
    (warning,) = run.logged("WARNING")
    assert warning.startswith(_MOVE_IT)
    assert "Set it at the top of agent.py, outside of the entrypoint" in warning
    assert run.logged("ERROR") == []


@pytest.mark.parametrize(
    "agent", ["livekit_provider_in_entrypoint", "global_provider_in_entrypoint"]
)
def test_late_provider_keeps_its_policy_and_its_service(
    agent: str, late: dict[str, Future[Run]]
) -> None:
    """All of the call is the application's service there, with content; ours stays without."""
    run = late[agent].result()

    own = {span.name: span for span in run.own_spans}
    assert SAID in str(own["agent_turn"].attributes)
    assert own["job_entrypoint"].attributes["lk.pii.room_name"]
    assert {span.resource["service.name"] for span in run.own_spans} == {"own"}
    assert SAID not in str(run.spans)
    assert not [span.name for span in run.spans if "lk.pii.room_name" in span.attributes]


def test_late_provider_is_alone_where_no_destination_is_named(
    late: dict[str, Future[Run]], with_callback: Counter[str]
) -> None:
    """Without a destination in the variables, the default one gives way, and says nothing."""
    run = late["alone"].result()

    _assert_complete(run.own_spans, with_callback)
    assert len([line for line in run.logged("WARNING") if line.startswith(_MOVE_IT)]) == 1
    assert not [line for line in run.logged() if "did not get to" in line]


def test_late_providers_of_calls_in_one_process_get_each_span_once(
    late: dict[str, Future[Run]], with_callback: Counter[str]
) -> None:
    """In the thread executor each entrypoint sets a provider, while other calls are running."""
    run = late["threads"].result()

    _assert_complete(run.spans, with_callback, calls=2)
    _assert_complete(run.own_spans, with_callback, calls=2)


# --- where the line stands ---------------------------------------------------------------------


_PLACES = {
    "at the top": ("instrument_at_import", False),
    "in the setup function": ("instrument_in_setup", False),
    "under main": ("instrument_under_main", False),
    "twice": ("instrument_twice", False),
    "beside the command": ("instrument_at_import", True),
    "the command alone": ("zero_code", True),
}


@pytest.fixture(scope="module")
def places() -> dict[str, Future[Run]]:
    """Two calls at once, for each place that the line can stand in."""
    variables = {**_ENDPOINT, **_ONLY_TRACES, "CALLS": "2"}
    return run_side_by_side(
        {
            place: partial(run_agent, agent, variables, by_command=by_command)
            for place, (agent, by_command) in _PLACES.items()
        }
    )


@pytest.mark.parametrize("place", _PLACES)
def test_trace_is_whole_wherever_the_line_stands(
    place: str, places: dict[str, Future[Run]], reference: Counter[str]
) -> None:
    """Each call is one whole trace that arrives once."""
    run = places[place].result()

    assert run.calls_ended == 2
    _assert_complete(run.spans, reference, calls=2)
    assert run.logged("ERROR") == []


# --- in code and zero-code ---------------------------------------------------------------------


def _sent(run: Run) -> dict[str, object]:
    """What the two ways are compared by; a path is a gRPC method where that is the protocol."""
    described = ("service.name", "deployment.environment.name", "host.name")
    return {
        "paths": {request.path for request in run.requests},
        "headers": {request.headers.get("x-tenant") for request in run.requests},
        "spans": names(run.spans),
        "resources": {tuple(span.resource.get(name) for name in described) for span in run.spans},
    }


@pytest.mark.parametrize(
    ("variables", "protocol"),
    [
        pytest.param({}, "http", id="protocol unset"),
        pytest.param({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "http", id="http"),
        pytest.param({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc", id="grpc"),
    ],
)
def test_in_code_and_zero_code_send_the_same_to_the_same_place(
    variables: Mapping[str, str], protocol: Protocol, reference: Counter[str]
) -> None:
    """The same variables give the same protocol, path, headers, resource, spans and metrics."""
    line, command = run_in_code_and_zero_code(
        {
            **_ENDPOINT,
            **variables,
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=acme%20dental",
            "OTEL_SERVICE_NAME": "receptionist",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,host.name=front-desk",
        },
        protocol=protocol,
    )

    for run in (line, command):
        _assert_complete(run.spans, reference)
        assert run.requests_to(*_METRICS)
        assert run.logged("WARNING") == []
        assert run.logged("ERROR") == []
    sent = _sent(line)
    assert sent == _sent(command)
    assert sent["headers"] == {"acme dental"}
    assert sent["resources"] == {("receptionist", "test", "front-desk")}
    if protocol == "http":
        assert sent["paths"] == {"/v1/traces", "/v1/metrics"}


def test_both_batch_and_list_and_address_as_the_variables_say(reference: Counter[str]) -> None:
    """Each span once to each exporter of a list, in batches of one, at the signal's own address."""
    for run in run_in_code_and_zero_code(
        {
            **_ONLY_TRACES,
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "{endpoint}/v1/traces",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1",
            "OTEL_TRACES_EXPORTER": "console,otlp",
            "OTEL_TRACES_SAMPLER": "traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "1",
        }
    ):
        _assert_complete(run.spans, reference)
        assert {request.path for request in run.requests} == {"/v1/traces"}
        assert len(run.requests) == len(run.spans)
        for name, count in reference.items():
            assert run.stdout.count(f'"name": "{name}"') == count


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"OTEL_TRACES_SAMPLER": "always_off"}, id="always_off"),
        pytest.param(
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"},
            id="traceidratio",
        ),
        pytest.param({"OTEL_TRACES_EXPORTER": "none"}, id="no exporter"),
    ],
)
def test_both_send_no_trace_where_the_variables_say_so(variables: Mapping[str, str]) -> None:
    """Nothing of a trace that is not sampled or has no exporter; metrics do not depend on it."""
    executor = {"EXECUTOR": "thread"}
    for run in run_in_code_and_zero_code({**_ENDPOINT, **_BY_HTTP, **executor, **variables}):
        assert run.calls_ended == 1
        assert run.requests_to(*_TRACES) == []
        assert run.requests_to(*_METRICS)
        assert run.logged("WARNING") == []
        assert run.logged("ERROR") == []
