# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The job's side: a thread that sends what was recorded to the worker, as it goes.

Nothing is queued but the calls that open and close. While the worker does not read, the thread
waits in its write, and what is recorded meanwhile adds up where it is recorded, in the accumulator
and in the SDK's aggregations: bounded by the number of series, and nothing is lost.

Readers of others are collected on a second thread, since their callbacks may take any time, and
what they gave is sent a slice at a time: what is our own, and the end of a call, waits for neither.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from ...diagnostics.guard import guarded
from ...diagnostics.log import logger
from ...semconv import REASON_FAILED, REASON_INVALID, REASON_NOT_DELIVERED
from ..wire.frames import Encoder
from ..wire.rows import Batch, Opened, Row, dropped_row
from .reader_thread import ReaderThread, Source

INTERVAL_S: Final = 5.0
"""Seconds after which values are sent that nobody asked to be sent at once."""
SOON_S: Final = 1.0
"""Seconds that anything of a call waits at most: what a crash takes is younger."""
_PROCESS: Final = "process"
"""Stands for the process among its open calls."""
_SLICE: Final = 256
"""Rows of others in a frame: some 20 ms of work, where a user's metric can have 50,000 rows."""
_GAP_S: Final = 0.1
"""Seconds between two frames, so that what a turn's end sets off goes in one."""


class _Event(NamedTuple):
    opened: Opened | None
    closed: str | None
    record: Callable[[], None] | None


class Relay:
    """Sends rows to the worker on a daemon thread; no method but flush and close ever waits.

    Args:
        channel: The process's end of what ``Aggregator.add_process`` made; owned from now on.
        sources: Where the rows of every frame come from.
        interval_s: Seconds between collections that nobody asked for. Default: 5.

    Attributes:
        at_risk: Returns what the worker adds, once, if this process is gone without ``end``; asked
            at each frame.
    """

    at_risk: Callable[[], list[Row]] | None = None

    def __init__(
        self,
        channel: socket.socket,
        sources: Iterable[Source] = (),
        *,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._channel = channel
        # as received from another process, it would live on in whatever a tool starts
        channel.set_inheritable(False)
        self._sources = tuple(sources)
        self._interval_s = interval_s
        self._encoder = Encoder()
        self._condition = threading.Condition()
        self._events: list[_Event] = []
        self._open_calls: set[str] = set()
        self._due = self._all_due = time.monotonic() + interval_s
        self._sent_at = 0.0
        # each time that everything is to be sent has a number
        self._asked = self._sent = 0
        self._readers: ReaderThread | None = None
        self._stopping = self._ended = False
        self._failures = 0
        self._risk_sent: list[Any] | None = None
        self._thread = threading.Thread(
            target=self._run, name="callspan-metrics-relay", daemon=True
        )
        self._thread.start()
        if hasattr(os, "register_at_fork"):
            this = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _close_in_child(this()))

    def add_reader(self, reader: Source) -> None:
        """Send rows of others too: on the interval and when everything is, not with each frame.

        A collection of the SDK costs as much as all that a turn records, and calls functions of
        the application.
        """
        with self._condition:
            if self._readers is None:
                self._readers = ReaderThread(self._condition)
            self._readers.add(reader, since=self._sent)

    def call_opened(
        self,
        call_id: str,
        crash_rows: Iterable[Row],
        record: Callable[[], None] | None = None,
    ) -> None:
        """Tell the worker, at once, that a call began.

        Args:
            call_id: Tells the calls of this process apart.
            crash_rows: What the worker adds, once, if this process ends before the call is closed;
                see ``own_row``. Until then those series stand at 0.
            record: Records what belongs in the same frame; called on the relay's thread.
        """
        self._queue(_Event(Opened(call_id, tuple(crash_rows)), None, record))

    def call_closed(self, call_id: str, record: Callable[[], None] | None = None) -> None:
        """Tell the worker, at once, that a call ended in good order.

        Args:
            call_id: As it was opened.
            record: Records what the call comes to (its count, outcome, duration); called on the
                relay's thread, so that those numbers and the close are in one frame and a kill
                in between cannot make the call count twice.
        """
        self._queue(_Event(None, call_id, record))

    def end(self, record: Callable[[], None]) -> None:
        """Tell the worker that nothing is at risk any more.

        Args:
            record: Records what was, as it turned out; called on the relay's thread.
        """
        self.at_risk = None
        self._queue(_Event(None, _PROCESS, record))

    def send_now(self) -> None:
        """Send what was recorded at once: a turn, a tool or a conversion is complete."""
        with self._condition:
            self._hurry()

    def send_soon(self) -> None:
        """Send what was recorded within a second, with whatever else will be by then."""
        with self._condition:
            self._hurry(SOON_S)

    def flush(self, timeout_s: float, *, others: bool = True) -> bool:
        """Send everything and wait until it is with the operating system.

        Args:
            timeout_s: Seconds to wait at most.
            others: Whether rows of others are waited for too. Default: they are.

        Returns:
            Whether it was within ``timeout_s`` seconds.
        """
        with self._condition:
            self._asked += 1
            asked = self._asked
            self._condition.notify_all()
            self._condition.wait_for(
                lambda: self._ended or self._all_sent(asked, others=others), timeout_s
            )
            return self._all_sent(asked, others=others)

    def close(self, timeout_s: float, *, others: bool = True) -> bool:
        """Send everything and end the channel: the worker knows that no more will come.

        Args:
            timeout_s: Seconds to wait at most.
            others: Whether rows of others are waited for too; those that are not sent then are
                counted as lost. Default: they are.

        Returns:
            Whether everything was sent within ``timeout_s`` seconds.
        """
        sent = self.flush(timeout_s, others=others)
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        # not longer than a moment: it may hang in its write
        self._thread.join(min(timeout_s, _GAP_S))
        return sent

    def _queue(self, event: _Event) -> None:
        with self._condition:
            if not self._ended:
                self._events.append(event)
                self._hurry()

    def _hurry(self, within_s: float = 0.0) -> None:
        due = max(self._sent_at + _GAP_S, time.monotonic() + within_s)
        # the thread that waits for this already is let sleep
        if due < self._due:
            self._due = due
            self._condition.notify_all()

    def _all_sent(self, asked: int, *, others: bool) -> bool:
        of_others = asked if self._readers is None or not others else self._readers.sent
        return min(self._sent, of_others) >= asked

    # --- on the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except OSError as error:
            logger.debug("the worker is gone (%s); metrics of this process end here", error)
        except BaseException:
            # our own failure is no crash of the calls that are open
            with contextlib.suppress(Exception):
                ended = (*self._open_calls, _PROCESS)
                self._write(Batch((dropped_row(REASON_FAILED),), (), ended))
            raise
        finally:
            self._channel.close()
            with self._condition:
                self._ended = True
                if self._readers is not None:
                    self._readers.stopped = True
                self._condition.notify_all()

    def _turn(self) -> bool:
        """Wait until a frame is due and send it; return whether there is to be another."""
        with self._condition:
            while not (self._stopping or self._is_due()):
                self._condition.wait(max(self._due - time.monotonic(), 0.0))
            if time.monotonic() >= self._all_due:
                self._asked += 1
                self._all_due = time.monotonic() + self._interval_s
            asked, stopping = self._asked, self._stopping
            events, self._events = self._events, []
            collected: list[Row] = []
            if self._readers is not None:
                collected = self._readers.drain(_SLICE)
                self._readers.ask(asked)
                if stopping and (lost := self._readers.waiting):
                    collected.append(dropped_row(REASON_NOT_DELIVERED, lost))
            self._due = self._all_due
        self._contain(events, collected)
        with self._condition:
            self._sent_at = time.monotonic()
            self._sent = asked
            if self._readers is not None:
                self._readers.sent = self._readers.taken
            self._condition.notify_all()
        return not stopping

    def _is_due(self) -> bool:
        return (
            self._sent < self._asked
            or time.monotonic() >= self._due
            or (self._readers is not None and self._readers.has_rows)
        )

    def _contain(self, events: list[_Event], collected: list[Row]) -> None:
        """Send a frame; what fails in it, but for the channel itself, ends with it."""
        gone: OSError | None = None
        failed = True
        with guarded("sending metrics to the worker"):
            try:
                self._send(events, collected)
            except OSError as error:
                gone = error
            failed = False
        self._failures += failed
        if gone is not None:
            raise gone

    def _send(self, events: list[_Event], collected: list[Row]) -> None:
        for event in events:
            if event.record is not None:
                with guarded("recording a call"):
                    event.record()
            if event.opened is not None:
                self._open_calls.add(event.opened.call_id)
            if event.closed is not None:
                self._open_calls.discard(event.closed)
        rows = collected
        for source in self._sources:
            with guarded("collecting metrics"):
                rows += source.drain()
        if self._failures:
            rows.append(dropped_row(REASON_FAILED, self._failures))
            self._failures = 0
        opened = [event.opened for event in events if event.opened is not None]
        closed = tuple(event.closed for event in events if event.closed is not None)
        # at 0 from now on, so that a crash is an increase
        rows += [row._replace(value=0) for call in opened for row in call.crash_rows]
        with guarded("noting what is at risk"):
            rows += self._note_risk(opened)
        if rows or opened or closed:
            try:
                self._write(Batch(tuple(rows), tuple(opened), closed))
            except OSError:
                raise
            except Exception:
                # numbers are lost; that a call has begun or ended is not
                self._write(Batch((), tuple(opened), closed))
                raise
        if lost := self._encoder.invalid:
            self._encoder.invalid = 0
            self._write(Batch((dropped_row(REASON_INVALID, lost),)))

    def _note_risk(self, opened: list[Opened]) -> list[Row]:
        """Add what is at risk, where the worker does not know it yet; return its first zeros."""
        if self.at_risk is None:
            return []
        rows = self.at_risk()
        known, self._risk_sent = self._risk_sent, [(row.attributes, row.value) for row in rows]
        if known == self._risk_sent:
            return []
        opened.append(Opened(_PROCESS, tuple(rows)))
        return [row._replace(value=0) for row in rows] if known is None else []

    def _write(self, batch: Batch) -> None:
        for frame in self._encoder.encode(batch):
            self._channel.sendall(frame)


def _close_in_child(relay: Relay | None) -> None:
    """Let go of the channel in a child that was forked off: it is not the job."""
    if relay is not None:
        relay._condition = threading.Condition()
        relay._ended = True
        relay._channel.close()
