# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Wrapping and unwrapping, kept symmetrical: what was replaced is put back, the very object."""

from __future__ import annotations

from typing import Any

import wrapt

from ..diagnostics.guard import Wrapper, around


class MissingError(Exception):
    """This livekit-agents lacks something that was to be replaced."""


class Patches:
    """The replaced attributes of livekit's modules and classes."""

    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, Any]] = []

    def wrap(self, module: str, path: str, wrapper: Wrapper) -> None:
        """Replace ``module.path`` by a wrapper around it, whose failures stay in it.

        Raises:
            MissingError: If there is no such thing to replace.
        """
        try:
            parent, attribute, original = wrapt.resolve_path(module, path)
        except (ImportError, AttributeError) as error:
            raise MissingError(f"{module} has no {path}") from error
        safe = around(f"observing {path}", wrapper)
        setattr(parent, attribute, wrapt.FunctionWrapper(original, safe))
        self._undo.append((parent, attribute, original))

    @property
    def in_place(self) -> bool:
        """Whether anything is replaced."""
        return bool(self._undo)

    def undo(self) -> None:
        """Put every original back, last first."""
        while self._undo:
            parent, attribute, original = self._undo.pop()
            setattr(parent, attribute, original)
