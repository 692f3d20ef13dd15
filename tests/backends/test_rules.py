# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The shipped rules, alerts, routes and runbooks, judged by Prometheus's own programs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from backends.routes import SHIPPED
from callspan import semconv
from callspan.metrics.worker.naming import family_name
from kit.logged_process import LoggedProcess
from kit.scrape import free_port

RULES = sorted((SHIPPED / "rules").glob("*.yaml"))
TESTS = sorted((SHIPPED / "tests").glob("*.yaml"))
ALERTMANAGER = SHIPPED / "alertmanager.yaml"

DOWN = "AgentWorkersDown"
"""Silences all others of its agent."""
MINIMUM_VOLUME = re.compile(
    r"and on \(agent_name(, tool_name)?\) agent(_tool)?:\w+:increase1?\d*[hd]( offset 1w)? >= \d+"
)
RATIO = re.compile(r":ratio_rate")

DECLARED = {"agent_bookings_total"}
"""What an application has by declaring a conversion of that name."""


def groups() -> list[dict[str, Any]]:
    """Return the groups of all files."""
    return [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]


def rules(kind: str) -> list[dict[str, Any]]:
    """Return the rules that record, or those that alert."""
    return [rule for group in groups() for rule in group["rules"] if kind in rule]


ALERTS = rules("alert")
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])


def tool(name: str, package: str) -> str:
    """Return a program's path.

    Where it is missing, a user's run skips and a run under CI fails: there, a skip would hide
    that nothing was tested.
    """
    if path := shutil.which(name):
        return path
    problem = f"{name} not found on PATH: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(problem, pytrace=False)
    pytest.skip(problem)


@pytest.fixture
def promtool() -> str:
    return tool("promtool", "prometheus")


@pytest.fixture
def amtool() -> str:
    return tool("amtool", "prometheus-alertmanager")


def run(*command: str | Path) -> str:
    """Return what a command says; it has to succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=SHIPPED,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- rules -------------------------------------------------------------------------------------


def test_promtool_accepts_configuration_and_rules(promtool: str) -> None:
    """Prometheus would start with them; every file of rules is among what it loads."""
    said = run(promtool, "check", "config", "prometheus.yaml")
    for path in RULES:
        assert f"{path.name} is valid" in said or f"rules/{path.name}" in said
    assert "SUCCESS" in run(promtool, "check", "rules", *RULES)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_promtool_runs_the_rules(promtool: str, path: Path) -> None:
    """Figures come out as computed by hand; alerts fire and stay quiet as each file says."""
    assert "SUCCESS" in run(promtool, "test", "rules", path)


def alert_tests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each test of promtool's with what it asks of one alert."""
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for asked in test.get("alert_rule_test", []):
                yield test["name"], asked


@each_alert
def test_each_alert_is_tested_firing_and_quiet(alert: dict[str, Any]) -> None:
    """And quiet in the night in which all goes wrong in two calls."""
    asked = [(test, each) for test, each in alert_tests() if each["alertname"] == alert["alert"]]
    assert any(each.get("exp_alerts") for _, each in asked)
    quiet = [test for test, each in asked if not each.get("exp_alerts")]
    assert any(test.startswith("three in the morning, two calls") for test in quiet)


def test_groups_are_evaluated_in_order_in_the_tests() -> None:
    """The order that promtool is told has all groups that it loads, and no other."""
    for path in TESTS:
        test = yaml.safe_load(path.read_text())
        loaded = [(path.parent / name).resolve() for name in test["rule_files"]]
        names = [g["name"] for file in loaded for g in yaml.safe_load(file.read_text())["groups"]]
        assert test["group_eval_order"] == names


@each_alert
def test_each_alert_says_how_urgent_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    """A delay, a severity that the routes know, a summary, and a page with its three parts."""
    assert alert["for"]
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"]
    assert alert["annotations"]["runbook_url"] == f"runbooks/{alert['alert']}.md"
    page = (SHIPPED / alert["annotations"]["runbook_url"]).read_text()
    assert page.startswith(f"# {alert['alert']}\n")
    assert [page.count(f"**{part}.**") + page.count(f"**{part}**") for part in PARTS] == [1, 1, 1]


PARTS = ("Means", "Look first", "Do")
"""Of a runbook's page: what it means, what to look at first, what to do."""


def test_each_page_is_an_alerts() -> None:
    """None is left over from an alert that is gone."""
    pages = {path.stem for path in (SHIPPED / "runbooks").iterdir()}
    assert pages == {alert["alert"] for alert in ALERTS}


@each_alert
def test_each_ratio_has_a_minimum_volume(alert: dict[str, Any]) -> None:
    """In every alternative of its condition; else two calls at night are a percentage."""
    if not RATIO.search(alert["expr"]):
        return
    for alternative in alert["expr"].split("or ("):
        assert RATIO.search(alternative)
        assert MINIMUM_VOLUME.search(alternative), alternative


def test_without_the_minimum_volume_each_ratio_would_fire(promtool: str, tmp_path: Path) -> None:
    """The tests of quiet hours can fail: it is the volume that keeps them quiet."""
    for folder in ("rules", "tests"):
        (tmp_path / folder).mkdir()
    for path in RULES:
        (tmp_path / "rules" / path.name).write_text(MINIMUM_VOLUME.sub("", path.read_text()))
    said = ""
    for path in TESTS:
        copy = tmp_path / "tests" / path.name
        copy.write_text(path.read_text())
        said += subprocess.run(
            [promtool, "test", "rules", str(copy)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        ).stdout
    fired = set(re.findall(r"alertname: (\w+),", said))
    assert fired == {alert["alert"] for alert in ALERTS if RATIO.search(alert["expr"])}


def test_rules_name_series_that_exist() -> None:
    """Those of the package, of Prometheus itself, and those that rules record."""
    recorded = {rule["record"] for rule in rules("record")}
    for rule in [*rules("record"), *ALERTS]:
        used = set(re.findall(r"\b(agent[a-z_]*:[a-z0-9_:]+)", rule["expr"]))
        assert used <= recorded
        measured = set(re.findall(r"\b(agent_[a-z_]+)(?=[\[{ )]|$)", rule["expr"])) - LABELS
        assert measured <= {*series_names(), *DECLARED}, rule


LABELS = {semconv.L_AGENT}


def series_names() -> Iterator[str]:
    """Yield the names that a query can use."""
    for metric in semconv.METRICS:
        name = family_name(metric.name, metric.unit, metric.kind)
        if metric.kind == "counter":
            yield f"{name}_total"
        elif metric.kind == "histogram":
            yield from (f"{name}_{part}" for part in ("bucket", "sum", "count"))
        else:
            yield name


def test_the_objective_is_in_one_place_and_a_bound_of_the_histogram() -> None:
    """95 % and 1.5 s by default; no other rule spells either."""
    name = "agent:turn_latency_slo:objective"
    (objective,) = (rule for rule in rules("record") if rule["record"] == name)
    assert objective["expr"] == "vector(0.95)"
    assert objective["labels"] == {"le": "1.5"}
    assert float(objective["labels"]["le"]) in semconv.M_TURN_LATENCY.bounds
    others = [rule for rule in [*rules("record"), *ALERTS] if name in rule["expr"]]
    assert len(others) == 11
    assert [rule for rule in others if re.search(r"0\.95|0\.05|1\.5", rule["expr"])] == []
    # whoever changes it chooses from those that the file lists
    comment = (SHIPPED / "rules" / "agent-slo.yaml").read_text().replace("\n# ", " ")
    bounds = " ".join(str(float(bound)) for bound in semconv.M_TURN_LATENCY.bounds)
    assert f"bound of agent_turn_latency_seconds: {bounds}. " in comment


def test_another_objective_is_followed(promtool: str, tmp_path: Path) -> None:
    """Both numbers changed, in that place alone: 60 % within 1.0 s, where 50 % were."""
    for path in RULES:
        changed = path.read_text().replace("vector(0.95)", "vector(0.6)")
        (tmp_path / path.name).write_text(changed.replace('le: "1.5"', 'le: "1.0"'))
    kpis = yaml.safe_load((SHIPPED / "tests" / "kpis.yaml").read_text())
    kpis["rule_files"] = [path.name for path in RULES if "alerts" not in path.name]
    wanted = {
        "agent:turn_latency_slo_misses:ratio_rate1h": 0.5,
        "agent:turn_latency_slo_budget:remaining_ratio30d": -0.25,
    }
    del kpis["tests"][1:]
    (test,) = kpis["tests"]
    test["promql_expr_test"] = [
        {
            "expr": f"round({name}, 0.0001)",
            "eval_time": "2h",
            "exp_samples": [{"labels": '{agent_name="receptionist"}', "value": value}],
        }
        for name, value in wanted.items()
    ]
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(kpis))
    assert "SUCCESS" in run(promtool, "test", "rules", tmp_path / "test.yaml")


# --- routes ------------------------------------------------------------------------------------


def test_amtool_accepts_the_routes(amtool: str) -> None:
    """With both receivers and both inhibitions."""
    said = run(amtool, "check-config", ALERTMANAGER)
    assert "SUCCESS" in said
    assert "2 inhibit rules" in said
    assert "2 receivers" in said


@each_alert
def test_what_pages_goes_to_pagerduty(amtool: str, alert: dict[str, Any]) -> None:
    """And what is a ticket does not."""
    labels = [f"{name}={value}" for name, value in alert["labels"].items()]
    said = run(
        amtool,
        "config",
        "routes",
        "test",
        f"--config.file={ALERTMANAGER}",
        f"alertname={alert['alert']}",
        *labels,
    )
    wanted = {"page": "pagerduty", "ticket": "tickets"}
    assert said.strip() == wanted[alert["labels"]["severity"]]


class Alertmanager(LoggedProcess):
    """A real one, with the shipped routes and nobody behind them."""

    def __init__(self, binary: str, directory: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/api/v2/alerts"
        super().__init__(
            [
                binary,
                f"--config.file={ALERTMANAGER}",
                f"--storage.path={directory}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ],
            ready="Listening",
        )

    def post(self, labels: list[dict[str, str]]) -> None:
        """Have some alerts fire."""
        ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        body = json.dumps([{"labels": each, "endsAt": ends} for each in labels]).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url, body, headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 200

    def inhibited(self) -> dict[tuple[str, str], bool]:
        """Return whether each alert is silenced, by its name and agent."""
        with urllib.request.urlopen(self.url, timeout=10) as response:
            return {
                (each["labels"]["alertname"], each["labels"]["agent_name"]): bool(
                    each["status"]["inhibitedBy"]
                )
                for each in json.load(response)
            }


def test_a_worker_that_is_down_silences_the_rest_of_its_agent(tmp_path: Path) -> None:
    """Every other alert of that agent, and none of another one."""
    binary = tool("prometheus-alertmanager", "prometheus-alertmanager")
    others = [alert["alert"] for alert in ALERTS if alert["alert"] != DOWN]
    posted = [(DOWN, "gone")]
    posted += [(name, agent) for name in others for agent in ("gone", "healthy")]
    wanted = {(name, agent): agent == "gone" and name != DOWN for name, agent in posted}
    # what already pages silences its own ticket, whichever agent's it is
    wanted["AgentTurnLatencyBurnsSlowly", "healthy"] = True
    with Alertmanager(binary, tmp_path) as alertmanager:
        alertmanager.wait_until_ready(20)
        alertmanager.post([{"alertname": name, "agent_name": agent} for name, agent in posted])
        deadline = time.monotonic() + 20
        # an alert's state is settled when its group is first flushed, after group_wait
        while (inhibited := alertmanager.inhibited()) != wanted and time.monotonic() < deadline:
            time.sleep(0.2)
    assert inhibited == wanted


def test_every_ratio_can_be_silenced_by_its_agent() -> None:
    """The inhibition goes by agent_name: each ratio keeps that label."""
    for alert in ALERTS:
        if RATIO.search(alert["expr"]):
            assert "{{ $labels.agent_name }}" in alert["annotations"]["summary"]
