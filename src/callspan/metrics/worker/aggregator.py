# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The worker's side: one thread that reads what all job processes write into one state."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from ...diagnostics.guard import guarded
from ...semconv import REASON_FAILED
from ..wire.frames import Decoder
from ..wire.rows import Batch, dropped_row
from .state import State

_READ_BYTES: Final = 1 << 16
_PAUSE_S: Final = 0.1


class _Channel:
    """The worker's end of one process's channel; also what its process is known by."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.decoder = Decoder()


class Aggregator:
    """Adds up the processes of a worker; starts its daemon thread when it is made.

    Attributes:
        state: What they add up to; read by whatever exposes it.
    """

    def __init__(self, state: State | None = None) -> None:
        self.state = State() if state is None else state
        self._selector = selectors.DefaultSelector()
        self._condition = threading.Condition()
        self._open: set[_Channel] = set()
        self._arrived: list[_Channel] = []
        self._stopping = False
        self._wakeup, self._waker = socket.socketpair()
        self._wakeup.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        self._thread = threading.Thread(
            target=self._run, name="callspan-metrics-aggregator", daemon=True
        )
        self._thread.start()

    def add_process(self) -> socket.socket:
        """Open a channel for a process; its relay takes the returned end.

        A process's end is seen once nobody else holds that socket: keep no reference to it
        beside the process's arguments, which ``Process.start`` lets go of, or close it when the
        process has started. For a relay in this very process, just hand it over.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        channel = _Channel(ours)
        with self._condition:
            self._open.add(channel)
            self._arrived.append(channel)
        self._wake()
        return theirs

    def drain(self, timeout_s: float) -> bool:
        """Wait until all processes have ended and everything they wrote is in the state.

        Returns:
            Whether they had within ``timeout_s`` seconds.
        """
        with self._condition:
            return self._condition.wait_for(lambda: not self._open, timeout_s)

    def close(self) -> None:
        """Stop reading; the state stays."""
        self._stopping = True
        self._wake()
        self._thread.join()
        self._waker.close()

    def _wake(self) -> None:
        # a full buffer means that the thread has a wake-up coming; a closed one, that it is done
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    def _run(self) -> None:
        while not self._stopping:
            if not self._contain(self._wait):
                # whatever it was may last: not as fast as a processor can fail
                time.sleep(_PAUSE_S)
        self._selector.close()
        for end in (self._wakeup, *[channel.end for channel in self._open]):
            end.close()

    def _wait(self) -> None:
        for key, _ in self._selector.select():
            if isinstance(key.data, _Channel):
                self._contain(partial(self._read, key.data))
            else:
                self._register_new()

    def _contain(self, step: Callable[[], None]) -> bool:
        """Take a step; what fails in it is counted, and the next channel is read."""
        failed = True
        with guarded("reading the metrics of jobs"):
            step()
            failed = False
        if failed:
            self.state.add(dropped_row(REASON_FAILED))
        return not failed

    def _register_new(self) -> None:
        self._wakeup.recv(_READ_BYTES)
        with self._condition:
            arrived, self._arrived = self._arrived, []
        for channel in arrived:
            self._selector.register(channel.end, selectors.EVENT_READ, channel)

    def _read(self, channel: _Channel) -> None:
        try:
            data = channel.end.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._unregister(channel)
            return
        for batch in channel.decoder.feed(data):
            self._contain(partial(self._apply, batch, channel))

    def _apply(self, batch: Batch | str, channel: _Channel) -> None:
        if isinstance(batch, str):
            self.state.add(dropped_row(batch))
        else:
            self.state.apply(batch, channel)

    def _unregister(self, channel: _Channel) -> None:
        self._selector.unregister(channel.end)
        channel.end.close()
        try:
            reason = channel.decoder.close()
            if reason is not None:
                self.state.add(dropped_row(reason))
            self.state.disconnect(channel)
        finally:
            with self._condition:
                self._open.discard(channel)
                self._condition.notify_all()
