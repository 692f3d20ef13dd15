# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A request has a deadline as a whole, however its receiver spreads its answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import requests
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.resources import Resource

from callspan import semconv
from callspan.config.settings import Settings
from callspan.metrics.wire.rows import own_row
from callspan.metrics.worker.push import MetricPusher
from callspan.metrics.worker.state import State
from callspan.providers import exporters
from callspan.providers.deadline_session import DeadlineSession

_BYTE_S = 0.05
"""Between two bytes of an answer: each is well within the timeout."""


class _Dripping:
    """A receiver that sends its answer byte by byte until it is cut off; then it answers at once.

    Attributes:
        dripped: Bytes sent to each connection that was cut off.
    """

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.dripped: list[int] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._closed = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        drips = True
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                client.recv(1 << 16)
                if not drips:
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    continue
                drips = False
                self._drip(client)

    def _drip(self, client: socket.socket) -> None:
        for sent in range(1 << 16):
            try:
                client.send(self._answer[sent : sent + 1] or b"x")
            except OSError:
                self.dripped.append(sent)
                return
            if self._closed.wait(_BYTE_S):
                return

    def close(self) -> None:
        self._closed.set()
        self._listener.close()


@pytest.fixture(
    params=[
        b"",
        b"HTTP/1.1 200 OK\r\nX-Header: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n",
    ],
    ids=["status", "header", "body"],
)
def receiver(request: pytest.FixtureRequest) -> Iterator[_Dripping]:
    made = _Dripping(request.param)
    yield made
    made.close()


def test_a_receiver_that_drips_is_cut_off(receiver: _Dripping) -> None:
    """Wherever in the answer it drips; the session's next request is answered."""
    session = DeadlineSession()
    with pytest.raises(requests.RequestException):
        session.post(receiver.url, data=b"spans", timeout=0.5)

    assert session.post(receiver.url, data=b"spans", timeout=60).text == "ok"
    # had it not been cut off, the receiver would still be with its first connection
    (dripped,) = receiver.dripped
    assert dripped > 0


def test_without_a_timeout_nothing_is_cut() -> None:
    """As with any session."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(1 << 16)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        threading.Thread(target=answer, daemon=True).start()
        assert DeadlineSession().get(url).text == "ok"


def test_a_push_of_metrics_goes_on_after_a_receiver_that_drips(
    receiver: _Dripping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's exporter has no such deadline: its thread would be with that receiver for good."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    exporter = exporters.make(exporters.destination("otlp", "METRICS", Settings()), "METRICS")
    export, arrived = exporter.export, threading.Event()

    def note(*args: object, **kwargs: object) -> object:
        if (result := export(*args, **kwargs)) is MetricExportResult.SUCCESS:
            arrived.set()
        return result

    monkeypatch.setattr(exporter, "export", note)
    state = State()
    state.add(own_row(semconv.M_JOBS, {"agent_name": "a", "status": "done"}))
    push = MetricPusher(state, Resource.get_empty(), exporter, "otlp")

    assert arrived.wait(30)
    assert push.close(30)
    assert len(receiver.dripped) == 1
