# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The scrape: its port and who has it, its host inside a container, prometheus_client's files."""

from __future__ import annotations

import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import psutil

from ...config.settings import PROMETHEUS
from ...metrics.worker.prometheus import problems_of_multiprocess_mode
from ...package import DEFAULT_SCRAPE_PORT, SCRAPE_HOST, SCRAPE_PORT, scrape_address
from . import verdict
from .verdict import Setup, Verdict, ok, problem, warning

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_CONTAINER_FILES: Final = ("/.dockerenv", "/run/.containerenv")
_CGROUPS: Final = ("docker", "kubepods", "containerd", "libpod", "lxc")
_SCRAPE_TIMEOUT_S: Final = 2.0
_OURS: Final = b"agent_sessions_total"
_READ_BYTES: Final = 4_000_000


def check(setup: Setup) -> Iterator[Verdict]:
    """Look whether this worker can serve its metrics where it is told to."""
    directory = setup.worker.multiprocess_dir if setup.worker else ""
    directory = directory or setup.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    if PROMETHEUS not in setup.settings.metric_exporters:
        yield ok("not asked for (OTEL_METRICS_EXPORTER has no prometheus)")
        if directory:
            yield warning(
                f"PROMETHEUS_MULTIPROC_DIR={directory}: in this mode LiveKit's own endpoint adds "
                "files for each call and reads all of them at each scrape",
                "unset it, and write OTEL_METRICS_EXPORTER=prometheus: the worker adds its "
                "processes up by itself",
            )
        return
    if directory:
        yield from map(verdict.of, problems_of_multiprocess_mode(directory))
    host, port = scrape_address(setup.environ)
    if not port.isdigit() or not 0 < int(port) < 65536:
        yield problem(
            f"{SCRAPE_PORT}={port}: not a port",
            f"write a number, for example {DEFAULT_SCRAPE_PORT}",
        )
        return
    yield _port(host, int(port))
    if host in _LOOPBACK:
        if setup.in_container:
            yield problem(
                f"{SCRAPE_HOST}={host}: inside a container that is reached by nobody outside of it",
                f"write {SCRAPE_HOST}=0.0.0.0, and open port {port} to the scraper only",
            )
        else:
            yield warning(
                f"{SCRAPE_HOST}={host}: a Prometheus on another machine does not reach it",
                f"if it is on another one, write {SCRAPE_HOST}=0.0.0.0",
            )


def _port(host: str, port: int) -> Verdict:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except socket.gaierror as error:
        return problem(
            f"{SCRAPE_HOST}={host}: no such address ({error.strerror})",
            f"write {SCRAPE_HOST}=0.0.0.0, or localhost",
        )
    except OSError as error:
        return _taken(host, port, error)
    return ok(f"port {port} on {host} is free")


def _taken(host: str, port: int, error: OSError) -> Verdict:
    who = _listener(port)
    if _serves_agents(host, port):
        return warning(
            f"port {port} on {host} is taken by {who or 'another process'}, which serves the "
            "metrics of a worker with this package",
            f"nothing, if that is this worker; for one more on this machine set {SCRAPE_PORT} "
            "to another port",
        )
    by = f" by {who}" if who else ", by whom cannot be seen from here"
    reason = f"is taken{by}" if who or _answers(host, port) else f"cannot be listened on ({error})"
    return problem(
        f"{SCRAPE_PORT}={port}: the port {reason}; nothing can be scraped",
        f"end that process, or set another {SCRAPE_PORT}",
    )


def _listener(port: int) -> str:
    """Return who listens on a port, where this user may know."""
    try:
        for one in psutil.net_connections(kind="tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid:
                # no command line: it may hold credentials
                return f"{psutil.Process(one.pid).name()} (process {one.pid})"
    except (psutil.Error, OSError):
        pass
    return ""


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((_reachable(host), port), timeout=_SCRAPE_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _serves_agents(host: str, port: int) -> bool:
    shown = _reachable(host)
    shown = f"[{shown}]" if ":" in shown else shown
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{shown}:{port}/metrics", timeout=_SCRAPE_TIMEOUT_S) as answer:
            return _OURS in answer.read(_READ_BYTES)
    except (OSError, ValueError, urllib.error.HTTPError):
        return False


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  it is replaced


def in_container(environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether this process runs in a container."""
    environ = os.environ if environ is None else environ
    if environ.get("KUBERNETES_SERVICE_HOST") or any(Path(f).exists() for f in _CONTAINER_FILES):
        return True
    try:
        cgroup = Path("/proc/1/cgroup").read_text("utf-8")
    except OSError:
        return False
    return any(name in cgroup for name in _CGROUPS)
