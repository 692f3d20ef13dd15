# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A real trace backend, Arize Phoenix, on the loopback.

Whether a call is one tree, and which calls make a session, is for a backend to say: it groups what
it was sent by rules of its own, and a receiver of ours would only repeat what we believe of them.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kit.logged_process import LoggedProcess
from kit.scrape import free_port

BINARY_VARIABLE: Final = "PHOENIX_BINARY"
"""Names Phoenix's executable, in a virtual environment of its own: its pins are not ours."""

_HOST: Final = "127.0.0.1"
_READY: Final = "Uvicorn running on"
"""Logged once the listener is bound and the database is there."""
_START_TIMEOUT_S: Final = 120
"""On a fresh machine it compiles its modules and makes its database, which takes about 15 s."""
_POLL_S: Final = 0.25
_PAGE_SIZE: Final = 1000

_KEPT_TO_ITSELF: Final = {
    "PHOENIX_TELEMETRY_ENABLED": "false",
    # the first alone leaves a web font in its pages and a documentation server in its assistant
    "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
}

Key = tuple[str, str]
"""A trace id and a span id, in lower-case hex."""


class PhoenixUnavailableError(Exception):
    """There is no Phoenix to run; the message says what to do."""


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """A span as Phoenix has it.

    Attributes:
        name: Its name.
        trace_id: Its trace, in hex.
        span_id: Its id, in hex.
        parent_id: The id of its parent; None for a root.
        kind: What Phoenix takes it for, such as ``LLM`` or ``UNKNOWN``; not OpenTelemetry's kind.
        attributes: Its attributes by their dotted names.
        node_id: What Phoenix itself calls it.
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    kind: str
    attributes: dict[str, Any]
    node_id: str

    @property
    def key(self) -> Key:
        """What tells it from every other span."""
        return self.trace_id, self.span_id


def find() -> str:
    """Return Phoenix's executable.

    Raises:
        PhoenixUnavailableError: If there is none.
    """
    given = os.environ.get(BINARY_VARIABLE)
    path = shutil.which(given or "phoenix")
    if path is None:
        where = f"{BINARY_VARIABLE}={given}" if given else f"PATH={os.environ.get('PATH', '')}"
        raise PhoenixUnavailableError(
            f"no executable of Arize Phoenix at {where}: make test-backends installs it where "
            "there is a network; or pip install arize-phoenix into an environment of its own and "
            f"set {BINARY_VARIABLE} to its bin/phoenix"
        )
    return path


class Phoenix(LoggedProcess):
    """A Phoenix that is empty at first, tells nobody of itself, and ends with its ``with`` block.

    Args:
        binary: Its executable.
        directory: Where it keeps its database.
    """

    def __init__(self, binary: str, directory: Path) -> None:
        port = free_port()
        self.url = f"http://{_HOST}:{port}"
        """Its page, its API, and what to put into ``OTEL_EXPORTER_OTLP_ENDPOINT``."""
        super().__init__(
            [binary, "serve"],
            ready=_READY,
            env={
                **_KEPT_TO_ITSELF,
                "PHOENIX_HOST": _HOST,
                "PHOENIX_PORT": str(port),
                # any free one: it cannot be switched off, and is not kept to the loopback
                "PHOENIX_GRPC_PORT": "0",
                "PHOENIX_WORKING_DIR": str(directory),
                # whatever database the user's own Phoenix has
                "PHOENIX_SQL_DATABASE_URL": f"sqlite:///{directory / 'phoenix.db'}",
                "PHOENIX_LOG_MIGRATIONS": "false",
            },
        )

    def start(self) -> None:
        """Wait until it takes spans.

        Raises:
            RuntimeError: If it does not; the message has the end of its log.
        """
        self.wait_until_ready(_START_TIMEOUT_S)

    def spans(self, project: str) -> list[StoredSpan]:
        """Return the spans that it has of a project, in no order."""
        return [_read_span(span) for span in self._all(f"projects/{project}/spans")]

    def sessions(self, project: str) -> dict[str, list[str]]:
        """Return the trace ids of each session of a project, by the session's id."""
        return {
            session["session_id"]: [trace["trace_id"] for trace in session["traces"]]
            for session in self._all(f"projects/{project}/sessions")
        }

    def tokens(self, project: str) -> dict[str, tuple[int, int]]:
        """Return what each trace took by Phoenix's count, input and output, by the trace's id."""
        return {
            trace["trace_id"]: (trace["token_count_prompt"], trace["token_count_completion"])
            for trace in self._all(f"projects/{project}/traces")
        }

    def wait_for_spans(
        self, project: str, wanted: set[Key], *, timeout_s: float = 30
    ) -> list[StoredSpan]:
        """Wait until it has all of some spans; it stores them a moment after it took them.

        Returns:
            All the spans of the project.

        Raises:
            AssertionError: If some are not there within ``timeout_s`` seconds.
        """
        deadline = time.monotonic() + timeout_s
        spans = self.spans(project)
        while missing := wanted - {span.key for span in spans}:
            assert time.monotonic() < deadline, (
                f"after {timeout_s:g} s Phoenix has {len(spans)} spans of project {project!r}, "
                f"and {len(missing)} of {len(wanted)} are missing: {sorted(missing)[:5]}"
            )
            time.sleep(_POLL_S)
            spans = self.spans(project)
        return spans

    def address(self, project: str, page: str) -> str:
        """Return the address of a page of a project, such as ``sessions``."""
        return f"{self.url}/projects/{self._get(f'projects/{project}')['data']['id']}/{page}"

    def _all(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield every item of a list, or none of a project that nothing was sent for yet."""
        cursor: str | None = None
        while True:
            try:
                page = self._get(path, limit=_PAGE_SIZE, **({"cursor": cursor} if cursor else {}))
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return
                raise
            yield from page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _get(self, path: str, **parameters: object) -> Any:
        url = f"{self.url}/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as response:
            return json.load(response)


def _read_span(span: dict[str, Any]) -> StoredSpan:
    return StoredSpan(
        name=span["name"],
        trace_id=span["context"]["trace_id"],
        span_id=span["context"]["span_id"],
        parent_id=span["parent_id"],
        kind=span["span_kind"],
        attributes=span["attributes"],
        node_id=span["id"],
    )
