# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Functions that are no tools of LiveKit's, counted and timed as if they were."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any, TypeVar

from .. import semconv
from ..call.events import ToolFinished
from ..call.plain_values import plain_text
from ..diagnostics.guard import contained, guarded, observed
from ..tracing.call_trace import CallTrace

_Function = TypeVar("_Function", bound=Callable[..., Any])


@contained("tracking a tool", otherwise=lambda function: function)
def tracked_tool(function: _Function) -> _Function:
    """Count and time a function that is not a tool of LiveKit's, as LiveKit's tools are.

    Sync and async. What it returns and raises is not touched; its name is the tool's.
    """
    with guarded("tracking a tool"):
        return _tracked(function)
    return function


def _tracked(function: _Function) -> _Function:
    name = plain_text(getattr(function, "__name__", None)) or type(function).__name__

    def finished(status: str, since: float) -> None:
        with guarded("recording a tracked tool"):
            if call_trace := CallTrace.find():
                call_trace.emit(ToolFinished(name, status, time.perf_counter() - since))

    def tracked(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        since, status = time.perf_counter(), semconv.TOOL_ERROR
        try:
            result = wrapped(*args, **kwargs)
            status = semconv.TOOL_SUCCESS
            return result
        finally:
            finished(status, since)

    async def tracked_async(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        since, status = time.perf_counter(), semconv.TOOL_CANCELLED
        try:
            result = await wrapped(*args, **kwargs)
            status = semconv.TOOL_SUCCESS
            return result
        except Exception:
            status = semconv.TOOL_ERROR
            raise
        finally:
            finished(status, since)

    is_async = inspect.iscoroutinefunction(function)
    return observed("tracking a tool", function, tracked_async if is_async else tracked)
