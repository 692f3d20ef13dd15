# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Real Prometheus servers at the ends of the routes, and what they hold as plain series.

One runs with the configuration and the rules that we ship, addresses apart, and scrapes the worker
and the gateway; the other takes what the gateway writes to it.
"""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from kit.logged_process import LoggedProcess
from kit.prometheus import Programs
from kit.scrape import free_port

SHIPPED: Final = Path(__file__).parents[2] / "collector-config" / "prometheus"
"""Where the shipped configuration and rules are."""

_READY: Final = "Server is ready to receive web requests"
_POLL_S: Final = 0.2
_HOST: Final = "127.0.0.1"

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by name and labels, ``job`` and ``instance`` left out, bounds of buckets as numbers."""


class RoutePrometheus(LoggedProcess):
    """A Prometheus with a configuration of a test's own.

    Args:
        programs: Its executables.
        directory: Where it keeps its configuration and data.
        config: Its configuration.
        flags: Further arguments.

    Attributes:
        url: Its address.
    """

    def __init__(
        self, programs: Programs, directory: Path, config: Mapping[str, Any], *flags: str
    ) -> None:
        address = f"{_HOST}:{free_port()}"
        self.url = f"http://{address}"
        path = directory / "prometheus.yaml"
        path.write_text(yaml.safe_dump(dict(config)))
        super().__init__(
            [
                programs.prometheus,
                f"--config.file={path}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address={address}",
                "--enable-feature=exemplar-storage",
                *flags,
            ],
            ready=_READY,
        )

    def get(self, path: str, **parameters: object) -> Any:
        """Return the data of an answer of its HTTP API."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)["data"]

    def series(self, selector: str) -> Series:
        """Return what a query for series gives now.

        Raises:
            AssertionError: If two of them differ in ``job`` or ``instance`` alone.
        """
        series: Series = {}
        for each in self.get("query", query=selector)["result"]:
            labels = each["metric"]
            key = (labels.pop("__name__", ""), frozenset(_comparable(labels).items()))
            assert key not in series, f"twice: {key}"
            series[key] = float(each["value"][1])
        return series

    def wait_for(
        self, selector: str, wanted: Callable[[Series], bool], timeout_s: float = 30
    ) -> Series:
        """Query until the result is as wanted; return it.

        Raises:
            AssertionError: If it was not within ``timeout_s`` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while not wanted(series := self.series(selector)):
            assert time.monotonic() < deadline, f"{selector} still is {series}"
            time.sleep(_POLL_S)
        return series


def shipped_config(worker_port: int, gateway_port: int) -> dict[str, Any]:
    """Return the shipped configuration, faster and with the addresses of a test."""
    config: dict[str, Any] = yaml.safe_load((SHIPPED / "prometheus.yaml").read_text())
    ports = {"livekit-agents": worker_port, "otel-gateway": gateway_port}
    assert {job["job_name"] for job in config["scrape_configs"]} == set(ports)
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"localhost:{ports[job['job_name']]}"]}]
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(SHIPPED / pattern) for pattern in config["rule_files"]]
    del config["alerting"]
    return config


def _comparable(labels: Mapping[str, str]) -> dict[str, str]:
    compared = {key: value for key, value in labels.items() if key not in ("job", "instance")}
    if "le" in compared:
        # a scrape spells a bound 2.0, remote write 2; to Prometheus's functions they are one
        compared["le"] = str(float(compared["le"]))
    return compared
