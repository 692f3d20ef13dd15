# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A thread that collects readers whose callbacks are other people's, and may take any time."""

from __future__ import annotations

import contextlib
import threading
from typing import Protocol

from ...diagnostics.guard import guarded
from ..wire.rows import Row


class Source(Protocol):
    """Where rows come from."""

    def drain(self) -> list[Row]:
        """Return what was recorded since the last time."""


class ReaderThread:
    """Collects readers when it is asked to; its owner takes the rows when they are there.

    All methods are called with the condition held.

    Args:
        condition: The owner's; notified when rows are there.

    Attributes:
        taken: The number of the last request whose rows were all taken.
        sent: The same, of those that were sent; its owner's to set.
        stopped: Whether the thread is to end; its owner's to set.
    """

    def __init__(self, condition: threading.Condition) -> None:
        self._condition = condition
        self._readers: list[Source] = []
        self._asked = self._collected = self.taken = self.sent = 0
        self._rows: list[Row] = []
        self.stopped = False
        threading.Thread(target=self._run, name="callspan-metrics-readers", daemon=True).start()

    def add(self, reader: Source, *, since: int) -> None:
        """Collect a reader too; requests up to ``since`` are those of a time before any."""
        if not self._readers:
            self._asked = self._collected = self.taken = self.sent = since
        self._readers.append(reader)

    def ask(self, number: int) -> None:
        """Have everything collected, under a number that rises."""
        if number > self._asked:
            self._asked = number
            self._condition.notify_all()

    @property
    def has_rows(self) -> bool:
        """Whether rows of an answered request are to be taken."""
        return self._collected > self.taken

    def drain(self, most: int) -> list[Row]:
        """Return the next rows of what was collected, ``most`` of them."""
        rows, self._rows = self._rows[:most], self._rows[most:]
        if not self._rows:
            self.taken = self._collected
        return rows

    @property
    def waiting(self) -> int:
        """How many rows were collected and not taken."""
        return len(self._rows)

    def _run(self) -> None:
        while True:
            with self._condition:
                # not before the last rows were taken: meanwhile, values add up where they are
                self._condition.wait_for(
                    lambda: self.stopped or (self._asked > self._collected and not self.has_rows)
                )
                if self.stopped:
                    return
                asked, readers = self._asked, tuple(self._readers)
            rows: list[Row] = []
            for reader in readers:
                # a callback that exits ends no process from here
                with contextlib.suppress(SystemExit), guarded("collecting metrics of others"):
                    rows += reader.drain()
            with self._condition:
                self._rows, self._collected = rows, asked
                self._condition.notify_all()
