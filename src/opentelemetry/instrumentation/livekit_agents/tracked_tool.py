# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""Functions that are no tools of LiveKit's, counted and timed as if they were."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from . import semconv
from .call.events import ToolFinished
from .guard import guarded
from .tracing import call_trace

_Function = TypeVar("_Function", bound=Callable[..., Any])


def tracked_tool(function: _Function) -> _Function:
    """Count and time a function that is not a tool of LiveKit's, as LiveKit's tools are.

    Sync and async. What it returns and raises is not touched; its name is the tool's.
    """
    name = getattr(function, "__name__", type(function).__name__)

    def finished(status: str, since: float) -> None:
        with guarded("recording a tracked tool"):
            if found := call_trace.find():
                found.tell(ToolFinished(name, status, time.perf_counter() - since))

    @functools.wraps(function)
    def tracked(*args: Any, **kwargs: Any) -> Any:
        since, status = time.perf_counter(), semconv.TOOL_ERROR
        try:
            result = function(*args, **kwargs)
            status = semconv.TOOL_SUCCESS
            return result
        finally:
            finished(status, since)

    @functools.wraps(function)
    async def tracked_async(*args: Any, **kwargs: Any) -> Any:
        since, status = time.perf_counter(), semconv.TOOL_CANCELLED
        try:
            result = await function(*args, **kwargs)
            status = semconv.TOOL_SUCCESS
            return result
        except Exception:
            status = semconv.TOOL_ERROR
            raise
        finally:
            finished(status, since)

    return cast("_Function", tracked_async if inspect.iscoroutinefunction(function) else tracked)
