# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the answer to a test export means, and what to change."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from ...providers.exporters import Destination
from .addresses import OWN_ENDPOINT, headers_variable
from .backends import backend_of
from .probe import Answer
from .verdict import Setup, Verdict, ok, problem, warning

_GRPC_REFUSED: Final = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403}
_HTTPS_WANTED: Final = ("HTTPS port", "HTTPS server")


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
    backend = backend_of(target)
    further = None if backend is None else backend.accepted(target, signal, setup)
    return further or _accepted(target, answer, said, setup)


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
    if (backend := backend_of(target)) is not None:
        return backend.right_path(target)
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
    finding = f"{target}: answers {status}, the key is not taken{said}"
    if (backend := backend_of(target)) is not None:
        reason, remedy = backend.refused(target, signal, setup)
        return problem(f"{finding}: {reason}", remedy)
    variable, is_set = headers_variable(target, signal, setup)
    if not is_set:
        return problem(
            f"{finding}: none is sent",
            f"write it into {variable}, for example {variable}=authorization=Basic%20dXNlcjpw",
        )
    host, _ = target.host_and_port
    return problem(
        f"{finding}: it is wrong, or of another region or account than {host}",
        f"look at {variable} (name=value, percent-encoded) and at {target.variable}",
    )


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
            f"correct the proxy, or add {target.host_and_port[0]} to NO_PROXY",
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
