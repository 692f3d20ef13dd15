# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""The job's side: a thread that sends what was recorded to the worker, as it goes.

Nothing is queued but the calls that open and close. While the worker does not read, the thread
waits in its write, and what is recorded meanwhile adds up where it is recorded, in the tally and
in the SDK's aggregations: bounded by the number of series, and nothing is lost.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from ..guard import guarded
from .frames import REASON_INVALID, Encoder
from .rows import Batch, Opened, Row, dropped_row

_logger = logging.getLogger("opentelemetry.instrumentation.livekit_agents")

INTERVAL_S: Final = 5.0
"""Seconds after which values are sent that nobody asked to be sent at once."""
SOON_S: Final = 1.0
"""Seconds that anything of a call waits at most: what a crash takes is younger."""
_GAP_S: Final = 0.1
"""Seconds between two frames, so that what a turn's end sets off goes in one."""


class _Event(NamedTuple):
    opened: Opened | None
    closed: str | None
    record: Callable[[], None] | None


class Source(Protocol):
    """Where rows come from."""

    def take(self) -> list[Row]:
        """Return what was recorded since the last time."""


class Relay:
    """Sends rows to the worker on a daemon thread; no method but flush and close ever waits.

    Args:
        channel: The process's end of what ``Aggregator.add_process`` made; owned from now on.
        sources: Where the rows of every frame come from.
        interval_s: Seconds between collections that nobody asked for. Default: 5.
    """

    def __init__(
        self,
        channel: socket.socket,
        sources: Iterable[Source] = (),
        *,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._channel = channel
        self._sources = tuple(sources)
        self._slow_sources: list[Source] = []
        self._interval_s = interval_s
        self._encoder = Encoder()
        self._condition = threading.Condition()
        self._events: list[_Event] = []
        self._due = self._all_due = time.monotonic() + interval_s
        self._sent_at = 0.0
        self._asked = self._done = 0
        self._closing = self._ended = False
        self._thread = threading.Thread(
            target=self._run, name="livekit-agents-metrics-relay", daemon=True
        )
        self._thread.start()
        if hasattr(os, "register_at_fork"):
            this = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _disown(this()))

    def add_reader(self, reader: Source) -> None:
        """Send rows of others too: on the interval and when everything is, not with each frame.

        A collection of the SDK costs as much as all that a turn records.
        """
        with self._condition:
            self._slow_sources.append(reader)

    def call_opened(
        self,
        call_id: str,
        if_lost: Iterable[Row],
        record: Callable[[], None] | None = None,
    ) -> None:
        """Tell the worker, at once, that a call began.

        Args:
            call_id: Tells the calls of this process apart.
            if_lost: What the worker adds, once, if this process ends before the call is closed;
                see ``own_row``. Until then those series stand at 0.
            record: Records what belongs in the same frame; called on the relay's thread.
        """
        self._tell(_Event(Opened(call_id, tuple(if_lost)), None, record))

    def call_closed(self, call_id: str, record: Callable[[], None] | None = None) -> None:
        """Tell the worker, at once, that a call ended in good order.

        Args:
            call_id: As it was opened.
            record: Records what the call comes to (its count, outcome, duration); called on the
                relay's thread, so that those numbers and the close are in one frame and a kill
                in between cannot make the call count twice.
        """
        self._tell(_Event(None, call_id, record))

    def poke(self) -> None:
        """Send what was recorded at once: a turn, a tool or a conversion is complete."""
        with self._condition:
            self._hurry()

    def remind(self) -> None:
        """Send what was recorded within a second, with whatever else will be by then."""
        with self._condition:
            self._hurry(SOON_S)

    def flush(self, timeout_s: float) -> bool:
        """Send everything and wait until it is with the operating system.

        Returns:
            Whether it was within ``timeout_s`` seconds.
        """
        with self._condition:
            self._asked += 1
            asked = self._asked
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._done >= asked or self._ended, timeout_s)
            return self._done >= asked

    def close(self, timeout_s: float) -> bool:
        """Send everything and end the channel: the worker knows that no more will come.

        Returns:
            Whether everything was sent within ``timeout_s`` seconds.
        """
        with self._condition:
            self._closing = True
        return self.flush(timeout_s)

    def _tell(self, event: _Event) -> None:
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

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except OSError as error:
            _logger.debug("the worker is gone (%s); metrics of this process end here", error)
        finally:
            self._channel.close()
            with self._condition:
                self._ended = True
                self._condition.notify_all()

    def _turn(self) -> bool:
        """Wait until a frame is due and send it; return whether there is to be another."""
        with self._condition:
            while self._done >= self._asked and (wait := self._due - time.monotonic()) > 0:
                self._condition.wait(wait)
            asked, closing = self._asked, self._closing
            events, self._events = self._events, []
            sources = self._sources
            if asked > self._done or closing or time.monotonic() >= self._all_due:
                sources += tuple(self._slow_sources)
                self._all_due = time.monotonic() + self._interval_s
            self._due = self._all_due
        self._send(events, sources)
        with self._condition:
            self._sent_at = time.monotonic()
            self._done = asked
            self._condition.notify_all()
        return not closing

    def _send(self, events: list[_Event], sources: Iterable[Source]) -> None:
        for event in events:
            if event.record is not None:
                with guarded("recording a call"):
                    event.record()
        rows: list[Row] = []
        for source in sources:
            with guarded("collecting metrics"):
                rows += source.take()
        if rows or events:
            opened = [event.opened for event in events if event.opened is not None]
            closed = [event.closed for event in events if event.closed is not None]
            # at 0 from now on, so that a crash is an increase
            rows += [row._replace(value=0) for call in opened for row in call.if_lost]
            self._write(Batch(tuple(rows), tuple(opened), tuple(closed)))
        if lost := self._encoder.invalid:
            self._encoder.invalid = 0
            self._write(Batch((dropped_row(REASON_INVALID, lost),)))

    def _write(self, batch: Batch) -> None:
        for frame in self._encoder.encode(batch):
            self._channel.sendall(frame)


def _disown(relay: Relay | None) -> None:
    """Let go of the channel in a child that was forked off: it is not the job."""
    if relay is not None:
        relay._condition = threading.Condition()
        relay._ended = True
        relay._channel.close()
