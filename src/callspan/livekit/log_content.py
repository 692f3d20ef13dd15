# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""LiveKit's log records leave without content, where the wrapper command exports log records.

LiveKit puts what is said, and what tools are given, into ``extra=``, into texts and into
tracebacks. The handler that ``opentelemetry-instrument`` puts on the root logger sends all of it.
That handler is given copies that are made from what is known to be none; every other handler, the
console's among them, is given the record. A handler that the application attached sends to a
provider of its own, and is left alone.
"""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from opentelemetry.sdk._logs import LoggerProvider

from .. import semconv
from ..diagnostics.guard import guarded
from .patches import MissingError, Patches

_STANDARD: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_redacting: Final[list[logging.Handler]] = []
_relayed: Final[ContextVar[str | None]] = ContextVar("callspan_relayed_body", default=None)
"""While a worker handles a record of a job: the text that may leave."""


def patch(patches: Patches) -> list[str]:
    """Have a job say which text of a record may leave: a worker gets it with its values filled in.

    Returns:
        What this version of livekit-agents has no place for, in plain words.
    """

    def queue(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        with guarded("sending a log record to the worker"):
            if _redacting and _is_livekits(args[0].name):
                relayed = copy.copy(args[0])
                setattr(relayed, semconv.RECORD_BODY, _text_in_code(args[0]))
                args = (relayed, *args[1:])
        return wrapped(*args, **kwargs)

    try:
        patches.wrap("livekit.agents.ipc.log_queue", "LogQueueHandler.emit", queue)
    except MissingError as error:
        return [f"{error}: texts of log records that a job sends to its worker are not exported"]
    return []


@contextmanager
def of_job(record: logging.LogRecord) -> Iterator[None]:
    """Have what a job said of a record's text hold while the worker handles the record."""
    token = _relayed.set(vars(record).pop(semconv.RECORD_BODY, semconv.REDACTED))
    try:
        yield
    finally:
        _relayed.reset(token)


def redact(*, content: bool) -> None:
    """Take content out of what the wrapper command's handlers in this process export.

    Args:
        content: Whether it may be exported: then nothing is done.
    """
    for handler in () if content else _exporting():
        if _is_commands(handler) and handler not in _redacting:
            _redacting.append(handler)
            handler.emit = _without_content(handler)  # type: ignore[method-assign]


def restore() -> None:
    """Have the wrapper command's handlers export records as they are."""
    while _redacting:
        vars(_redacting.pop()).pop("emit", None)


def has_own_handler() -> bool:
    """Tell whether the application exports LiveKit's log records itself."""
    return any(not _is_commands(handler) for handler in _exporting())


def policy(*, content: bool) -> str:
    """Say how LiveKit's log records are exported; empty where they are not.

    Args:
        content: Whether the wrapper command's handlers export content.
    """
    kinds = {_is_commands(handler) for handler in _exporting()}
    said = {True: f"{'with' if content else 'without'} content", False: "as your own handler does"}
    return " and ".join(said[kind] for kind in sorted(kinds, reverse=True))


def _exporting() -> Iterator[logging.Handler]:
    """Yield the handlers of OpenTelemetry's that LiveKit's records come to."""
    known = logging.root.manager.loggerDict
    livekits = [one for name, one in known.items() if _is_livekits(name)]
    for logger in (logging.root, *livekits):
        for handler in getattr(logger, "handlers", ()):
            # LiveKit Cloud's own has a policy of its own, set for the project
            of_livekit = type(handler).__module__.startswith("livekit.")
            if isinstance(_provider_of(handler), LoggerProvider) and not of_livekit:
                yield handler


def _provider_of(handler: logging.Handler) -> object:
    return getattr(handler, "_logger_provider", None)


def _is_commands(handler: logging.Handler) -> bool:
    provider = _provider_of(handler)
    return (
        isinstance(provider, LoggerProvider)
        and semconv.TELEMETRY_AUTO_VERSION in provider.resource.attributes
    )


def _is_livekits(name: str) -> bool:
    return name == semconv.LK_LOGGER or name.startswith(f"{semconv.LK_LOGGER}.")


def _without_content(handler: logging.Handler) -> Any:
    emit_whole = handler.emit

    def emit(record: logging.LogRecord) -> None:
        cleaned = None
        with guarded("taking content out of a log record"):
            cleaned = _clean(record) if _is_livekits(record.name) else record
        if cleaned is not None:
            emit_whole(cleaned)

    return emit


def _clean(record: logging.LogRecord) -> logging.LogRecord:
    cleaned = copy.copy(record)
    cleaned.msg, cleaned.args = _text_in_code(record), None
    # its type is exported still; its message and its traceback quote what failed
    cleaned.exc_info = (record.exc_info[0], None, None) if record.exc_info else None  # type: ignore[assignment]
    cleaned.exc_text = cleaned.stack_info = None
    for key, value in vars(record).items():
        known = key in semconv.LK_RECORD_FIELDS and isinstance(value, str)
        if not (key in _STANDARD or known or isinstance(value, int | float)):
            delattr(cleaned, key)
    return cleaned


def _text_in_code(record: logging.LogRecord) -> str:
    """Return a record's text as it stands in the code that logs it, without what is filled in."""
    if (relayed := _relayed.get()) is not None:
        return relayed
    frame = sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        code = frame.f_code
        if (code.co_filename, code.co_name) == (record.pathname, record.funcName):
            return record.msg if record.msg in code.co_consts else semconv.REDACTED
    return semconv.REDACTED
