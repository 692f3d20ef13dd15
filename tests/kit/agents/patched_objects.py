# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Takes the STEPS it is told to, and prints what they did to livekit's functions, as JSON.

``instrument``, ``instrumentor`` and ``uninstrument`` are ours; ``call`` runs a worker in threads;
``own`` has the application give LiveKit another provider, ``workflows`` imports what LiveKit
imports only if asked to. Compared are the very objects.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator

import wrapt
from livekit.agents import telemetry
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from callspan import LiveKitAgentsInstrumentor, instrument
from short_call import make_server, serve

_OBSERVED = ("livekit.agents", "livekit.api", "opentelemetry.trace")


def _functions() -> dict[str, object]:
    return dict(_walk())


def _walk() -> Iterator[tuple[str, object]]:
    for module_name, module in list(sys.modules.items()):
        if not f"{module_name}.".startswith(tuple(f"{name}." for name in _OBSERVED)):
            continue
        for name, value in list(vars(module).items()):
            if _is_code(value):
                yield f"{module_name}.{name}", value
            if isinstance(value, type):
                for attribute, method in list(vars(value).items()):
                    if _is_code(method):
                        yield f"{module_name}.{name}.{attribute}", method


def _is_code(value: object) -> bool:
    """Tell functions, classes and descriptors from the state that a call changes."""
    return callable(value) or hasattr(type(value), "__get__")


def _threads_left() -> list[str]:
    """Return the threads of telemetry that do not end within half a minute."""
    until = time.monotonic() + 30
    ours = [
        thread
        for thread in threading.enumerate()
        if thread.name.startswith(("callspan-", "Otel")) or "Batch" in thread.name
    ]
    for thread in ours:
        thread.join(max(until - time.monotonic(), 0.1))
    return sorted(thread.name for thread in ours if thread.is_alive())


def _main() -> None:
    server = make_server()
    before, provider_before = _functions(), telemetry.tracer._tracer_provider
    provider = provider_before
    wrapped: dict[str, object] = {}
    for step in os.environ["STEPS"].split(","):
        if step == "instrument":
            instrument()
        elif step == "instrumentor":
            LiveKitAgentsInstrumentor().instrument()
        elif step == "uninstrument":
            LiveKitAgentsInstrumentor().uninstrument()
        elif step == "own":
            provider = TracerProvider()
            telemetry.set_tracer_provider(provider)
        elif step == "workflows":
            importlib.import_module("livekit.agents.beta.workflows.warm_transfer")
        elif step == "call":
            serve(server)
        after = _functions()
        wrapped |= {
            name: value for name, value in after.items() if isinstance(value, wrapt.FunctionWrapper)
        }
    print(
        json.dumps(
            {
                "changed": [name for name in before if after.get(name) is not before[name]],
                "wrapped": sorted(wrapped),
                "left wrapped": [
                    name
                    for name, value in after.items()
                    if isinstance(value, wrapt.FunctionWrapper)
                ],
                "wrapped twice": [
                    name
                    for name, value in wrapped.items()
                    if isinstance(value.__wrapped__, wrapt.FunctionWrapper)
                ],
                "threads left": (
                    _threads_left() if os.environ["STEPS"].endswith(",uninstrument") else []
                ),
                "provider kept": telemetry.tracer._tracer_provider is provider,
                "global provider": type(trace.get_tracer_provider()).__name__,
            }
        )
    )


if __name__ == "__main__":
    _main()
