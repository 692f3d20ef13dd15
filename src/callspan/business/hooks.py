# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Data hooks: functions of the application that are given what calls come to, as it happens."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

from ..call.plain_values import any_text, plain_text, safe_repr
from ..call.summary import CallStart, CallSummary, Tool, Turn
from ..diagnostics.guard import contained

Hook = Callable[[Any], Awaitable[object] | object]
_CallStartHook = TypeVar("_CallStartHook", bound=Callable[[CallStart], object])
_TurnHook = TypeVar("_TurnHook", bound=Callable[[Turn], object])
_ToolHook = TypeVar("_ToolHook", bound=Callable[[Tool], object])
_AnyHook = TypeVar("_AnyHook", bound=Callable[..., object])
_CallEndHook = TypeVar("_CallEndHook", bound=Callable[[CallSummary], object])

_hooks: Final[dict[type, list[Hook]]] = {CallStart: [], Turn: [], Tool: [], CallSummary: []}
"""By the record that they are given."""


def _as_it_is(hook: Hook) -> Hook:
    return hook


@contained("registering a hook", otherwise=_as_it_is, raises=(TypeError,))
def on_call_start(hook: _CallStartHook) -> _CallStartHook:
    """Have a function called with a :class:`CallStart` when a call's first session starts.

    Args:
        hook: Sync or async, of one argument.

    Returns:
        The function, so that this is a decorator.

    Raises:
        TypeError: If it cannot be called with one argument.
    """
    return _register("on_call_start", CallStart, hook)


@contained("registering a hook", otherwise=_as_it_is, raises=(TypeError,))
def on_turn(hook: _TurnHook) -> _TurnHook:
    """Have a function called with a :class:`Turn` when one of either side is complete.

    Args:
        hook: Sync or async, of one argument.

    Returns:
        The function, so that this is a decorator.

    Raises:
        TypeError: If it cannot be called with one argument.
    """
    return _register("on_turn", Turn, hook)


@contained("registering a hook", otherwise=_as_it_is, raises=(TypeError,))
def on_tool(hook: _ToolHook) -> _ToolHook:
    """Have a function called with a :class:`Tool` when one has ended.

    Args:
        hook: Sync or async, of one argument.

    Returns:
        The function, so that this is a decorator.

    Raises:
        TypeError: If it cannot be called with one argument.
    """
    return _register("on_tool", Tool, hook)


@contained("registering a hook", otherwise=_as_it_is, raises=(TypeError,))
def on_call_end(hook: _CallEndHook) -> _CallEndHook:
    """Have a function called with the :class:`CallSummary` when its outcome is final.

    That is after the shutdown callbacks. A process that is killed calls nobody any more.

    Args:
        hook: Sync or async, of one argument.

    Returns:
        The function, so that this is a decorator.

    Raises:
        TypeError: If it cannot be called with one argument.
    """
    return _register("on_call_end", CallSummary, hook)


def _register(name: str, record: type, hook: _AnyHook) -> _AnyHook:
    argument = {CallStart: "start", Turn: "turn", Tool: "tool", CallSummary: "summary"}[record]
    if not callable(hook):
        raise TypeError(
            f"business.{name}({safe_repr(hook)}): not a function; write @business.{name} above "
            f"def f({argument}): …"
        )
    try:
        signature = inspect.signature(hook)
    except Exception:  # noqa: BLE001  a builtin that does not tell, or any code of an object's
        signature = inspect.Signature([inspect.Parameter("_", inspect.Parameter.POSITIONAL_ONLY)])
    try:
        signature.bind(None)
    except TypeError:
        raise TypeError(
            f"business.{name}: {name_of(hook)}{any_text(signature) or '(…)'} cannot be called with "
            f"one argument; write def {_attribute(hook, '__name__', 'f')}({argument}): …"
        ) from None
    if not any(_is_same(hook, known) for known in _hooks[record]):
        _hooks[record].append(hook)
    return hook


@contextmanager
def hooks_restored() -> Iterator[None]:
    """Have hooks that are registered inside forgotten afterwards."""
    before = {record: list(hooks) for record, hooks in _hooks.items()}
    try:
        yield
    finally:
        _hooks.update(before)


def hooks_of(record: type) -> Sequence[Hook]:
    """Return the hooks that are given records of a type, in the order of their registration."""
    return _hooks[record]


def _is_same(hook: object, known: object) -> bool:
    """Tell whether a hook is registered; a method is another object each time it is looked up."""
    try:
        return hook is known or bool(hook == known)
    except Exception:  # noqa: BLE001  any code can run in an object's __eq__
        return False


def name_of(hook: Any) -> str:
    """Return the name by which a hook is found in the code; never raises."""
    kind = type(hook)
    if issubclass(kind, partial):
        return name_of(hook.func)
    module = _attribute(hook, "__module__", kind.__module__)
    return f"{module}.{_attribute(hook, '__qualname__', kind.__qualname__)}"


def _attribute(hook: object, name: str, default: str) -> str:
    try:
        return plain_text(getattr(hook, name, None)) or default
    except Exception:  # noqa: BLE001  any code can run in an object's __getattr__
        return default
