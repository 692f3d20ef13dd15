# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Where the promise "nothing of ours ever raises into a call" is kept.

A failure inside a guard is logged once per place in production, and raised again under pytest:
silent for the caller on the line, loud for whoever changes this package.

``guarded`` is for a few lines; ``contained`` for a function that other people's code calls;
``around`` for one that stands in the place of other people's.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

from .log import LogOnce

_Function = TypeVar("_Function", bound=Callable[..., Any])
Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
"""What wrapt calls in place of a function: with that, its instance, and its arguments."""

_log_once = LogOnce()


class guarded:  # noqa: N801 - reads as a verb where it is used, as the standard library's do
    """Contain any exception raised in the block.

    A class, since it is entered some forty times a turn: a generator costs four times as much.

    Args:
        place: What was being done, for the log line, e.g. ``"writing call attributes"``. Also
            the key under which a second failure is not logged again.
    """

    __slots__ = ("_place",)

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        """Enter the block."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        """Swallow an exception; say so at the first in this place."""
        return error is not None and _is_contained(self._place, error)


def _is_contained(place: str, error: BaseException) -> bool:
    """Tell whether an exception goes no further, and log the first that does not."""
    if not isinstance(error, Exception) or "PYTEST_CURRENT_TEST" in os.environ:
        return False
    _log_once(
        place,
        logging.ERROR,
        "telemetry failed while %s; the call goes on, further failures here are not logged",
        place,
        exc_info=error,
    )
    return True


def contained(
    place: str,
    *,
    otherwise: Callable[..., Any] | None = None,
    raises: tuple[type[Exception], ...] = (),
) -> Callable[[_Function], _Function]:
    """Decorate a function, not a coroutine function, so that whoever calls it sees no exception.

    Args:
        place: As for ``guarded``.
        otherwise: Called with the same arguments where the function raised, for what is returned
            in its place. Default: None is returned.
        raises: Exceptions that are meant for the caller. Default: none.
    """

    def decorate(function: _Function) -> _Function:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            # not guarded(): that costs ten times as much where nothing fails
            try:
                return function(*args, **kwargs)
            except raises:
                raise
            except Exception as error:
                if not _is_contained(place, error):
                    raise
            if otherwise is not None:
                with guarded(f"{place}, which had failed"):
                    return otherwise(*args, **kwargs)
            return None

        return cast("_Function", call)

    return decorate


class _Once:
    """Other people's function, and how its one call went."""

    __slots__ = ("_error", "_function", "_result", "called")

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._result: Any = None
        self._error: BaseException | None = None
        self.called = False

    def call(self, *args: Any, **kwargs: Any) -> Any:
        self.called = True
        try:
            self._result = self._function(*args, **kwargs)
        except BaseException as error:
            self._error = error
            raise
        return self._result

    async def call_async(self, *args: Any, **kwargs: Any) -> Any:
        self.called = True
        try:
            self._result = await self._function(*args, **kwargs)
        except BaseException as error:
            self._error = error
            raise
        return self._result

    def raised(self, error: BaseException) -> bool:
        return error is self._error

    def outcome(self) -> Any:
        """Return what the function returned, or raise what it raised."""
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            # it holds this frame: a cycle otherwise
            del error


def around(place: str, wrapper: Wrapper) -> Wrapper:
    """Return a wrapper whose failures stay in it: what is wrapped runs once, whatever happens.

    Where the wrapper fails, its caller gets what the wrapped function returned or raised; if
    that was not called yet, it is called with the arguments that were given.

    Args:
        place: As for ``guarded``.
        wrapper: A coroutine function if it awaits what it wraps.
    """

    def call(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        once = _Once(wrapped)
        try:
            return wrapper(once.call, instance, args, kwargs)
        except BaseException as error:
            if not once.raised(error) and not _is_contained(place, error):
                raise
        return once.outcome() if once.called else wrapped(*args, **kwargs)

    async def call_async(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        once = _Once(wrapped)
        try:
            return await wrapper(once.call_async, instance, args, kwargs)
        except BaseException as error:
            if not once.raised(error) and not _is_contained(place, error):
                raise
        return once.outcome() if once.called else await wrapped(*args, **kwargs)

    return call_async if inspect.iscoroutinefunction(wrapper) else call


def observed(place: str, function: _Function, wrapper: Wrapper) -> _Function:
    """Return a function that is called as another is, with a wrapper ``around`` that one.

    Args:
        place: As for ``guarded``.
        function: Other people's.
        wrapper: A coroutine function if it awaits what it wraps.
    """
    safe = around(place, wrapper)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return safe(function, None, args, kwargs)

    @functools.wraps(function)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        return await safe(function, None, args, kwargs)

    is_async = inspect.iscoroutinefunction(wrapper)
    return cast("_Function", call_async if is_async else call)
