# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The shipped Kubernetes manifests: valid, in agreement with each other and with LiveKit.

No cluster can be run here. What kubectl renders is checked against Kubernetes's own schemas; the
Prometheus Operator's two kinds have none that can be had, and are checked by their references.
"""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
import yaml
from livekit.agents import AgentServer

from backends.collector import CONFIG

KUBERNETES = "1.31"
"""Whose schemas the manifests have to fit, strictly; every release that is supported has them."""
OPERATORS = {"PodMonitor", "ServiceMonitor"}
WORKLOADS = {"Deployment", "DaemonSet"}

MAX_FLUSH_TIMEOUT_S = 8
"""What CALLSPAN_FLUSH_TIMEOUT takes at most."""

Manifest = dict[str, Any]


@cache
def rendered() -> list[Manifest]:
    """Return what ``kubectl apply -k`` would apply.

    Without kubectl, a user's run skips and a run under CI fails: there, a skip would hide that
    nothing was tested.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        problem = "kubectl not found on PATH: apt-get install kubernetes-client"
        if os.environ.get("CI"):
            pytest.fail(problem, pytrace=False)
        pytest.skip(problem)
    done = subprocess.run(
        [kubectl, "kustomize", str(CONFIG)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def secrets() -> list[Manifest]:
    """Return the examples of Secrets, which are applied by hand."""
    return list(yaml.safe_load_all((CONFIG / "kubernetes" / "secrets.example.yaml").read_text()))


def of_kind(*kinds: str) -> list[Manifest]:
    """Return the rendered manifests of some kinds."""
    return [manifest for manifest in rendered() if manifest["kind"] in kinds]


def named(kind: str, name: str) -> Manifest:
    """Return a rendered manifest; the hash that kustomize adds to a generated name left out."""
    (manifest,) = (each for each in of_kind(kind) if plain(each["metadata"]["name"]) == name)
    return manifest


def plain(name: str) -> str:
    """Return a name without the hash of a generated ConfigMap."""
    return re.sub(r"-[0-9a-z]{10}$", "", name)


def pod(workload: Manifest) -> Manifest:
    """Return the specification of a workload's pods."""
    return workload["spec"]["template"]["spec"]


def container(workload: Manifest) -> Manifest:
    """Return a workload's one container."""
    (only,) = pod(workload)["containers"]
    return only


def ports(workload: Manifest) -> dict[str, int]:
    """Return a workload's ports by their names."""
    return {port["name"]: port["containerPort"] for port in container(workload)["ports"]}


def selected(selector: Mapping[str, str]) -> list[Manifest]:
    """Return the workloads whose pods have these labels."""
    return [
        workload
        for workload in of_kind(*WORKLOADS)
        if selector.items() <= workload["spec"]["template"]["metadata"]["labels"].items()
    ]


def variables(workload: Manifest) -> dict[str, str]:
    """Return the variables of a workload's container, wherever they are written."""
    values: dict[str, str] = {}
    kinds = {"configMapRef": of_kind("ConfigMap"), "secretRef": secrets()}
    for source in container(workload).get("envFrom", []):
        ((reference, target),) = source.items()
        (chosen,) = (m for m in kinds[reference] if m["metadata"]["name"] == target["name"])
        values |= chosen.get("data") or chosen["stringData"]
    values |= {each["name"]: each.get("value", "") for each in container(workload).get("env", [])}
    return values


def test_everything_fits_kubernetes_schemas() -> None:
    """Strictly: a misspelt field is an error, where the API server would drop it."""
    checked = [each for each in [*rendered(), *secrets()] if each["kind"] not in OPERATORS]
    assert {each["kind"] for each in checked} == {
        "Namespace",
        "ConfigMap",
        "Secret",
        "Service",
        "NetworkPolicy",
        *WORKLOADS,
    }
    for manifest in checked:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_the_schemas_would_find_a_misspelt_field() -> None:
    """They are strict about it."""
    worker = yaml.safe_load(yaml.safe_dump(named("Deployment", "livekit-worker")))
    pod(worker)["terminationGracePeriod"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(worker, KUBERNETES, strict=True)


def test_every_manifest_is_applied() -> None:
    """All files but the one with placeholders; all kinds that the README names."""
    resources = yaml.safe_load((CONFIG / "kustomization.yaml").read_text())["resources"]
    files = {f"kubernetes/{path.name}" for path in (CONFIG / "kubernetes").iterdir()}
    assert files - set(resources) == {"kubernetes/secrets.example.yaml"}
    assert {(each["kind"], plain(each["metadata"]["name"])) for each in rendered()} >= {
        ("Deployment", "livekit-worker"),
        ("DaemonSet", "otel-agent"),
        ("Deployment", "otel-gateway"),
        ("PodMonitor", "livekit-worker"),
        ("ServiceMonitor", "otel-collector"),
    }


@pytest.mark.parametrize("name", ["livekit-worker", "otel-agent", "otel-gateway"])
def test_pods_run_restricted(name: str) -> None:
    """As nobody, on a read-only root file system, without capabilities or a token."""
    (workload,) = selected({"app.kubernetes.io/name": name})
    assert pod(workload)["automountServiceAccountToken"] is False
    assert pod(workload)["securityContext"]["runAsNonRoot"] is True
    assert pod(workload)["securityContext"]["runAsUser"] > 0
    assert pod(workload)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(workload)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container(workload)["resources"]["limits"]["memory"]


def test_a_worker_has_the_time_to_drain() -> None:
    """LiveKit's defaults in a row, and our flush: what comes sooner kills calls."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(AgentServer).parameters.items()
    }
    needed = (
        defaults["drain_timeout"]
        + defaults["session_end_timeout"]
        + defaults["shutdown_process_timeout"]
        + MAX_FLUSH_TIMEOUT_S
    )
    grace = pod(named("Deployment", "livekit-worker"))["terminationGracePeriodSeconds"]
    assert grace >= needed


def test_the_worker_serves_where_it_is_scraped() -> None:
    """On every interface, at the port that the monitor names, by one route and not by two."""
    worker = named("Deployment", "livekit-worker")
    environment = variables(worker)
    assert environment["OTEL_EXPORTER_PROMETHEUS_HOST"] == "0.0.0.0"
    assert int(environment["OTEL_EXPORTER_PROMETHEUS_PORT"]) == ports(worker)["metrics"]
    assert environment["OTEL_METRICS_EXPORTER"] == "prometheus"
    health = inspect.signature(AgentServer).parameters["port"].default.prod_default
    assert ports(worker)["health"] == health


def test_the_worker_has_all_that_livekit_asks_for() -> None:
    """Secrets from the Secret, and what a variable refers to is there before it."""
    worker = named("Deployment", "livekit-worker")
    assert {"LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"} < set(variables(worker))
    known: set[str] = set()
    for each in container(worker)["env"]:
        assert set(re.findall(r"\$\((\w+)\)", each.get("value", ""))) <= known
        known.add(each["name"])


def test_no_secret_is_in_what_is_applied() -> None:
    """Keys are in Secrets; those are examples, and not rendered."""
    assert of_kind("Secret") == []
    keys = {key for secret in secrets() for key in secret["stringData"]}
    maps = {key for each in of_kind("ConfigMap") for key in each["data"]}
    assert keys & maps == set()


def test_policies_let_in_who_has_to_and_nobody_else() -> None:
    """Each workload has one; its ports exist; those whom it names exist."""
    for workload in of_kind(*WORKLOADS):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        (policy,) = (
            each
            for each in of_kind("NetworkPolicy")
            if each["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
        )
        assert policy["spec"]["policyTypes"] == ["Ingress"]
        for rule in policy["spec"]["ingress"]:
            assert {port["port"] for port in rule["ports"]} <= set(ports(workload))
            for source in rule["from"]:
                assert source in (
                    {"namespaceSelector": {"matchLabels": MONITORING}},
                    {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "livekit-worker"}}},
                    {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "otel-agent"}}},
                )
    scraped = {"metrics": "livekit-worker", "telemetry": "otel-agent"}
    for port, name in scraped.items():
        assert port in {
            opened["port"]
            for rule in named("NetworkPolicy", name)["spec"]["ingress"]
            if {"namespaceSelector": {"matchLabels": MONITORING}} in rule["from"]
            for opened in rule["ports"]
        }


MONITORING = {"kubernetes.io/metadata.name": "monitoring"}


def monitored() -> Iterator[tuple[Manifest, str]]:
    """Yield each workload with the name of a port at which a monitor expects metrics."""
    pod_monitor = named("PodMonitor", "livekit-worker")["spec"]
    for workload in selected(pod_monitor["selector"]["matchLabels"]):
        yield from ((workload, each["port"]) for each in pod_monitor["podMetricsEndpoints"])
    service_monitor = named("ServiceMonitor", "otel-collector")["spec"]
    for service in of_kind("Service"):
        if (
            service_monitor["selector"]["matchLabels"].items()
            <= service["metadata"]["labels"].items()
        ):
            for each in service_monitor["endpoints"]:
                (port,) = (p for p in service["spec"]["ports"] if p["name"] == each["port"])
                (workload,) = selected(service["spec"]["selector"])
                yield workload, port["targetPort"]


def test_monitors_find_what_they_look_for() -> None:
    """The workers by their pods, both Collectors by their Services, at ports that are there."""
    targets = {(plain(each["metadata"]["name"]), port) for each, port in monitored()}
    assert targets == {
        ("livekit-worker", "metrics"),
        ("otel-agent", "telemetry"),
        ("otel-gateway", "telemetry"),
    }
    assert all(port in ports(workload) for workload, port in monitored())


@pytest.mark.parametrize("name", ["otel-agent", "otel-gateway"])
def test_collectors_run_the_shipped_files(name: str) -> None:
    """Those in the arguments are in the ConfigMap that is mounted there; no variable is unset."""
    (workload,) = selected({"app.kubernetes.io/name": name})
    (config,) = (m for m in container(workload)["volumeMounts"] if m["name"] == "config")
    (volume,) = (v for v in pod(workload)["volumes"] if v["name"] == "config")
    mounted = named("ConfigMap", plain(volume["configMap"]["name"]))["data"]
    paths = [argument.removeprefix("--config=") for argument in container(workload)["args"]]
    assert {path.rpartition("/")[0] for path in paths} == {config["mountPath"]}
    assert [path.rpartition("/")[2] for path in paths] == list(mounted)
    for file, text in mounted.items():
        assert text == (CONFIG / file).read_text()
    # those without a default, comments apart
    needed = set(re.findall(r"^[^#\n]*\$\{env:(\w+)\}", "\n".join(mounted.values()), re.MULTILINE))
    assert needed <= set(variables(workload))
    (queue,) = (m for m in container(workload)["volumeMounts"] if m["name"] == "queue")
    assert variables(workload)["STORAGE_DIRECTORY"] == queue["mountPath"]
    assert variables(workload)["LISTEN_HOST"] == "0.0.0.0"


@pytest.mark.parametrize("name", ["otel-agent", "otel-gateway"])
def test_collectors_ports_are_those_of_their_files(name: str) -> None:
    """Receivers, health and own metrics; and their Service leads to them."""
    (workload,) = selected({"app.kubernetes.io/name": name})
    text = (CONFIG / f"{name.removeprefix('otel-')}.yaml").read_text()
    config = yaml.safe_load(text)
    protocols = config["receivers"]["otlp"]["protocols"]
    (reader,) = config["service"]["telemetry"]["metrics"]["readers"]
    expected = {
        **{f"otlp-{key}": port_of(value["endpoint"]) for key, value in protocols.items()},
        "telemetry": reader["pull"]["exporter"]["prometheus"]["port"],
        "health": port_of(config["extensions"]["health_check"]["endpoint"]),
    }
    assert ports(workload) == expected
    for port in named("Service", name)["spec"]["ports"]:
        assert expected[port["targetPort"]] == port["port"]


def port_of(endpoint: str) -> int:
    """Return the port of an endpoint."""
    return int(endpoint.rpartition(":")[2])


def test_workers_agents_and_gateway_find_each_other() -> None:
    """By Services of those names, at ports that they have."""
    endpoint = variables(named("Deployment", "livekit-worker"))["OTEL_EXPORTER_OTLP_ENDPOINT"]
    agent = named("Service", "otel-agent")["spec"]
    opened = {port["name"]: port["port"] for port in agent["ports"]}
    assert endpoint == f"http://otel-agent:{opened['otlp-http']}"
    assert agent["internalTrafficPolicy"] == "Local"
    endpoint = variables(named("DaemonSet", "otel-agent"))["GATEWAY_ENDPOINT"]
    gateway = named("Service", "otel-gateway")["spec"]
    opened = {port["name"]: port["port"] for port in gateway["ports"]}
    assert endpoint == f"dns:///otel-gateway:{opened['otlp-grpc']}"
    assert gateway["clusterIP"] == "None"


def test_images_are_of_the_version_that_was_tested() -> None:
    """The Collector's: the files were run with no other."""
    version = yaml.safe_load((CONFIG / "builder.yaml").read_text())["dist"]["version"]
    for name in ("otel-agent", "otel-gateway"):
        (workload,) = selected({"app.kubernetes.io/name": name})
        image = container(workload)["image"]
        assert image == f"otel/opentelemetry-collector-contrib:{version}"
