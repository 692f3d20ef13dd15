# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""docs/backends.md, followed word by word: what each section has the reader set, and what it says.

The blocks are taken off the page; only hosts and the dots in keys are filled in, with a stand-in
that refuses what the backend documents to refuse. A real worker takes a call with them, in
code and zero-code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kit.otlp_backend import OtlpBackend
from kit.workers import Run, assert_whole, run_agent
from offline.receiver import OtlpReceiver

PAGE = (Path(__file__).parents[2] / "docs" / "backends.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
FILLED_IN = "0123"
"""What stands for the dots of a key on the page."""


def exported(section: str) -> dict[str, str]:
    """The variables that a section has the reader export, in its own words."""
    blocks = re.findall(r"```console\n(.*?)```", SECTIONS[section], re.DOTALL)
    lines = re.findall(r"^\s*export (.*?)(?:\s+#.*)?$", "\n".join(blocks), re.MULTILINE)
    variables = {}
    for line in lines:
        for name, value in re.findall(r"(\w+)=(\S+)", line):
            variables[name] = value.replace("…", FILLED_IN)
    assert variables
    return variables


def at(origin: str, variables: dict[str, str]) -> dict[str, str]:
    """The variables with every address at a stand-in; paths stay."""
    return {name: re.sub(r"https?://[^/\s]+", origin, value) for name, value in variables.items()}


def a_call(variables: dict[str, str], *, by_command: bool) -> Run:
    """One call of a worker that was set up like this, and no complaint about it."""
    agent = "zero_code" if by_command else "instrument_at_import"
    run = run_agent(agent, variables, by_command=by_command)
    assert run.calls_ended == 1
    assert run.logged("ERROR") == []
    assert run.logged("WARNING") == []
    return run


def sessions_in(backend: OtlpBackend) -> float:
    """How many calls the last metrics count."""
    return sum(
        point.as_int
        for resource_metrics in backend.metrics[-1].resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
        if metric.name == "agent.sessions"
        for point in metric.sum.data_points
    )


@pytest.fixture
def langfuse() -> Iterator[OtlpBackend]:
    """Langfuse's address, as it documents it."""
    keys = exported("Langfuse")
    public, secret = keys["LANGFUSE_PUBLIC_KEY"], keys["LANGFUSE_SECRET_KEY"]
    version = {"x-langfuse-ingestion-version": "4"}
    with OtlpBackend("/api/public/otel", public, secret, version) as backend:
        yield backend


@pytest.fixture
def grafana_cloud() -> Iterator[OtlpBackend]:
    """Grafana Cloud's gateway, as it documents it; it takes cumulative metrics only."""
    keys = exported("Grafana Cloud")
    user, key = keys["GRAFANA_CLOUD_INSTANCE_ID"], keys["GRAFANA_CLOUD_API_KEY"]
    with OtlpBackend("/otlp", user, key) as backend:
        yield backend


in_code_and_zero_code = pytest.mark.parametrize(
    "by_command", [False, True], ids=["line", "command"]
)


@in_code_and_zero_code
def test_langfuse(langfuse: OtlpBackend, by_command: bool) -> None:
    """The call arrives whole, and the start line says what the page says."""
    variables = at(langfuse.origin, exported("Langfuse"))
    run = a_call(variables, by_command=by_command)
    assert langfuse.refused == []
    assert_whole(langfuse.spans)
    (said,) = re.findall(r"`(traces: langfuse\(.*?\))`", SECTIONS["Langfuse"])
    expected = said.replace("https://cloud.langfuse.com", langfuse.origin)
    assert expected in "\n".join(run.logged("INFO"))
    assert variables["LANGFUSE_SECRET_KEY"] not in run.output


@in_code_and_zero_code
def test_grafana_cloud(grafana_cloud: OtlpBackend, by_command: bool) -> None:
    """Both signals arrive, whatever temporality the variables prefer."""
    variables = at(grafana_cloud.origin, exported("Grafana Cloud"))
    preference = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
    run = a_call(variables | preference, by_command=by_command)
    assert grafana_cloud.refused == []
    assert_whole(grafana_cloud.spans)
    assert sessions_in(grafana_cloud) == 1
    address = f"{grafana_cloud.origin}/otlp/v1"
    started = "\n".join(run.logged("INFO"))
    assert f"traces: grafana_cloud(http/protobuf {address}/traces)" in started
    assert f"grafana_cloud(http/protobuf {address}/metrics)" in started
    assert variables["GRAFANA_CLOUD_API_KEY"] not in run.output


@in_code_and_zero_code
def test_any_otlp_endpoint(by_command: bool) -> None:
    """The header is on every request, and the signals' paths are added."""
    with OtlpReceiver() as receiver:
        run = a_call(at(receiver.endpoint, exported("Any OTLP endpoint")), by_command=by_command)
        assert_whole(receiver.spans)
        assert {request.path for request in receiver.requests} == {"/v1/traces", "/v1/metrics"}
        assert {request.headers.get("x-api-key") for request in receiver.requests} == {FILLED_IN}
        expected = f"traces: otlp(http/protobuf {receiver.endpoint}/v1/traces)"
    assert expected in "\n".join(run.logged("INFO"))


@in_code_and_zero_code
def test_a_collector_on_the_node(by_command: bool) -> None:
    """Nothing but its address and a name."""
    with OtlpReceiver() as receiver:
        variables = exported("A Collector on the node")
        assert variables.keys() == {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME"}
        a_call(at(receiver.endpoint, variables), by_command=by_command)
        assert_whole(receiver.spans)
        assert {request.path for request in receiver.requests} == {"/v1/traces", "/v1/metrics"}


@in_code_and_zero_code
def test_several_at_once(
    langfuse: OtlpBackend, grafana_cloud: OtlpBackend, by_command: bool
) -> None:
    """Each destination gets its own, and nothing of another."""
    with ExitStack() as stack:
        receiver = stack.enter_context(OtlpReceiver())
        variables = (
            at(langfuse.origin, exported("Langfuse"))
            | at(grafana_cloud.origin, exported("Grafana Cloud"))
            | at(receiver.endpoint, exported("A Collector on the node"))
            | exported("Several at once")
            | {"OTEL_EXPORTER_PROMETHEUS_PORT": "0"}
        )
        a_call(variables, by_command=by_command)
        assert_whole(receiver.spans)
        assert {request.path for request in receiver.requests} == {"/v1/traces"}
        assert not any("authorization" in request.headers for request in receiver.requests)
    assert (langfuse.refused, grafana_cloud.refused) == ([], [])
    assert_whole(langfuse.spans)
    assert grafana_cloud.spans == []
    assert sessions_in(grafana_cloud) == 1
