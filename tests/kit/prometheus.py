# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A real Prometheus on the loopback.

Whether a scrape is valid, what a query over it gives, and which exemplars are kept are
Prometheus's to say; a parser of our own would only repeat what we believe about them.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kit.logged_process import LoggedProcess

_READY: Final = "Server is ready to receive web requests"
_POLL_S: Final = 0.2

Result = dict[tuple[str, ...], float]
"""What a query gives: a value by the values of the labels that were asked for."""


class PrometheusUnavailableError(Exception):
    """There is no Prometheus to run; the message says what to install."""


@dataclass(frozen=True)
class Programs:
    """Where Prometheus's two executables are."""

    prometheus: str
    promtool: str


def find() -> Programs:
    """Return the executables that are on the path.

    Raises:
        PrometheusUnavailableError: If one of them is not.
    """
    paths = {name: shutil.which(name) for name in ("prometheus", "promtool")}
    if missing := [name for name, path in paths.items() if path is None]:
        raise PrometheusUnavailableError(
            f"{' and '.join(missing)} not found on PATH={os.environ.get('PATH', '')}: "
            "apt-get install prometheus, or brew install prometheus"
        )
    return Programs(**{name: str(path) for name, path in paths.items()})


class Prometheus(LoggedProcess):
    """Scrapes one address every second, and keeps exemplars.

    Args:
        programs: Its executables.
        directory: Where it keeps its configuration and data.
        target: Port of the localhost to scrape.
    """

    def __init__(self, programs: Programs, directory: Path, target: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self._url = f"http://{address}/api/v1"
        config = directory / "prometheus.yml"
        jobs = [{"job_name": "agents", "static_configs": [{"targets": [f"localhost:{target}"]}]}]
        # JSON is YAML
        config.write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                    "scrape_configs": jobs,
                }
            )
        )
        super().__init__(
            [
                programs.prometheus,
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address={address}",
                "--enable-feature=exemplar-storage",
            ],
            ready=_READY,
        )

    def query(self, promql: str, *labels: str) -> Result:
        """Evaluate a query now.

        Args:
            promql: The query; its result is a vector.
            labels: The labels whose values tell the series of the result apart.
        """
        data = self._get("query", query=promql)
        assert data["resultType"] == "vector"
        return {
            tuple(each["metric"].get(label, "") for label in labels): float(each["value"][1])
            for each in data["result"]
        }

    def wait_for(
        self, promql: str, *labels: str, wanted: Callable[[Result], bool], timeout_s: float = 60
    ) -> Result:
        """Evaluate a query until its result is as wanted; return that.

        Raises:
            AssertionError: If it was not within ``timeout_s`` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while not wanted(result := self.query(promql, *labels)):
            assert time.monotonic() < deadline, f"{promql} still is {result}"
            time.sleep(_POLL_S)
        return result

    def exemplars(self, promql: str, *, since: float) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each exemplar of some series since a Unix time in seconds."""
        series = self._get("query_exemplars", query=promql, start=since, end=time.time())
        return [
            (exemplar["labels"], float(exemplar["value"]))
            for each in series
            for exemplar in each["exemplars"]
        ]

    def _get(self, path: str, **parameters: object) -> Any:
        url = f"{self._url}/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)["data"]


def lint(programs: Programs, text: str) -> str:
    """Return what promtool has to say against metrics in Prometheus's text format."""
    done = subprocess.run(
        [programs.promtool, "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    said = done.stdout + done.stderr
    return said if said or done.returncode == 0 else f"ended with {done.returncode}"
