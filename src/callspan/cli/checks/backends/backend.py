# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the doctor knows of any preset's backend; a subclass knows more of one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from ....providers.exporters import Destination
from ....providers.presets.preset import Preset
from ..verdict import Setup, Verdict


class Backend:
    """A backend that has a preset.

    Args:
        preset: Its preset.

    Attributes:
        preset: The same.
        region: What a part of the host's name is called that can be mistaken; empty: nothing.
        refuses_delta: Whether it refuses metrics in that temporality.
    """

    region: ClassVar[str] = ""
    refuses_delta: ClassVar[bool] = False

    def __init__(self, preset: Preset) -> None:
        self.preset = preset

    def is_named(self, target: Destination) -> bool:
        """Tell whether a destination is this backend because the user named the preset."""
        return target.entry_point == self.preset.name

    def is_at(self, target: Destination) -> bool:
        """Tell whether plain OTLP goes to this backend, by the address; then it takes HTTP only."""
        return False

    def not_kept(self, target: Destination, signal: str) -> Verdict | None:
        """Return what is to be said where it does not keep a signal that plain OTLP sends it."""
        return None

    def right_path(self, target: Destination) -> str:
        """Return what to write where it has no OTLP at a path."""
        return f"write its address without a path of a signal into {target.variable}"

    def refused(self, target: Destination, signal: str, setup: Setup) -> tuple[str, str]:
        """Return why it may not take the key, and what to write."""
        host, _ = target.host_and_port
        return (
            f"it is wrong, or of another region or account than {host}",
            f"look at {', '.join(self.preset.variables)}",
        )

    def accepted(self, target: Destination, signal: str, setup: Setup) -> Verdict | None:
        """Return what is still to be said of a test export that it took."""
        return None

    def check_server(self, setup: Setup) -> Iterable[Verdict]:
        """Look at the server that the preset's variables name, once it took a span."""
        return ()
