# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the answer to a test export means, and what to change."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from ...providers.exporters import Destination
from ...providers.presets import PRESETS, grafana_cloud, langfuse
from .probe import Answer
from .verdict import Setup, Verdict, ok, problem, warning

OWN_ENDPOINT: Final = "the endpoint of your exporter"
"""Stands where a variable is named otherwise: it may be passed in code."""

_OWN_HEADERS: Final = "the headers of your exporter"
_GRPC_REFUSED: Final = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403}
_INGESTION: Final = "x-langfuse-ingestion-version"
_HTTPS_WANTED: Final = ("HTTPS port", "HTTPS server")


def host_and_port(target: Destination) -> tuple[str, int]:
    """Return where a destination connects to."""
    address = target.address if "://" in target.address else f"//{target.address}"
    url = urlsplit(address)
    return url.hostname or "", url.port or (443 if url.scheme in ("https", "") else 80)


def backend_of(target: Destination) -> str:
    """Return the hosted backend that an address is of, by the names of presets; empty: another."""
    if target.entry_point in PRESETS:
        return target.entry_point
    host, _ = host_and_port(target)
    if host.endswith("langfuse.com") or langfuse.PATH in target.address:
        return langfuse.NAME
    return grafana_cloud.NAME if host.endswith(".grafana.net") else ""


def explain(target: Destination, signal: str, answer: Answer, setup: Setup) -> Verdict:
    """Return what an answer means.

    Args:
        target: Where the export went.
        signal: ``TRACES`` or ``METRICS``.
        answer: What came back.
        setup: For the variables and the time that a call's end waits.
    """
    status = answer.status or _GRPC_REFUSED.get(answer.code, 0)
    said = f" ({answer.text})" if answer.text else ""
    if status in (401, 403):
        return _refused(target, signal, status, said, setup)
    if answer.failure or answer.code:
        return _not_answered(target, answer, said)
    if answer.status:
        verdict = _by_status(target, signal, answer, said)
        if verdict is not None:
            return verdict
    elif not answer.accepted:
        return problem(
            f"{target}: the exporter failed{said or ' and does not say why'}",
            f"look at {target.variable or 'its variables'}, and at the log of a worker",
        )
    if backend_of(target) == langfuse.NAME and target.entry_point != langfuse.NAME:
        late = _late_in_langfuse(target, signal, setup)
        if late is not None:
            return late
    return _accepted(target, answer, said, setup)


def _late_in_langfuse(target: Destination, signal: str, setup: Setup) -> Verdict | None:
    """Say that a header is missing without which Langfuse shows spans minutes later."""
    variable, _ = _headers(target, signal, setup)
    if variable == _OWN_HEADERS or _INGESTION in setup.environ.get(variable, "").lower():
        return None
    return warning(
        f"{target}: took a test export; without the header {_INGESTION} Langfuse shows spans up "
        "to 10 minutes late, and reads LiveKit's own by its own guesses",
        "write OTEL_TRACES_EXPORTER=langfuse with LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY, or "
        f"add {_INGESTION}=4 to {variable}",
    )


def _accepted(target: Destination, answer: Answer, said: str, setup: Setup) -> Verdict:
    took = f"{answer.seconds * 1000:.0f} ms"
    if answer.rejected:
        return problem(
            f"{target}: answers with success and has rejected what was sent{said}",
            "change what it says; the exporter itself takes this for success",
        )
    if answer.seconds > setup.settings.flush_timeout_s:
        return warning(
            f"{target}: took a test export, in {took}; the end of a call waits "
            f"{setup.settings.flush_timeout_s:g} s for its last spans",
            "send to a Collector near the worker, or raise CALLSPAN_FLUSH_TIMEOUT, up to 8",
        )
    return ok(f"{target}: took a test export, in {took}")


def _by_status(target: Destination, signal: str, answer: Answer, said: str) -> Verdict | None:
    """Return what a status other than 401 and 403 means; None where it is success."""
    path = f"/v1/{signal.lower()}"
    here = f"{target}: answers {answer.status}"
    if answer.status < 300:
        if answer.content_type == "text/html":
            return problem(
                f"{here} with a web page: nothing there takes OTLP",
                f"write the address of its OTLP endpoint into {target.variable}",
            )
        return None
    if answer.status < 400:
        to = answer.location.partition("?")[0] or "another address"
        return problem(
            f"{here}, a redirect to {to}: what is sent is lost, and the exporter says success",
            f"write the address that it points to into {target.variable}",
        )
    if any(words in answer.text for words in _HTTPS_WANTED):
        return problem(
            f"{here}: this port wants TLS",
            f"write https:// instead of http:// in {target.variable}",
        )
    if answer.status in (404, 405):
        return problem(f"{here}: no OTLP at this path", _right_path(target, signal, path))
    if answer.status == 415:
        return problem(
            f"{here}: it does not take OTLP as protobuf over HTTP{said}",
            f"look up which protocol {target.variable} is the address for",
        )
    if answer.status == 429:
        return warning(
            f"{here}: too many requests, or a quota that is used up{said}",
            "look at the plan's limits; put a Collector in between, which sends in larger batches",
        )
    if answer.status >= 500:
        return problem(
            f"{here}: it is not available, or has a fault of its own{said}",
            "look at its log or its status page, and try again",
        )
    return problem(f"{here}: it does not take what was sent{said}", "change what it says")


def _right_path(target: Destination, signal: str, path: str) -> str:
    backend = backend_of(target)
    if backend == langfuse.NAME:
        return (
            f"write {langfuse.ADDRESSES[0]} without a path of its API; a server of your "
            f"own has to be {langfuse.OLDEST} or newer"
            if target.entry_point == backend
            else f"write https://<host>{langfuse.PATH} into {target.variable}"
        )
    if backend == grafana_cloud.NAME:
        return f"write https://otlp-gateway-<zone>.grafana.net/otlp into {target.variable}"
    if target.variable == OWN_ENDPOINT:
        return (
            f"look up the path that it takes OTLP at: {path} is added to "
            "OTEL_EXPORTER_OTLP_ENDPOINT, and nothing to an endpoint that is passed in code"
        )
    if not target.variable.endswith(f"_{signal}_ENDPOINT"):
        return f"look up the path that it takes OTLP at; {path} is added to {target.variable}"
    bare = not urlsplit(target.address).path.strip("/")
    written = f"{target.address.rstrip('/')}{path}" if bare else f"…{path}"
    return f"nothing is added to {target.variable}: write {target.variable}={written}"


def _refused(target: Destination, signal: str, status: int, said: str, setup: Setup) -> Verdict:
    """Name what can be wrong where the key is not taken: it, its place, its region, its rights."""
    host, _ = host_and_port(target)
    backend = backend_of(target)
    finding = f"{target}: answers {status}, the key is not taken{said}"
    if backend == langfuse.NAME:
        keys = f"{langfuse.PUBLIC_KEY} and {langfuse.SECRET_KEY}"
        where = langfuse.ADDRESSES[0]
        if target.entry_point != backend:
            keys = f"{_headers(target, signal, setup)[0]} (Basic, base64 of public:secret)"
            where = target.variable
        return problem(
            f"{finding}: the keys are wrong, or of a project in another region than {host}",
            f"copy both keys from the project's settings into {keys}, and the project's region "
            f"into {where}: {langfuse.EU} (EU), {langfuse.US} (US), "
            "https://jp.cloud.langfuse.com, https://hipaa.cloud.langfuse.com or your own server",
        )
    if backend == grafana_cloud.NAME:
        keys = f"{grafana_cloud.INSTANCE_ID}, {grafana_cloud.API_KEY}"
        if target.entry_point != backend:
            keys = f"{_headers(target, signal, setup)[0]} (Basic, base64 of instance:token)"
        return problem(
            f"{finding}: the instance id or the token is wrong, or of a stack in another zone "
            f"than {host}, or the token lacks {signal.lower()}:write",
            f"copy endpoint, instance id and a token with {signal.lower()}:write from the "
            f"OpenTelemetry tile of one stack, into {target.variable}, {keys}",
        )
    variable, is_set = _headers(target, signal, setup)
    if not is_set:
        return problem(
            f"{finding}: none is sent",
            f"write it into {variable}, for example {variable}=authorization=Basic%20dXNlcjpw",
        )
    return problem(
        f"{finding}: it is wrong, or of another region or account than {host}",
        f"look at {variable} (name=value, percent-encoded) and at {target.variable}",
    )


def _headers(target: Destination, signal: str, setup: Setup) -> tuple[str, bool]:
    """Return the variable that a signal's headers come from, and whether it is set."""
    if target.variable == OWN_ENDPOINT:
        return _OWN_HEADERS, True
    own = f"OTEL_EXPORTER_OTLP_{signal}_HEADERS"
    if setup.environ.get(own, "").strip():
        return own, True
    name = "OTEL_EXPORTER_OTLP_HEADERS"
    return name, bool(setup.environ.get(name, "").strip())


def _not_answered(target: Destination, answer: Answer, said: str) -> Verdict:
    if answer.failure == "timeout" or answer.code == "DEADLINE_EXCEEDED":
        return problem(
            f"{target}: takes the connection and does not answer within {answer.seconds:.1f} s",
            "look at its log, and whether a firewall or proxy on the way holds it up",
        )
    if answer.failure == "tls":
        if "WRONG_VERSION_NUMBER" in answer.text or "record layer" in answer.text:
            return problem(
                f"{target}: this port speaks without TLS",
                f"write http:// instead of https:// in {target.variable}",
            )
        return problem(
            f"{target}: its certificate is not trusted, or not for this host{said}",
            "name your certificate authority in REQUESTS_CA_BUNDLE or "
            f"OTEL_EXPORTER_OTLP_CERTIFICATE, or correct the host in {target.variable}",
        )
    if answer.failure == "proxy":
        return problem(
            f"{target}: the proxy of HTTP_PROXY or HTTPS_PROXY does not let it through{said}",
            f"correct the proxy, or add {host_and_port(target)[0]} to NO_PROXY",
        )
    if answer.code:
        return problem(
            f"{target}: answers {answer.code}{said}",
            f"if it takes HTTP, write OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf and its HTTP "
            f"address into {target.variable}",
        )
    return problem(
        f"{target}: no connection, or one that is closed without an answer{said}",
        f"look at host and port in {target.variable}, and which protocol that port takes",
    )
