# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Backends by name: where they are and how they are told who sends; what is said of bad values."""

from __future__ import annotations

import ast
import base64
import contextlib
import importlib
import os
import pkgutil
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

import callspan
from callspan.config.settings import Settings
from callspan.providers import exporters, presets
from callspan.providers.exporters import ExporterError
from callspan.providers.presets import PRESETS, grafana_cloud, langfuse
from callspan.providers.presets.preset import Preset, PresetError
from offline.receiver import OtlpReceiver

KEYS = {"LANGFUSE_PUBLIC_KEY": "pk-lf-1", "LANGFUSE_SECRET_KEY": "sk-lf-hush"}
GRAFANA = {
    "GRAFANA_CLOUD_OTLP_ENDPOINT": "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp",
    "GRAFANA_CLOUD_INSTANCE_ID": "123456",
    "GRAFANA_CLOUD_API_KEY": "glc_hush",
}
GATEWAY = "https://otlp-gateway-<zone>.grafana.net/otlp"
DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "backends.md").read_text()
PLACES = (
    "https://cloud.langfuse.com (EU), https://us.cloud.langfuse.com (US) or the address of your "
    "own server"
)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("OTEL_", "LANGFUSE_", "GRAFANA_")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "https://cloud.langfuse.com"),
        ({"LANGFUSE_BASE_URL": "https://us.cloud.langfuse.com"}, "https://us.cloud.langfuse.com"),
        ({"LANGFUSE_HOST": "http://langfuse.internal:3000/"}, "http://langfuse.internal:3000"),
        ({"LANGFUSE_BASE_URL": "https://a", "LANGFUSE_HOST": "https://b"}, "https://a"),
        ({"LANGFUSE_BASE_URL": "https://tools.example/lf"}, "https://tools.example/lf"),
    ],
)
def test_where_langfuse_is(variables: dict[str, str], url: str) -> None:
    """EU by default; US and a server of one's own by Langfuse's usual variables."""
    target = presets.target_of("langfuse", "TRACES", {**KEYS, **variables})
    assert target.url == f"{url}/api/public/otel/v1/traces"


def test_how_langfuse_is_told_who_sends() -> None:
    """Basic authentication, and the header without which spans are minutes late."""
    headers = presets.target_of("langfuse", "TRACES", KEYS).headers
    assert headers["authorization"] == basic("pk-lf-1", "sk-lf-hush")
    assert headers["x-langfuse-ingestion-version"] == "4"


@pytest.mark.parametrize("signal", ["TRACES", "METRICS"])
def test_where_grafana_cloud_is(signal: str) -> None:
    """The gateway takes both signals, each at its path, as the instance with its token."""
    target = presets.target_of("grafana_cloud", signal, GRAFANA)
    assert target.url == (
        f"https://otlp-gateway-prod-eu-west-2.grafana.net/otlp/v1/{signal.lower()}"
    )
    assert dict(target.headers) == {"authorization": basic("123456", "glc_hush")}


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        (
            {"LANGFUSE_SECRET_KEY": " "},
            "langfuse is named as an exporter and LANGFUSE_SECRET_KEY is not set; copy both keys "
            "from the project's settings in Langfuse",
        ),
        (
            {"LANGFUSE_PUBLIC_KEY": ""},
            "langfuse is named as an exporter and LANGFUSE_PUBLIC_KEY is not set; copy both keys "
            "from the project's settings in Langfuse",
        ),
        (
            {"LANGFUSE_PUBLIC_KEY": "sk-lf-hush"},
            "LANGFUSE_PUBLIC_KEY=sk-lf-…: that is the other key of the pair, nothing is sent to "
            "Langfuse; write the one that begins with pk-lf- into LANGFUSE_PUBLIC_KEY and the one "
            "that begins with sk-lf- into LANGFUSE_SECRET_KEY",
        ),
        (
            {"LANGFUSE_BASE_URL": "cloud.langfuse.com"},
            "LANGFUSE_BASE_URL=cloud.langfuse.com: not an address that begins with https:// or "
            f"http://, nothing can be sent there; write {PLACES}",
        ),
        (
            {"LANGFUSE_HOST": "us"},
            "LANGFUSE_HOST=us: not an address that begins with https:// or http://, nothing can "
            f"be sent there; write {PLACES}",
        ),
        (
            {"LANGFUSE_BASE_URL": "https://langfuse:three"},
            "LANGFUSE_BASE_URL=https://langfuse:three: Port could not be cast to integer value as "
            f"'three', nothing can be sent there; write {PLACES}",
        ),
        (
            {"LANGFUSE_BASE_URL": "https://cloud.langfuse.com/api/public/otel"},
            "LANGFUSE_BASE_URL=https://cloud.langfuse.com/api/public/otel: the path "
            "/api/public/otel/v1/traces is added to it, nothing is sent there; write "
            "LANGFUSE_BASE_URL=https://cloud.langfuse.com",
        ),
        (
            {"LANGFUSE_BASE_URL": "https://cloud.langfuse.com/api/public/otel/v1/traces/"},
            "LANGFUSE_BASE_URL=https://cloud.langfuse.com/api/public/otel/v1/traces: the path "
            "/api/public/otel/v1/traces is added to it, nothing is sent there; write "
            "LANGFUSE_BASE_URL=https://cloud.langfuse.com",
        ),
        (
            {"LANGFUSE_BASE_URL": "https://pk-lf-1:sk-lf-hush@cloud.langfuse.com"},
            "LANGFUSE_BASE_URL=https://cloud.langfuse.com: holds more than host and path (not "
            "shown), nothing is sent there; leave out user, password, query and fragment, the "
            "keys have their own variables",
        ),
    ],
)
def test_what_is_said_of_langfuses_variables(variables: dict[str, str], problem: str) -> None:
    """Which variable, its value unless it is a secret, and what to write."""
    with pytest.raises(PresetError) as raised:
        presets.target_of("langfuse", "TRACES", {**KEYS, **variables})
    assert str(raised.value) == problem
    assert "hush" not in problem


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        (
            {"GRAFANA_CLOUD_API_KEY": ""},
            "grafana_cloud is named as an exporter and GRAFANA_CLOUD_API_KEY is not set; copy it "
            "from the OpenTelemetry tile of your stack at grafana.com",
        ),
        (
            {"GRAFANA_CLOUD_INSTANCE_ID": "mystack"},
            "GRAFANA_CLOUD_INSTANCE_ID: not a number, nothing is sent to Grafana Cloud; copy it "
            "from the OpenTelemetry tile of your stack at grafana.com, it looks like 123456",
        ),
        (
            {"GRAFANA_CLOUD_API_KEY": "glsa_hush"},
            "GRAFANA_CLOUD_API_KEY=glsa_…: a service account's token, which the gateway refuses; "
            "write an access policy's (glc_…) with the scopes traces:write and metrics:write",
        ),
        (
            {"GRAFANA_CLOUD_OTLP_ENDPOINT": f"{GRAFANA['GRAFANA_CLOUD_OTLP_ENDPOINT']}/v1/traces"},
            "GRAFANA_CLOUD_OTLP_ENDPOINT=https://otlp-gateway-prod-eu-west-2.grafana.net/otlp"
            "/v1/traces: the path of each signal is added to it, nothing is sent there; write "
            "GRAFANA_CLOUD_OTLP_ENDPOINT=https://otlp-gateway-prod-eu-west-2.grafana.net/otlp",
        ),
        (
            {"GRAFANA_CLOUD_OTLP_ENDPOINT": "https://mystack.grafana.net"},
            "GRAFANA_CLOUD_OTLP_ENDPOINT=https://mystack.grafana.net: not the OTLP gateway of a "
            f"stack, nothing is sent there; write GRAFANA_CLOUD_OTLP_ENDPOINT={GATEWAY}",
        ),
        (
            {"GRAFANA_CLOUD_OTLP_ENDPOINT": "https://otlp-gateway-prod-eu-west-2.grafana.net"},
            "GRAFANA_CLOUD_OTLP_ENDPOINT=https://otlp-gateway-prod-eu-west-2.grafana.net: not the "
            "OTLP gateway of a stack, nothing is sent there; write "
            f"GRAFANA_CLOUD_OTLP_ENDPOINT={GATEWAY}",
        ),
        (
            {"GRAFANA_CLOUD_OTLP_ENDPOINT": "otlp-gateway-prod-eu-west-2.grafana.net:443"},
            "GRAFANA_CLOUD_OTLP_ENDPOINT=otlp-gateway-prod-eu-west-2.grafana.net:443: not an "
            "address that begins with https:// or http://, nothing can be sent there; write "
            f"{GATEWAY}",
        ),
    ],
)
def test_what_is_said_of_grafanas_variables(variables: dict[str, str], problem: str) -> None:
    """Which variable, its value unless it is a secret, and what to write."""
    with pytest.raises(PresetError) as raised:
        presets.target_of("grafana_cloud", "METRICS", {**GRAFANA, **variables})
    assert str(raised.value) == problem
    assert "hush" not in problem


def test_langfuse_takes_no_metrics() -> None:
    """It answers 200 and keeps nothing, so it is refused here, in the words of the start line."""
    target = exporters.destination("langfuse", "METRICS", Settings(), KEYS)
    assert str(target) == "langfuse"
    with pytest.raises(ExporterError) as raised:
        exporters.load(target, "METRICS")
    assert str(raised.value) == (
        "OTEL_METRICS_EXPORTER=langfuse: Langfuse takes traces only, none are sent there; write "
        "OTEL_METRICS_EXPORTER=prometheus to be scraped, otlp for a Collector, "
        f"{', '.join(presets.names_for('METRICS'))}, or none"
    )


def test_no_secret_in_what_can_be_printed() -> None:
    """Neither a target nor a destination shows a header."""
    target = presets.target_of("langfuse", "TRACES", KEYS)
    destination = exporters.destination("langfuse", "TRACES", Settings(), KEYS)
    shown = f"{target!r} {target} {destination!r} {destination}"
    for secret in ("hush", basic("pk-lf-1", "sk-lf-hush").removeprefix("Basic ")):
        assert secret not in shown
    assert str(destination) == (
        "langfuse(http/protobuf https://cloud.langfuse.com/api/public/otel/v1/traces)"
    )


# --- the registry ------------------------------------------------------------------------------

TRACES_ENTRY_POINTS = "opentelemetry_traces_exporter"
METRICS_ENTRY_POINTS = "opentelemetry_metrics_exporter"


@pytest.fixture(params=PRESETS.values(), ids=lambda preset: preset.name)
def preset(request: pytest.FixtureRequest) -> Preset:
    """Each preset in turn."""
    return request.param


def test_every_module_with_a_preset_is_registered() -> None:
    """In the order of their names, as messages list them."""
    modules = [
        importlib.import_module(f"{presets.__name__}.{module.name}")
        for module in pkgutil.iter_modules(presets.__path__)
    ]
    with_preset = [module.PRESET for module in modules if hasattr(module, "PRESET")]
    assert list(PRESETS.values()) == with_preset


def test_what_can_be_set_is_on_the_pages(preset: Preset) -> None:
    """A section with every variable, and the name wherever names are listed."""
    assert f"export OTEL_{preset.signals[0]}_EXPORTER={preset.name}\n" in PAGE
    assert [variable for variable in preset.variables if variable not in PAGE] == []
    for name in ("configuration.md", "stability.md"):
        assert f"`{preset.name}`" in (DOCS / name).read_text(), name


class _Asked(dict[str, str]):
    """Variables that are all set, and remembers which it was asked for."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return self.setdefault(name, "1")

    def get(self, name: str, _: object = None) -> str:
        return self[name]


def test_a_preset_reads_no_variable_but_its_own(preset: Preset) -> None:
    """Least of all those of another destination."""
    asked = _Asked()
    with contextlib.suppress(PresetError):
        preset.target(preset.signals[0], asked)
    if preset.mapping is not None:
        preset.mapping(asked)
    assert asked
    assert asked.keys() <= set(preset.variables)


def test_the_command_finds_it_by_the_signals_it_takes(preset: Preset) -> None:
    """An entry point for each, of a class of its own; none for a signal that it does not take."""
    for signal, group in (("TRACES", TRACES_ENTRY_POINTS), ("METRICS", METRICS_ENTRY_POINTS)):
        classes = [point.load() for point in entry_points(group=group, name=preset.name)]
        assert [one.preset is preset for one in classes] == [True] * (signal in preset.signals)


def test_a_signal_that_it_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to write instead is what does take it: no scrape for traces."""
    gauges = replace(langfuse.PRESET, name="gauges", title="Gauges", signals=("METRICS",))
    monkeypatch.setitem(PRESETS, "gauges", gauges)
    with pytest.raises(PresetError) as raised:
        presets.target_of("gauges", "TRACES", {})
    assert str(raised.value) == (
        "OTEL_TRACES_EXPORTER=gauges: Gauges takes metrics only, none are sent there; write "
        f"OTEL_TRACES_EXPORTER=otlp for a Collector, {', '.join(presets.names_for('TRACES'))}, or "
        "none"
    )


REGISTRIES = ("providers/presets/__init__.py", "cli/checks/backends/__init__.py")


def spelt(root: Path, name: str) -> list[str]:
    """Return the modules that spell a preset's name, outside of its own and of the registries.

    Whatever is no prose, in whatever case: variables, functions, imports, texts.
    """
    modules = []
    for path in sorted(root.rglob("*.py")):
        module = path.relative_to(root).as_posix()
        if path.stem.startswith(name) or module.startswith("semconv/") or module in REGISTRIES:
            continue
        nodes = list(ast.walk(ast.parse(path.read_text())))
        prose = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        words = (
            value
            for node in nodes
            if id(node) not in prose
            for _, value in ast.iter_fields(node)
            if isinstance(value, str)
        )
        if any(_letters(name) in _letters(word) for word in words):
            modules.append(module)
    return modules


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()


def test_a_presets_name_is_spelt_in_its_own_files_alone(preset: Preset) -> None:
    """Adding a backend changes no code of another."""
    assert spelt(Path(callspan.__file__).parent, preset.name) == []


@pytest.mark.parametrize(
    "line",
    [
        "if name == 'grafana_cloud': pass",
        "TEXT = f'{1} of Grafana Cloud'",
        "from .presets import grafana_cloud",
        "from .presets.grafana_cloud import KEY",
        "print(presets.GRAFANA_CLOUD)",
        "class GrafanaCloud: pass",
    ],
)
def test_a_presets_name_elsewhere_is_seen(tmp_path: Path, line: str) -> None:
    """Planted; a docstring may name it."""
    (tmp_path / "prose.py").write_text('"""Such as grafana_cloud."""')
    (tmp_path / "exporters.py").write_text(line)
    assert spelt(tmp_path, "grafana_cloud") == ["exporters.py"]


# --- over the wire -----------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """Stands where the gateway is."""
    with OtlpReceiver() as started:
        yield started


@pytest.fixture
def other_destination(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Variables of another destination beside Grafana Cloud's, with a key and wishes of its own."""
    variables = {
        **GRAFANA,
        "GRAFANA_CLOUD_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-other-key=hush",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere/ca.pem",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def test_both_signals_arrive_and_nothing_of_another_destination_with_them(
    receiver: OtlpReceiver, other_destination: dict[str, str]
) -> None:
    """Its own path and credentials, cumulative whatever else is preferred, the variables intact."""
    settings = Settings()
    spans = exporters.make(exporters.destination("grafana_cloud", "TRACES", settings), "TRACES")
    metrics = exporters.make(exporters.destination("grafana_cloud", "METRICS", settings), "METRICS")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    provider.get_tracer("t").start_span("s").end()
    meters = MeterProvider([PeriodicExportingMetricReader(metrics)], shutdown_on_exit=False)
    meters.get_meter("t").create_counter("c").add(1)
    meters.force_flush()
    meters.shutdown()
    provider.shutdown()

    assert {request.path for request in receiver.requests} == {"/v1/traces", "/v1/metrics"}
    for request in receiver.requests:
        assert request.headers["authorization"] == basic("123456", "glc_hush")
        assert request.headers["content-encoding"] == "gzip"
        assert "x-other-key" not in request.headers
    (metric,) = receiver.metric_requests[0].resource_metrics[0].scope_metrics[0].metrics
    assert metric.sum.aggregation_temporality == 2, "cumulative"
    assert {name: os.environ[name] for name in other_destination} == other_destination


def test_the_commands_exporters_never_raise() -> None:
    """A configurator that raises loads no instrumentation: what is wrong is said by the worker."""
    spans, metrics = (
        grafana_cloud.GrafanaCloudSpanExporter(),
        grafana_cloud.GrafanaCloudMetricExporter(),
    )
    assert spans.export([]) is SpanExportResult.FAILURE
    assert metrics.export(MetricsData([])) is MetricExportResult.FAILURE
    assert langfuse.LangfuseSpanExporter().export([]) is SpanExportResult.SUCCESS
    spans.shutdown()
    metrics.shutdown()


def test_the_commands_provider_sends_to_grafana_cloud_too(
    receiver: OtlpReceiver, other_destination: dict[str, str]
) -> None:
    """Spans and metrics of other instrumentations, which are on its global providers."""
    assert other_destination
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(grafana_cloud.GrafanaCloudSpanExporter()))
    provider.get_tracer("t").start_span("s").end()
    reader = PeriodicExportingMetricReader(grafana_cloud.GrafanaCloudMetricExporter())
    meters = MeterProvider([reader], shutdown_on_exit=False)
    meters.get_meter("t").create_counter("c").add(1)
    meters.shutdown()
    assert [span.name for span in receiver.spans] == ["s"]
    assert len(receiver.metric_requests) == 1
