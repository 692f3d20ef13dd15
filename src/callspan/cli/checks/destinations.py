# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The destinations of spans and metrics: each is resolved, connected to, and sent something."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from typing import Final
from urllib.request import getproxies, proxy_bypass

from opentelemetry.sdk.metrics.export import AggregationTemporality

from ...config.settings import PROMETHEUS
from ...providers import exporters
from ...providers.exporters import Destination, ExporterError
from . import probe, verdict
from .addresses import OWN_ENDPOINT
from .agent_inspection import Worker
from .backends import BACKENDS, backend_of
from .probe_results import explain
from .verdict import Setup, Status, Verdict, ok, problem, warning

_SIGNAL_PATH: Final = re.compile("/v1/(traces|metrics|logs)")
_PREFERENCE: Final = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_PREFERENCES: Final = ("", "CUMULATIVE", "DELTA", "LOWMEMORY")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def check_traces(setup: Setup) -> Iterator[Verdict]:
    """Send a span to every destination of spans."""
    if setup.worker is not None and setup.worker.own_provider:
        yield from _own_destinations(setup.worker, setup)
        return
    for name in setup.settings.trace_exporters:
        verdict = _checked(name, "TRACES", setup)
        yield verdict
        if name in BACKENDS and verdict.status is not Status.PROBLEM:
            yield from BACKENDS[name].check_server(setup)
    if not setup.settings.trace_exporters:
        yield _nowhere("TRACES", "exported", setup)


def _own_destinations(worker: Worker, setup: Setup) -> Iterator[Verdict]:
    """Say what the exporters of the application's own provider were answered."""
    for fields in worker.own_answers:
        answer = probe.Answer(**fields)
        protocol = "grpc" if answer.code else "http/protobuf"
        target = Destination("", OWN_ENDPOINT, answer.url or "of your own exporter", protocol)
        yield explain(target, "TRACES", answer, setup)
    if not worker.own_answers:
        yield warning(
            "your own TracerProvider sent a test span, and no exporter of it was heard of: they "
            "speak gRPC and took it, or there is none, or its sampler dropped it",
            "look at its span processors, or leave it out and name the destination in "
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        )


def check_metrics(setup: Setup) -> Iterator[Verdict]:
    """Send a point to every destination of metrics."""
    names = [name for name in setup.settings.metric_exporters if name != PROMETHEUS]
    for name in names:
        yield _checked(name, "METRICS", setup)
    if not setup.settings.metric_exporters:
        yield _nowhere("METRICS", "pushed", setup)
    elif not names:
        yield ok("not pushed: they are scraped")


def check_temporality(setup: Setup) -> Iterator[Verdict]:
    """Look at the temporality that metrics are pushed with."""
    said = setup.environ.get(_PREFERENCE, "").strip()
    if said.upper() not in _PREFERENCES:
        yield problem(
            f"{_PREFERENCE}={said}: no such value, metrics are cumulative",
            "write cumulative, delta or lowmemory",
        )
    elif said.upper() in ("", "CUMULATIVE"):
        yield ok("cumulative, which every backend takes")
    elif any(name.startswith("otlp") for name in setup.settings.metric_exporters):
        refusing = [one.preset.title for one in BACKENDS.values() if one.refuses_delta]
        *others, last = ["Prometheus", "Mimir", *refusing]
        yield warning(
            f"{_PREFERENCE}={said}: {', '.join(others)} and {last} refuse delta, and a Collector "
            "in front of them loses it",
            f"write {_PREFERENCE}=cumulative, unless the backend wants delta",
        )
    else:
        yield ok(f"{_PREFERENCE}={said} is for otlp alone, which is not asked for")


def _nowhere(signal: str, done: str, setup: Setup) -> Verdict:
    """Say why there is no destination: none was wanted, or what was wanted cannot be used."""
    variable = f"OTEL_{signal}_EXPORTER"
    wanted = setup.environ.get(variable, "").strip() or "otlp"
    if wanted == "none":
        return ok(f"{variable}=none: not {done}")
    return problem(
        f"{variable}={wanted}: cannot be used as it is set up, nothing is {done}",
        "see what is said of the variables",
    )


def _checked(name: str, signal: str, setup: Setup) -> Verdict:
    target = exporters.destination(name, signal, setup.settings, setup.environ)
    try:
        exporters.load(target, signal)
    except ExporterError as error:
        return verdict.of(error.problem)
    if not target.address:
        return ok(f"{name}: is installed; it is not OTLP, and was not tried")
    wrong = _misaddressed(target, signal) or _not_reached(target, setup)
    return wrong or _sent(target, signal, setup)


def _misaddressed(target: Destination, signal: str) -> Verdict | None:
    """Say what is wrong with an address by the look of it."""
    backend = backend_of(target)
    if target.protocol == "grpc":
        if backend is not None:
            return problem(
                f"{target.chosen_by}: gRPC, and {target.address} takes HTTP only",
                f"write OTEL_EXPORTER_OTLP_{signal}_PROTOCOL=http/protobuf",
            )
        return None
    paths = list(_SIGNAL_PATH.finditer(target.address))
    if len(paths) > 1:
        base = target.address[: paths[0].start()]
        return problem(
            f"{target.variable}: the signal's path is in it, and is added once more: "
            f"{target.address}",
            f"write OTEL_EXPORTER_OTLP_ENDPOINT={base}",
        )
    wanted = f"/v1/{signal.lower()}"
    if paths and paths[0].group() != wanted:
        return problem(
            f"{target.variable}: {signal.lower()} go to the path of another signal: "
            f"{target.address}",
            f"write {target.variable}={target.address[: paths[0].start()]}{wanted}",
        )
    return None if backend is None else backend.not_kept(target, signal)


def _not_reached(target: Destination, setup: Setup) -> Verdict | None:
    """Say why there is no connection; None where there is one, or a proxy makes it."""
    host, port = target.host_and_port
    scheme = target.address.partition("://")[0]
    if scheme in getproxies() and not proxy_bypass(host):
        return None
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        backend = backend_of(target)
        region = f", its {backend.region} too," if backend is not None and backend.region else ""
        return problem(
            f"{target}: the name {host} is not known ({getattr(error, 'strerror', error)})",
            f"look at the spelling{region} in {target.variable}, and at this machine's DNS",
        )
    try:
        socket.create_connection((host, port), timeout=setup.timeout_s).close()
    except OSError as error:
        return _nobody_there(target, host, port, error, setup)
    return None


def _nobody_there(
    target: Destination, host: str, port: int, error: OSError, setup: Setup
) -> Verdict:
    where = f"{target}: nobody takes a connection at {host}:{port} ({error})"
    if host in _LOOPBACK and setup.in_container:
        return problem(
            f"{where}; in a container that is the container itself",
            f"write the Collector's own host into {target.variable}, in Kubernetes "
            "http://$(NODE_IP):4318",
        )
    if not setup.environ.get(target.variable, "").strip():
        return problem(
            f"{where}; this is the default, no variable names a destination",
            f"write the destination into {target.variable}, or start a Collector there",
        )
    return problem(
        where, f"start what is to listen there, or correct host and port in {target.variable}"
    )


def _sent(target: Destination, signal: str, setup: Setup) -> Verdict:
    try:
        exporter = exporters.make(target, signal)
    except ExporterError as error:
        return verdict.of(error.problem)
    if signal == "TRACES":
        answer = probe.send(exporter, probe.one_span(), setup.timeout_s)
        return _other_protocol(target, answer, setup) or explain(target, signal, answer, setup)
    temporality = dict(exporter._preferred_temporality or {})
    answer = probe.send(exporter, probe.one_point(temporality), setup.timeout_s)
    return (
        _other_protocol(target, answer, setup)
        or _other_temporality(target, answer, temporality, setup)
        or explain(target, signal, answer, setup)
    )


def _other_protocol(target: Destination, answer: probe.Answer, setup: Setup) -> Verdict | None:
    """Say that a port speaks the other of the two protocols, where it does."""
    if answer.failure not in ("connection", "timeout", "tls") and answer.code != "UNAVAILABLE":
        return None
    host, port = target.host_and_port
    http2 = probe.speaks_http2(host, port, setup.timeout_s)
    if target.protocol == "grpc" and http2 is False:
        name = (target.remedy if "=" in target.remedy else target.chosen_by).partition("=")[0]
        return problem(
            f"{target}: gRPC, and {host}:{port} takes HTTP only ({target.chosen_by})",
            f"write {name}=http/protobuf",
        )
    if target.protocol == "grpc" and http2 and not target.address.startswith("http://"):
        return problem(
            f"{target}: with TLS, which {host}:{port} does not speak",
            f"write {target.variable}=http://{host}:{port}",
        )
    if target.protocol != "grpc" and http2:
        return problem(
            f"{target}: HTTP, and {host}:{port} takes gRPC only",
            "write OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or the port that takes HTTP, which is 4318 "
            f"by default, into {target.variable}",
        )
    return None


def _other_temporality(
    target: Destination,
    answer: probe.Answer,
    temporality: dict[type, AggregationTemporality],
    setup: Setup,
) -> Verdict | None:
    """Say that delta is refused, where the same point is taken when it is cumulative."""
    is_delta = AggregationTemporality.DELTA in temporality.values()
    if not is_delta or (answer.status != 400 and not answer.rejected):
        return None
    exporter = exporters.make(target, "METRICS")
    again = probe.send(exporter, probe.one_point(probe.cumulative()), setup.timeout_s)
    if not again.accepted or again.rejected:
        return None
    said = f" ({answer.text})" if answer.text else ""
    return problem(
        f"{target}: refuses delta{said}, and takes the same cumulative "
        f"({_PREFERENCE}={os.environ.get(_PREFERENCE, '')})",
        f"write {_PREFERENCE}=cumulative, or unset it",
    )
