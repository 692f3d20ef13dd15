# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What keeps the calls of a process in its memory, for tests of applications."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ..call.call import Call
from ..call.events import CallEvent
from ..config.settings import Settings
from ..tracing.call_trace import CallTrace


class Recording(Protocol):
    """Is told what happens in the calls of this process."""

    def settings_for(self, settings: Settings) -> Settings:
        """Return the settings to use in place of those that were resolved."""

    def session_starting(self, call_trace: CallTrace) -> None:
        """A session of a call starts."""

    def handle(self, call: Call, event: CallEvent) -> None:
        """Something happened in a call; runs where it did."""

    def usage_of(self, call: Call) -> Mapping[str, float]:
        """Return what a call has used so far, as entries of its summary."""

    def session_closed(self, call: Call) -> None:
        """A session of a call has closed."""
