# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The package's logger, and how something that goes wrong a thousand times is one line."""

from __future__ import annotations

import logging
from typing import Final

logger: Final = logging.getLogger("callspan")
"""What all of the package logs to."""


class LogOnce:
    """Logs the first of each kind.

    Args:
        most: Kinds that are logged at most. Default: 100.
    """

    def __init__(self, most: int = 100) -> None:
        self._most = most
        self._logged: set[object] = set()

    def __call__(
        self,
        kind: object,
        level: int,
        message: str,
        *args: object,
        exc_info: BaseException | None = None,
    ) -> None:
        """Log a line, unless one of its kind was logged.

        Args:
            kind: Tells lines apart; has to be hashable.
            level: Of the standard library, for example ``logging.WARNING``.
            message: As for a logger.
            *args: What is put into the message.
            exc_info: An exception to show.
        """
        if kind not in self._logged and len(self._logged) < self._most:
            self._logged.add(kind)
            logger.log(level, message, *args, exc_info=exc_info, stacklevel=2)
