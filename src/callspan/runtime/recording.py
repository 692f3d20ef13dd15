# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What keeps the calls of a process in its memory, for tests of applications."""

from __future__ import annotations

from typing import Protocol

from ..call.events import CallEvent
from ..config.settings import Settings
from ..tracing.call_trace import CallTrace


class Recording(Protocol):
    """Is told what happens in the calls of this process."""

    def settings_for(self, settings: Settings) -> Settings:
        """Return the settings to use in place of those that were resolved."""

    def handle(self, call_trace: CallTrace, event: CallEvent) -> None:
        """Something happened in a call; runs where it did, with the event applied to it."""
