# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""Five calls at once to the receptionist, on real speech, in real job processes, offline.

Shows what is said while it runs; at the end each call as a waterfall, the spans that an OTLP
receiver got against those that were made, and the key figures of the calls as the worker's own
``/metrics`` has them. Ends with 0 where every span arrived, every call was counted, and bookings
and costs are what the calls came to, else with 1.

With ``OTEL_EXPORTER_OTLP_ENDPOINT`` set the spans go there instead and cannot be compared. With
``OTEL_METRICS_EXPORTER`` set to a list without ``prometheus`` there are no figures to read. With
``SERVE=1`` the callers ring again and again, until Ctrl-C. With ``PICTURE=call.svg`` the first
caller's call is drawn to that file, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import shutil
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlsplit

import kpis
from callspan.waterfall.span_record import SpanRecord
from callspan.waterfall.svg import render_svg
from callspan.waterfall.text import render
from offline import span_log
from offline.callers import CALLERS, LEDGER_VARIABLE
from offline.dialogue import RECEPTIONIST
from offline.llm_server import ScriptedChatServer
from offline.received import ReceivedSpan
from offline.receiver import OtlpReceiver
from offline.tts import SynthesizerMissingError, synthesise

_ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_METRICS_VARIABLE = "OTEL_METRICS_EXPORTER"
_SCRAPE_HOST_VARIABLE = "OTEL_EXPORTER_PROMETHEUS_HOST"
_SCRAPE_PORT_VARIABLE = "OTEL_EXPORTER_PROMETHEUS_PORT"
_PRICES_VARIABLE = "CALLSPAN_PRICES"
_PRICES = Path(__file__).parent / "offline" / "prices.toml"
_LONGEST_ROUND_SECONDS = 300
_LONGEST_COUNT_SECONDS = 10
_OTLP_ERROR_STATUS = 2

_logger = logging.getLogger("demo")


class Ledger:
    """The sounds of the calls, as the job processes write them down."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def print_news(self, started_at: float) -> None:
        """Print what has sounded since this was last called."""
        if not self._path.exists():
            return
        with self._path.open() as file:
            file.seek(self._position)
            for line in file:
                if not line.endswith("\n"):
                    break
                self._position += len(line.encode())
                print(_progress(json.loads(line), started_at), flush=True)


def _progress(sound: dict[str, Any], started_at: float) -> str:
    seconds = sound["ended_at"] - sound["started_at"]
    what = f"“{sound['text']}”" if sound["text"] else f"spoke for {seconds:.1f} s"
    cut = ", and was cut off" if sound["interrupted"] else ""
    when = time.time() - started_at
    return f"{when:6.1f} s  {sound['room']:<16} {sound['speaker']:<6}  {what}{cut}"


async def run_calls(ledger: Ledger) -> dict[str, str]:
    """Ring all callers at once, and wait until every job process has ended.

    Returns:
        The room of each job, by the job's id.
    """
    from agent import server

    started_at = time.time()
    rings = [server.simulate_job(room, fake_job=True) for room in CALLERS]
    rooms: dict[str, str] = {}
    async with asyncio.timeout(_LONGEST_ROUND_SECONDS):
        ringing = asyncio.gather(*rings)
        # a worker says which jobs it has, not when one ends; the ledger is read on the way
        while not ringing.done() or server.active_jobs:
            await asyncio.sleep(0.25)
            rooms |= {info.job.id: info.job.room.name for info in server.active_jobs}
            ledger.print_news(started_at)
        await ringing
    return rooms


def spans_by_room(
    spans: Sequence[ReceivedSpan], rooms: dict[str, str]
) -> dict[str, list[SpanRecord]]:
    """Return the spans of each call, in the order in which the callers are listed."""
    traces = {
        rooms[root.attributes["lk.job_id"]]: root.trace_id
        for root in spans
        if not root.parent_span_id and root.attributes.get("lk.job_id") in rooms
    }
    return {
        room: [_record(span) for span in spans if span.trace_id == traces[room]]
        for room in CALLERS
        if room in traces
    }


def _record(span: ReceivedSpan) -> SpanRecord:
    return SpanRecord(
        name=span.name,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_span_id or None,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        attributes=span.attributes,
        events=span.events,
        error=span.status_code == _OTLP_ERROR_STATUS,
    )


def print_waterfalls(calls: dict[str, list[SpanRecord]]) -> None:
    """Draw each call in the terminal."""
    width = shutil.get_terminal_size((100, 0)).columns
    for room, records in calls.items():
        print(f"\n{'═' * width}\n{room}: {CALLERS[room].about}\n")
        print(render(records, width=width, colour=sys.stdout.isatty()))


def draw_picture(call: Sequence[SpanRecord]) -> None:
    """Draw a call to the file that the environment names, if it names one."""
    if path := os.environ.get("PICTURE"):
        Path(path).write_text(render_svg(call))


def compare(made: Sequence[tuple[str, str]], received: Sequence[ReceivedSpan], calls: int) -> bool:
    """Print the spans made against the spans received, and say whether all is as it should be."""
    arrived = Counter((span.trace_id, span.span_id) for span in received)
    missing = set(made) - set(arrived)
    strange = set(arrived) - set(made)
    twice = [span for span, times in arrived.items() if times > 1]
    roots = [span for span in received if not span.parent_span_id]
    orphans = [
        span
        for span in received
        if span.parent_span_id and (span.trace_id, span.parent_span_id) not in arrived
    ]
    whole = not (missing or strange or twice or orphans) and len(roots) == calls
    verdict = "equal" if whole else "NOT the same"
    print(f"spans made      {len(made):5d}   counted in the job processes as they ended")
    print(f"spans received  {len(received):5d}   by the OTLP receiver: {verdict}")
    print(
        f"missing {len(missing)}, received twice {len(twice)}, never made {len(strange)}, "
        f"without their parent {len(orphans)}, whole traces {len(roots)} for {calls} calls"
    )
    return whole


def print_recognition(requests: Sequence[dict[str, Any]]) -> None:
    """Print how many of the callers' sentences reached the language model word for word."""
    said = [sentence for caller in CALLERS.values() for sentence in caller.sentences]
    heard = {
        message["content"]
        for request in requests
        for message in request["messages"]
        if message["role"] == "user"
    }
    exact = sum(sentence in heard for sentence in said)
    print(f"sentences said  {len(said):5d}   {exact} of them recognised word for word")


def _serve_metrics() -> str | None:
    """Have the worker serve its metrics, on a free port unless the environment names one.

    Returns:
        The address; None where the environment asks for other exporters.
    """
    exporters = os.environ.setdefault(_METRICS_VARIABLE, "prometheus")
    if "prometheus" not in [name.strip() for name in exporters.split(",")]:
        return None
    host = os.environ.setdefault(_SCRAPE_HOST_VARIABLE, "localhost")
    if not os.environ.get(_SCRAPE_PORT_VARIABLE):
        with socket.create_server((host, 0)) as server:
            os.environ[_SCRAPE_PORT_VARIABLE] = str(server.getsockname()[1])
    return f"http://{host}:{os.environ[_SCRAPE_PORT_VARIABLE]}/metrics"


async def _scrape(address: str, calls: int) -> kpis.Scrape:
    """Read the worker's metrics, as soon as they hold so many calls or the time for it is over."""
    deadline = time.monotonic() + _LONGEST_COUNT_SECONDS
    while True:
        scrape = kpis.Scrape(await asyncio.to_thread(_get, address))
        if scrape.total(kpis.SESSIONS) >= calls or time.monotonic() > deadline:
            return scrape
        await asyncio.sleep(0.25)


def _get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=_LONGEST_COUNT_SECONDS) as answer:
        return answer.read().decode()


async def print_key_figures(address: str, calls: int) -> bool:
    """Print what the worker counted, and say whether that is what happened."""
    try:
        scrape = await _scrape(address, calls)
    except urllib.error.URLError as error:
        print(f"\n{address} does not answer: {error.reason}")
        return False
    print(f"\n{kpis.table(scrape)}\n")
    shortcomings = kpis.shortcomings(scrape, calls)
    for shortcoming in shortcomings:
        print(f"NOT as it should be: {shortcoming}")
    print(f"read from {address} while the worker ran; Prometheus can scrape it there")
    return not shortcomings


def _print_how_to_go_on(endpoint: str) -> None:
    print(
        f"\nThe receiver was {endpoint}. Any OTLP backend can take its place:\n\n"
        f"    {_ENDPOINT_VARIABLE}=https://otlp.example.com \\\n"
        "    OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20TOKEN make demo\n"
    )


@contextlib.contextmanager
def _receiver() -> Iterator[OtlpReceiver | None]:
    """A local receiver, unless the environment names another."""
    if os.environ.get(_ENDPOINT_VARIABLE):
        # nothing arrives here then: the job processes draw their calls themselves
        os.environ.setdefault("OTEL_TRACES_EXPORTER", "otlp,waterfall")
        yield None
        return
    with OtlpReceiver() as receiver:
        os.environ[_ENDPOINT_VARIABLE] = receiver.endpoint
        os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
        yield receiver


def _write_prices(folder: Path, chat_url: str) -> Path:
    """Write the stand-ins' prices, with the address by which the model's provider is known."""
    prices = folder / _PRICES.name
    address = urlsplit(chat_url).netloc
    prices.write_text(Template(_PRICES.read_text()).substitute(chat_server=address))
    return prices


def _keep_proxies_off_loopback() -> None:
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in (os.environ.get(name), "127.0.0.1", "localhost") if host]
        os.environ[name] = ",".join(hosts)


@contextlib.asynccontextmanager
async def _worker() -> AsyncIterator[None]:
    """The agent's own server, without a LiveKit server to register with."""
    # imported here: the agent's one line of telemetry reads variables that are set by now
    from agent import server

    started = asyncio.Event()
    server.once("worker_started", started.set)
    running = asyncio.create_task(server.run(devmode=True, unregistered=True))
    starting = asyncio.create_task(started.wait())
    await asyncio.wait({running, starting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if running.done():
            await running  # raises what it ended with
        yield
    finally:
        await server.aclose()
        await running


async def demo(folder: Path) -> bool:
    """Run the worker and the calls.

    Args:
        folder: Where the job processes write their ledgers.

    Returns:
        Whether the spans received are the spans made, and the calls counted the calls taken.
    """
    await synthesise("hello")  # says at once what is missing
    _keep_proxies_off_loopback()
    address = _serve_metrics()
    ledger, spans_made = folder / "ledger.jsonl", folder / "spans.txt"
    with _receiver() as receiver, ScriptedChatServer(RECEPTIONIST) as chat:
        os.environ |= {
            LEDGER_VARIABLE: str(ledger),
            span_log.VARIABLE: str(spans_made),
            "OPENAI_BASE_URL": chat.base_url,
            "OPENAI_API_KEY": "none",
        }
        os.environ.setdefault("OTEL_SERVICE_NAME", "dental-receptionist")
        os.environ.setdefault(_PRICES_VARIABLE, str(_write_prices(folder, chat.base_url)))
        sounds = Ledger(ledger)
        async with _worker():
            for calls in itertools.count(len(CALLERS), len(CALLERS)):
                print(f"ringing {len(CALLERS)} callers at once", flush=True)
                rooms = await run_calls(sounds)
                made = span_log.read_span_log(spans_made)
                whole = True
                if receiver is None:
                    print(f"{len(made)} spans made, sent to {os.environ[_ENDPOINT_VARIABLE]}")
                else:
                    drawn = spans_by_room(receiver.spans, rooms)
                    print_waterfalls(drawn)
                    draw_picture(next(iter(drawn.values())))
                    whole = compare(made, receiver.spans, calls)
                print_recognition(chat.requests)
                chat.requests.clear()
                if address is None:
                    print(f"no figures: {_METRICS_VARIABLE} does not ask for prometheus")
                else:
                    whole &= await print_key_figures(address, calls)
                if not whole or not os.environ.get("SERVE"):
                    break
        if receiver is not None:
            _print_how_to_go_on(receiver.endpoint)
        return whole


def _log_to(path: Path) -> None:
    logging.basicConfig(
        filename=path, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    terminal = logging.StreamHandler()
    terminal.setFormatter(logging.Formatter("%(message)s"))
    for name in ("opentelemetry", "callspan"):
        logging.getLogger(name).addHandler(terminal)


def main() -> int:
    """Run the demo, and return the exit status."""
    with tempfile.TemporaryDirectory(prefix="dental-receptionist-") as folder:
        log = Path(folder, "worker.log")
        _log_to(log)
        try:
            if asyncio.run(demo(Path(folder))):
                return 0
        except SynthesizerMissingError as error:
            print(error, file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            return 0
        except TimeoutError:
            print(f"the calls were not over within {_LONGEST_ROUND_SECONDS} s", file=sys.stderr)
        except Exception:
            _logger.exception("the demo failed")
        print(f"the worker's log:\n{log.read_text()}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
