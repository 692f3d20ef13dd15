# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""LiveKit's log records at the handlers of OpenTelemetry: whose they are, and what they export."""

from __future__ import annotations

import copy
import logging
import pickle
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from livekit.agents.ipc.log_queue import LogQueueHandler, LogQueueListener
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from callspan import semconv
from callspan.livekit import log_content, log_records
from callspan.livekit.patches import Patches

LIVEKITS = logging.getLogger("livekit.agents.test")
OTHERS = logging.getLogger("application.test")
WORD = "Zanzibar"


class Seen(logging.Handler):
    """A handler of anybody's."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.records.append(record)


class Exported:
    """A handler of OpenTelemetry's on the root logger, and what came of what it was given."""

    def __init__(self, *, by_command: bool) -> None:
        attributes = {semconv.TELEMETRY_AUTO_VERSION: "1"} if by_command else {}
        provider = LoggerProvider(resource=Resource(attributes), shutdown_on_exit=False)
        self._exporter = InMemoryLogRecordExporter()
        provider.add_log_record_processor(SimpleLogRecordProcessor(self._exporter))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.handler = LoggingHandler(logger_provider=provider)

    @property
    def records(self) -> list[tuple[Any, dict[str, Any]]]:
        """Bodies and attributes, without where it was logged."""
        return [
            (
                log.log_record.body,
                {
                    key: value
                    for key, value in (log.log_record.attributes or {}).items()
                    if not key.startswith("code.")
                },
            )
            for log in self._exporter.get_finished_logs()
        ]


@pytest.fixture
def attach() -> Iterator[Any]:
    """Attaches handlers to the root logger for one test."""
    attached: list[logging.Handler] = []

    def attach(handler: logging.Handler) -> None:
        logging.root.addHandler(handler)
        attached.append(handler)

    LIVEKITS.setLevel("DEBUG")
    OTHERS.setLevel("DEBUG")
    yield attach
    log_content.restore()
    for handler in attached:
        logging.root.removeHandler(handler)


def log_all() -> None:
    """Log content in every way that LiveKit does."""
    LIVEKITS.debug("executing tool", extra={"lk.pii.arguments": WORD, "function": "book"})
    LIVEKITS.info("user turn committed", extra={"delay": 0.25, "error": WORD, "room": WORD})
    LIVEKITS.warning("failed to say text: %s", WORD)
    LIVEKITS.warning(f"returned an error: {WORD}", extra={"speech_id": "speech_1", "items": [WORD]})
    try:
        raise LookupError(WORD)
    except LookupError:
        LIVEKITS.exception("exception occurred", extra={"payload": WORD}, stack_info=True)


EXPORTED = [
    ("executing tool", {"function": "book"}),
    ("user turn committed", {"delay": 0.25}),
    ("failed to say text: %s", {}),
    (semconv.REDACTED, {"speech_id": "speech_1"}),
    ("exception occurred", {"exception.type": "LookupError"}),
]


def test_the_commands_handler_exports_no_content(attach: Any) -> None:
    """Texts as they stand in the code, fields that are known; other handlers have the record."""
    exported, seen = Exported(by_command=True), Seen()
    attach(exported.handler)
    attach(seen)
    log_content.redact(content=False)
    log_all()
    assert exported.records == EXPORTED
    messages = [record.getMessage() for record in seen.records]
    assert messages[2:4] == [f"failed to say text: {WORD}", f"returned an error: {WORD}"]
    assert vars(seen.records[0])["lk.pii.arguments"] == WORD
    assert vars(seen.records[4])["payload"] == WORD
    assert str(seen.records[4].exc_info[1]) == WORD  # type: ignore[index]


def test_what_the_application_logs_is_exported_as_it_is(attach: Any) -> None:
    """It is the application's, and it asked for it to be exported."""
    exported = Exported(by_command=True)
    attach(exported.handler)
    log_content.redact(content=False)
    OTHERS.info(f"for {WORD}", extra={"caller": WORD})
    assert exported.records == [(f"for {WORD}", {"caller": WORD})]


@pytest.mark.parametrize(("by_command", "content"), [(True, True), (False, False)])
def test_an_export_that_may_have_content_is_left_alone(
    attach: Any, by_command: bool, content: bool
) -> None:
    """Asked for by variable, or a handler of the application's own."""
    exported = Exported(by_command=by_command)
    attach(exported.handler)
    log_content.redact(content=content)
    log_all()
    assert exported.records[0] == (
        "executing tool",
        {"lk.pii.arguments": WORD, "function": "book"},
    )
    assert exported.records[2][0] == f"failed to say text: {WORD}"
    assert exported.records[4][1]["exception.message"] == WORD


def test_it_can_be_undone(attach: Any) -> None:
    """As everything that is patched; and done twice it is done once."""
    exported = Exported(by_command=True)
    attach(exported.handler)
    log_content.redact(content=False)
    log_content.redact(content=False)
    log_content.restore()
    assert "emit" not in vars(exported.handler)
    LIVEKITS.debug("heard", extra={"lk.pii.text": WORD})
    assert exported.records == [("heard", {"lk.pii.text": WORD})]


@pytest.mark.parametrize(
    ("handlers", "said"),
    [
        ([], ""),
        ([True], "without content"),
        ([False], "as your own handler does"),
        ([True, False], "without content and as your own handler does"),
    ],
)
def test_what_is_exported_is_said(attach: Any, handlers: list[bool], said: str) -> None:
    """For the start line."""
    for by_command in handlers:
        attach(Exported(by_command=by_command).handler)
    assert log_content.policy(content=False) == said
    assert log_content.policy(content=True) == said.replace("without", "with")
    assert log_content.has_own_handler() == (False in handlers)


def test_a_record_that_a_job_sends_to_its_worker_keeps_its_text(
    attach: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There it comes with its values filled in, and its traceback."""
    patches = Patches()
    exported, seen, sent = Exported(by_command=True), Seen(), []
    attach(exported.handler)
    log_content.redact(content=False)
    assert [*log_content.patch(patches), *log_records.patch(patches)] == []
    try:
        queue = LogQueueHandler.__new__(LogQueueHandler)
        logging.Handler.__init__(queue)
        monkeypatch.setattr(
            queue, "_send_q", type("Queue", (), {"put_nowait": sent.append})(), raising=False
        )
        attach(queue)
        log_all()
        logging.root.removeHandler(queue)
        of_job = copy.copy(exported.records)
        attach(seen)
        listener = LogQueueListener.__new__(LogQueueListener)
        listener._prepare_fnc = lambda record: None
        for data in sent:
            listener.handle(pickle.loads(data))
    finally:
        patches.undo()
    assert of_job == EXPORTED
    of_worker = exported.records[len(of_job) :]
    assert of_worker[:4] == EXPORTED[:4]
    assert of_worker[4] == ("exception occurred", {})
    assert seen.records[2].getMessage() == f"failed to say text: {WORD}"
    assert f"LookupError: {WORD}" in seen.records[4].getMessage()
    assert not [record for record in seen.records if semconv.RECORD_BODY in vars(record)]
