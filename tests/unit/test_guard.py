# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The guard: what fails inside of it, in production, is seen by nobody but the log."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from callspan.diagnostics.guard import around, contained, observed


def fail(*_: Any, **__: Any) -> Any:
    raise RuntimeError("ours")


def failing_before(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
    fail()


def failing_after(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
    wrapped(*args, **kwargs)
    fail()


def failing_at_last(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
    try:
        return wrapped(*args, **kwargs)
    finally:
        fail()


async def failing_before_await(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
    fail()


async def failing_after_await(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
    await wrapped(*args, **kwargs)
    fail()


async def failing_at_last_await(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
    try:
        return await wrapped(*args, **kwargs)
    finally:
        fail()


SYNC = [failing_before, failing_after, failing_at_last]
ASYNC = [failing_before_await, failing_after_await, failing_at_last_await]


@pytest.mark.usefixtures("production")
def test_a_contained_function_gives_what_is_given_otherwise() -> None:
    """It gives None, or what another function makes of the same arguments."""
    assert contained("testing")(fail)(1) is None
    assert contained("testing", otherwise=lambda a, b: (a, b))(fail)(1, b=2) == (1, 2)
    assert contained("testing", otherwise=fail)(fail)(1) is None


@pytest.mark.usefixtures("production")
def test_what_is_meant_for_the_caller_passes_through() -> None:
    """A function that refuses a wrong argument still says so."""

    @contained("testing", raises=(TypeError, ValueError))
    def refuse(value: object) -> None:
        raise ValueError(f"{value!r}: write 1")

    with pytest.raises(ValueError, match="2: write 1"):
        refuse(2)


def test_under_pytest_every_failure_is_loud() -> None:
    """Whoever changes this package sees what they broke."""
    with pytest.raises(RuntimeError, match="ours"):
        contained("testing")(fail)()
    with pytest.raises(RuntimeError, match="ours"):
        observed("testing", lambda: 1, failing_after)()


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("wrapper", SYNC)
def test_a_wrapper_that_fails_changes_nothing(wrapper: Any) -> None:
    """What it wraps is called once, with the arguments given, and its result is returned."""
    calls = []

    def original(a: int, *, b: int) -> int:
        calls.append((a, b))
        return a + b

    assert observed("testing", original, wrapper)(1, b=2) == 3
    assert calls == [(1, 2)]


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("wrapper", SYNC)
@pytest.mark.parametrize("error", [LookupError("theirs"), KeyboardInterrupt()])
def test_an_exception_of_what_is_wrapped_is_raised_as_it_is(
    wrapper: Any, error: BaseException
) -> None:
    """The very object, once, whatever the wrapper does about it."""
    calls = []

    def original() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)) as caught:
        observed("testing", original, wrapper)()
    assert caught.value is error
    assert calls == [1]


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("wrapper", ASYNC)
async def test_a_wrapper_that_fails_around_an_await_changes_nothing(wrapper: Any) -> None:
    """The same holds for a coroutine function: result, exception, one call."""
    calls = []

    async def original(value: object) -> object:
        calls.append(value)
        await asyncio.sleep(0)
        if isinstance(value, Exception):
            raise value
        return value

    safe = observed("testing", original, wrapper)
    assert await safe(1) == 1
    error = LookupError("theirs")
    with pytest.raises(LookupError) as caught:
        await safe(error)
    assert caught.value is error
    assert calls == [1, error]


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("wrapper", ASYNC)
async def test_cancelling_what_is_wrapped_cancels_the_caller(wrapper: Any) -> None:
    """A wrapper that fails in its ``finally`` does not make a cancelled task go on."""
    started = asyncio.Event()

    async def original() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(observed("testing", original, wrapper)())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.usefixtures("production")
def test_a_failure_is_logged_once_in_each_place(caplog: pytest.LogCaptureFixture) -> None:
    """What failed is named, with the exception; a second failure there is not logged."""
    safe = around("observing a test", failing_before)
    for _ in range(3):
        safe(lambda: 1, None, (), {})
    with caplog.at_level(logging.ERROR):
        assert [record.getMessage() for record in caplog.records] == [
            "telemetry failed while observing a test; the call goes on, further failures here are "
            "not logged"
        ]
    assert caplog.records[0].exc_info is not None


@pytest.mark.usefixtures("production")
def test_an_exception_that_passed_through_is_not_kept_alive() -> None:
    """The guard leaves no cycle between an exception and its frames behind."""
    import gc
    import weakref

    class TheirError(Exception):
        pass

    def original() -> None:
        raise TheirError

    def call() -> weakref.ref[TheirError]:
        try:
            observed("testing", original, lambda wrapped, *_: wrapped())()
        except TheirError as error:
            return weakref.ref(error)
        raise AssertionError

    gc.disable()
    try:
        assert call()() is None
    finally:
        gc.enable()
