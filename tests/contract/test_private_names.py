# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Private names of others that the package stands on are where it looks for them."""

from __future__ import annotations

import importlib
import inspect

import pytest

from kit.private_names import PRIVATE_NAMES


@pytest.mark.parametrize(("name", "place"), PRIVATE_NAMES.items())
def test_a_private_name_is_where_we_look_for_it(name: str, place: str) -> None:
    """An attribute of the class, or one that its instances set or declare."""
    module_name, _, class_name = place.partition(":")
    module = importlib.import_module(module_name)
    if not class_name:
        assert hasattr(module, name)
        return
    cls = getattr(module, class_name)
    assert hasattr(cls, name) or any(f"self.{name}" in _source(base) for base in cls.__mro__)


def _source(cls: type) -> str:
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):  # written in C, or made by a call
        return ""
