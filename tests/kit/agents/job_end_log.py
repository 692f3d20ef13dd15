# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""An agent that writes down when its job's root span ends and when its process is gone.

It also keeps watch over its event loop: with WATCH=1, an audit hook notes every socket and file
call that is made on the loop's thread with a frame of ours, or of an exporter, on the stack. With
HANGING_CALLBACK=1, a callback of a metric of its own does not return.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from multiprocessing.util import Finalize
from pathlib import Path

from livekit.agents import JobContext, telemetry
from opentelemetry import metrics
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

import callspan
from callspan import instrument
from short_call import make_server, serve, take_call

instrument()

_WATCHED = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "open")
_OURS = (str(Path(callspan.__file__).parent), f"opentelemetry{os.sep}exporter")
_LIVEKIT = f"livekit{os.sep}agents"


def _note(text: str) -> None:
    print(text, flush=True)


class _RootWatch(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        if span.name == "job_entrypoint":
            _note(f"ROOT ENDED {os.getpid()} {time.time()}")


def _watch_the_loop() -> None:
    loop_thread = threading.get_ident()

    def audit(event: str, args: tuple[object, ...]) -> None:
        if event not in _WATCHED or threading.get_ident() != loop_thread:
            return
        # whoever is nearest made the call: our wrappers are around all of LiveKit's work
        frame = sys._getframe(1)
        while frame is not None and _LIVEKIT not in frame.f_code.co_filename:
            if any(part in frame.f_code.co_filename for part in _OURS):
                _note(f"ON THE LOOP {event} {args!r} from {Path(frame.f_code.co_filename).name}")
                return
            frame = frame.f_back

    sys.addaudithook(audit)
    _note("WATCHING")


def _hang(_: metrics.CallbackOptions) -> list[metrics.Observation]:
    _note("CALLBACK HANGS")
    threading.Event().wait()
    return []


async def entrypoint(ctx: JobContext) -> None:
    if os.environ.get("HANGING_CALLBACK") == "1":
        metrics.get_meter("application").create_observable_gauge("queue.length", [_hang])
    telemetry.tracer._tracer_provider.add_span_processor(_RootWatch())
    # the lowest priority runs last: after it the process is gone
    Finalize(None, lambda: _note(f"GONE {os.getpid()} {time.time()}"), exitpriority=-100)
    if os.environ.get("WATCH") == "1":
        _watch_the_loop()
    await take_call(ctx)


server = make_server(entrypoint)

if __name__ == "__main__":
    serve(server)
