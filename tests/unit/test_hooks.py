# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Data hooks on one loop: registration, order, deadlines."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from functools import partial
from typing import Any

import pytest

from callspan import business
from callspan.business import hooks
from callspan.call.call import Call
from callspan.call.summary import (
    CallStart,
    CallSummary,
    Tool,
    Turn,
)
from callspan.call.summary_builder import SummaryBuilder
from callspan.diagnostics.log import LogOnce
from callspan.runtime import hook_runner
from callspan.runtime.hook_runner import CallHooks

START = CallStart("job", "", "receptionist", "production", 1.0)
TURN = Turn("job", 0, "agent", 1.0)
TOOL = Tool("job", 0, "book", "success", 2.0)
END: CallSummary = SummaryBuilder(Call("job"), content=False).summary(
    trace_id="", outcome="completed", labels={}
)


@pytest.fixture(autouse=True)
def _no_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "_hooks", {record: [] for record in hooks._hooks})
    monkeypatch.setattr(hook_runner, "_log_once", LogOnce())


async def finish(call_hooks: CallHooks, timeout_s: float = 5.0) -> None:
    """End a call, and wait for what its end waits for."""
    if (ending := call_hooks.end(END, timeout_s)) is not None:
        await asyncio.wrap_future(ending)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name != "asyncio"]


async def test_hooks_get_a_call_in_order() -> None:
    """Sync and async hooks, decorated or passed, each record to each before the next."""
    received: list[tuple[str, Any]] = []

    @business.on_call_start
    async def started(start: CallStart) -> None:
        await asyncio.sleep(0.01)
        received.append(("start", start))

    @business.on_turn
    def turned(turn: Turn) -> None:
        received.append(("turn", turn))

    business.on_tool(lambda tool: received.append(("tool", tool)))
    business.on_call_end(partial(lambda name, summary: received.append((name, summary)), "end"))
    call_hooks = CallHooks(5.0)
    for record in (START, TURN, TOOL, TURN):
        call_hooks.emit(record)
    await finish(call_hooks)
    assert received == [
        ("start", START),
        ("turn", TURN),
        ("tool", TOOL),
        ("turn", TURN),
        ("end", END),
    ]
    assert started is not None
    assert turned is not None


async def test_where_hooks_run() -> None:
    """Async ones on the loop, sync ones on a thread, in the context of what happened."""
    somewhere: contextvars.ContextVar[str] = contextvars.ContextVar("somewhere")
    ran_on: dict[str, tuple[object, str]] = {}

    def sync(_: Turn) -> None:
        ran_on["sync"] = (threading.current_thread(), somewhere.get())

    async def on_loop(_: Turn) -> None:
        ran_on["async"] = (threading.current_thread(), somewhere.get())

    class Awaiting:
        async def __call__(self, _: Turn) -> None:
            ran_on["callable"] = (threading.current_thread(), somewhere.get())

    def makes_awaitable(_: Turn) -> object:
        async def later() -> None:
            ran_on["awaitable"] = (threading.current_thread(), somewhere.get())

        return later()

    for hook in (sync, on_loop, Awaiting(), makes_awaitable):
        business.on_turn(hook)
    call_hooks = CallHooks(5.0)
    token = somewhere.set("in a turn")
    call_hooks.emit(TURN)
    somewhere.reset(token)
    await finish(call_hooks)
    main = threading.main_thread()
    assert {name: where for name, (_, where) in ran_on.items()} == dict.fromkeys(
        ("sync", "async", "callable", "awaitable"), "in a turn"
    )
    assert ran_on["sync"][0] is not main
    assert all(ran_on[name][0] is main for name in ("async", "callable", "awaitable"))


async def test_a_record_from_another_thread_arrives() -> None:
    """A tracked function may end on any."""
    received: list[Tool] = []
    business.on_tool(received.append)
    call_hooks = CallHooks(5.0)
    await asyncio.to_thread(call_hooks.emit, TOOL)
    await finish(call_hooks)
    assert received == [TOOL]


async def test_what_hangs_is_left_behind_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    """The others get everything; the one that hangs is not called again in the call."""
    received: list[Any] = []
    released = threading.Event()
    called: list[str] = []

    def hangs(_: object) -> None:
        called.append("hangs")
        released.wait()

    async def deaf(_: object) -> None:
        called.append("deaf")
        while not released.is_set():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    for hook in (hangs, deaf, received.append):
        business.on_turn(hook)
        business.on_call_end(hook)
    call_hooks = CallHooks(0.05)
    for _ in range(3):
        call_hooks.emit(TURN)
    await finish(call_hooks)
    released.set()
    assert received == [TURN, TURN, TURN, END]
    assert sorted(called) == ["deaf", "hangs"]
    # the loop of a job ends by waiting for its tasks
    assert not [t for t in asyncio.all_tasks() if "_contained" in repr(t.get_coro())]
    place = f"{__name__}.test_what_hangs_is_left_behind_and_named_once.<locals>"
    assert sorted(logged(caplog)) == [
        f"hook {place}.{name} did not return within 0.05 s; it is not called again in this call, "
        "the others are; the call goes on, further ones are not logged"
        for name in ("deaf", "hangs")
    ]


async def test_the_summary_does_not_wait_for_a_turn_that_hangs() -> None:
    """Of the time for the end, half is for what is still under way."""
    received: list[Any] = []
    released = threading.Event()
    business.on_turn(lambda _: released.wait())
    business.on_turn(received.append)
    business.on_call_end(received.append)
    call_hooks = CallHooks(60.0)
    call_hooks.emit(TURN)
    call_hooks.emit(TURN)
    since = asyncio.get_running_loop().time()
    await finish(call_hooks, timeout_s=0.4)
    took_s = asyncio.get_running_loop().time() - since
    released.set()
    assert received == [TURN, TURN, END]
    assert took_s < 5.0


@pytest.mark.parametrize("error", [LookupError("gone"), SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_what_raises_is_named_once(
    caplog: pytest.LogCaptureFixture, kind: str, error: BaseException
) -> None:
    """Nothing gets out of a hook, not even an exit."""
    received: list[Any] = []

    def fails(_: object) -> None:
        raise error

    async def fails_later(_: object) -> None:
        await asyncio.sleep(0)
        raise error

    hook = fails if kind == "sync" else fails_later
    business.on_turn(hook)
    business.on_turn(received.append)
    call_hooks = CallHooks(5.0)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            call_hooks.emit(TURN)
        await finish(call_hooks)
    assert received == [TURN, TURN, TURN]
    [line] = logged(caplog)
    assert line == (
        f"hook {__name__}.test_what_raises_is_named_once.<locals>.{hook.__name__} raised "
        f"{type(error).__name__}; the call goes on, further ones are not logged"
    )


async def test_without_hooks_there_is_nothing_to_wait_for() -> None:
    """No task, no thread, no record is kept."""
    call_hooks = CallHooks(5.0)
    call_hooks.emit(TURN)
    assert call_hooks.end(END, 1.0) is None
    assert call_hooks._worker is None


def test_a_hook_is_registered_once() -> None:
    """As agent.py is imported again in each job process, so may a module of hooks be."""
    received: list[Turn] = []
    business.on_turn(received.append)
    business.on_turn(received.append)
    assert len(hooks._hooks[Turn]) == 1


def test_what_cannot_be_a_hook_is_refused() -> None:
    """At once, with what to write."""

    def two(turn: object, other: object) -> None: ...

    with pytest.raises(TypeError) as no_function:
        business.on_turn("print")  # type: ignore[type-var]
    assert str(no_function.value) == (
        "business.on_turn('print'): not a function; write @business.on_turn above def f(turn): …"
    )
    with pytest.raises(TypeError) as called_at_once:
        business.on_call_end(None)  # type: ignore[type-var]
    assert str(called_at_once.value) == (
        "business.on_call_end(None): not a function; write @business.on_call_end above "
        "def f(summary): …"
    )
    with pytest.raises(TypeError) as two_arguments:
        business.on_tool(two)  # type: ignore[type-var]
    assert str(two_arguments.value) == (
        f"business.on_tool: {__name__}.test_what_cannot_be_a_hook_is_refused.<locals>.two(turn: "
        "'object', other: 'object') -> 'None' cannot be called with one argument; write "
        "def two(tool): …"
    )
