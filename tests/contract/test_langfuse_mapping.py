# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A whole call as Langfuse reads it: what its documentation says of attributes, applied to ours.

`read` is a reader written from that documentation (langfuse.com/integrations/native/opentelemetry
and its page on v4); it is no part of Langfuse. The stand-in server checks what the real one
documents of a request. Calls are real sessions; their language model alone is scripted.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from callspan import LiveKitAgentsInstrumentor
from callspan.export import langfuse
from callspan.export.content_filter import without_content
from callspan.export.delivery import DeliveringSpanProcessor
from callspan.export.span_filter import SpanFilter
from kit.behaviours import scenarios
from kit.behaviours.environment import Environment
from kit.behaviours.recording import Scenario
from kit.memory import SpanMemory
from kit.workers import SAID, Run, run_agent
from offline.received import ReceivedSpan, read_spans

# --- Langfuse's rules, as documented -----------------------------------------------------------

_TYPES = ("span", "generation", "event", "embedding", "agent", "tool", "chain", "retriever")
_OPERATIONS = {
    **dict.fromkeys(("chat", "text_completion", "generate_content"), "generation"),
    **dict.fromkeys(("invoke_agent", "create_agent"), "agent"),
    "embeddings": "embedding",
    "execute_tool": "tool",
}
_MODELS = (
    "langfuse.observation.model.name",
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.response.model",
    "llm.model_name",
    "model",
)


@dataclass(frozen=True)
class Observation:
    """A span as Langfuse keeps it; ``estimated``: it would count the tokens of the text itself."""

    name: str
    id: str
    parent: str
    trace: str
    type: str
    level: str
    model: str
    usage: dict[str, int]
    cost: float | None
    estimated: bool
    began: str
    of_trace: dict[str, Any]
    input: Any
    output: Any


def read(span: ReceivedSpan) -> Observation:
    """Read a span as the documentation says that Langfuse does."""
    attributes = span.attributes
    model = next((str(attributes[key]) for key in _MODELS if key in attributes), "")
    usage = _usage(attributes)
    invoked = attributes.get("gen_ai.operation.name") in ("invoke_agent", "agent_step")
    cost = json.loads(attributes.get("langfuse.observation.cost_details", "{}")).get("total")
    return Observation(
        name=str(attributes.get("gen_ai.tool.name", span.name)),
        id=span.span_id,
        parent=span.parent_span_id,
        trace=span.trace_id,
        type=_type(attributes, model),
        level=str(
            attributes.get("langfuse.observation.level", "ERROR" if span.status_code == 2 else "")
        ),
        model="" if invoked else model,
        usage={} if invoked else usage,
        cost=None if invoked else cost,
        estimated=bool(model) and not usage and not invoked,
        began=str(attributes.get("langfuse.observation.completion_start_time", "")),
        of_trace={
            "session": _first(attributes, "langfuse.session.id", "session.id"),
            "user": _first(attributes, "langfuse.user.id", "user.id"),
            "tags": attributes.get("langfuse.trace.tags", []),
            "name": attributes.get("langfuse.trace.name"),
            "environment": _first(
                attributes | span.resource,
                "langfuse.environment",
                "deployment.environment.name",
                "deployment.environment",
            ),
            "release": attributes.get("langfuse.release"),
        },
        input=_first(attributes, "langfuse.observation.input", "gen_ai.input.messages"),
        output=_first(attributes, "langfuse.observation.output", "gen_ai.output.messages"),
    )


def _first(attributes: dict[str, Any], *keys: str) -> Any:
    return next((attributes[key] for key in keys if attributes.get(key)), None)


def _type(attributes: dict[str, Any], model: str) -> str:
    if (named := attributes.get("langfuse.observation.type")) in _TYPES:
        return str(named)
    if operation := _OPERATIONS.get(str(attributes.get("gen_ai.operation.name"))):
        return operation
    return "generation" if model else "span"


def _usage(attributes: dict[str, Any]) -> dict[str, int]:
    if given := attributes.get("langfuse.observation.usage_details"):
        usage: dict[str, int] = json.loads(given)
    else:
        short = {"input_tokens": "input", "output_tokens": "output"}
        usage = {
            short.get(name := key.removeprefix("gen_ai.usage."), name): value
            for key, value in attributes.items()
            if key.startswith("gen_ai.usage.")
        }
    assert all(isinstance(count, int) and count >= 0 for count in usage.values()), usage
    if usage and "total" not in usage:
        usage["total"] = sum(usage.values())
    return usage


# --- a stand-in that checks what the real one documents ----------------------------------------

PUBLIC_KEY, SECRET_KEY = "pk-lf-1234567890", "sk-lf-0987654321"


@dataclass
class StandIn:
    """What stands at Langfuse's address: refuses what the real one documents to refuse."""

    url: str = ""
    spans: list[ReceivedSpan] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Return the status of a request, and keep its spans where that is 200."""
        self.headers.append(headers)
        expected = base64.b64encode(f"{PUBLIC_KEY}:{SECRET_KEY}".encode()).decode()
        version = headers.get("x-langfuse-ingestion-version", "")
        for status, wrong in (
            (404, path != "/api/public/otel/v1/traces"),
            (401, headers.get("authorization") != f"Basic {expected}"),
            (400, version != "4"),
            (400, headers.get("content-type") != "application/x-protobuf"),
            (400, headers.get("content-encoding", "gzip") != "gzip"),
        ):
            if wrong:
                self.refused.append(f"{status} {path}")
                return status
        if "content-encoding" in headers:
            body = gzip.decompress(body)
        self.spans += read_spans(ExportTraceServiceRequest.FromString(body))
        return 200


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandIn]:
    """A stand-in that listens."""
    langfuse_server = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers["content-length"]))
            self.send_response(langfuse_server.take(self.path, headers, body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        langfuse_server.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield langfuse_server
        server.shutdown()
        thread.join()


# --- calls -------------------------------------------------------------------------------------


@dataclass
class Played:
    """A call: what LiveKit made of it, and what Langfuse was sent of that."""

    native: Sequence[ReadableSpan]
    sent: list[Observation]
    missing: tuple[int, int]

    def generations(self) -> list[Observation]:
        """Return what counts as a request to a model."""
        return [one for one in self.sent if one.type == "generation"]

    def reported(self, attribute: str, *names: str) -> int:
        """Add up what LiveKit's own metrics of the requests say."""
        return sum(
            json.loads(str((span.attributes or {})[attribute]))[name]
            for span in self.native
            if attribute in (span.attributes or {})
            for name in names
        )


async def play(scenario: Scenario, *, content: bool = False, span_filter: bool = True) -> Played:
    """Play a scenario with Langfuse beside a plain exporter, in batches of one span."""
    sent = InMemorySpanExporter()
    resource = Resource({"deployment.environment.name": "Staging", "service.version": "1.2.3"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    native = SpanMemory(provider)
    mapped = langfuse.mapping()
    delivery = DeliveringSpanProcessor(
        sent,
        "langfuse",
        mapped if content else lambda span: mapped(without_content(span)),
        SpanFilter() if span_filter else None,
    )
    provider.add_span_processor(delivery)
    instrumentor = LiveKitAgentsInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        async with Environment() as environment:
            await asyncio.create_task(_await(scenario, environment))
    finally:
        instrumentor.uninstrument()
    delivery.force_flush()
    spans = native.spans
    (trace_id,) = {span.context.trace_id for span in spans if span.context}
    return Played(
        spans,
        [read(_over_the_wire(span)) for span in sent.get_finished_spans()],
        delivery.missing(trace_id),
    )


async def _await(scenario: Scenario, environment: Environment) -> None:
    await scenario(environment)


def _over_the_wire(span: ReadableSpan) -> ReceivedSpan:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    (received,) = read_spans(encode_spans([span]))
    return received


def assert_one_call(observations: Sequence[Observation], root: str) -> None:
    """One trace, one root with its tags, no orphan; and all say the same of their trace."""
    assert len({one.trace for one in observations}) == 1
    ids = {one.id for one in observations}
    assert len(ids) == len(observations), "sent twice"
    assert [one.name for one in observations if not one.parent] == [root]
    assert [one.name for one in observations if one.parent and one.parent not in ids] == []
    for key in ("session", "name", "environment", "release"):
        values = {json.dumps(one.of_trace[key]) for one in observations}
        assert len(values) == 1, (key, values)
        assert values.isdisjoint({"null", '""'}), key
    assert [one.name for one in observations if one.of_trace["tags"]] == [root]


KEPT = Counter(
    {
        "agent_session": 1,
        "agent_turn": 1,
        "user_turn": 1,
        "stt_request": 1,
        "llm_request": 1,
        "tts_request": 1,
    }
)


async def test_a_spoken_turn_is_its_turns_and_its_requests() -> None:
    """The plumbing is left out, the tree stays whole, nothing counts as lost."""
    played = await play(scenarios.spoken_turn)

    assert_one_call(played.sent, "agent_session")
    assert Counter(one.name for one in played.sent) == KEPT
    assert len(played.native) > 2 * len(played.sent)
    assert played.missing == (0, len(played.sent))
    by_id = {one.id: one.name for one in played.sent}
    assert {one.name: by_id.get(one.parent) for one in played.sent} == {
        "agent_session": None,
        "user_turn": "agent_session",
        "stt_request": "user_turn",
        "agent_turn": "agent_session",
        "llm_request": "agent_turn",
        "tts_request": "agent_turn",
    }
    assert {one.of_trace["environment"] for one in played.sent} == {"staging"}
    assert {one.of_trace["release"] for one in played.sent} == {"1.2.3"}
    assert {one.type for one in played.sent if one.name == "agent_turn"} == {"agent"}


@pytest.mark.parametrize(
    "scenario",
    [
        scenarios.failing_tool,
        scenarios.failing_llm,
        scenarios.spoken_turn,
        scenarios.realtime,
        scenarios.preemptive_generation,
        scenarios.handoff,
    ],
    ids=lambda scenario: scenario.__name__,
)
@pytest.mark.parametrize("span_filter", [True, False], ids=["filtered", "all"])
async def test_totals_are_what_the_models_reported(scenario: Scenario, span_filter: bool) -> None:
    """Neither doubled nor zero; no generation without usage; nothing left to be estimated."""
    played = await play(scenario, span_filter=span_filter)

    taken = played.reported("lk.llm_metrics", "prompt_tokens", "completion_tokens")
    taken += played.reported("lk.realtime_model_metrics", "input_tokens", "output_tokens")
    assert (taken > 0) is (scenario is not scenarios.failing_llm)
    assert sum(one.usage.get("total", 0) for one in played.sent) == taken
    for one in played.sent:
        assert bool(one.usage) is (one.type == "generation"), one.name
        assert not one.estimated, one.name
    for one in played.generations():
        units = {"characters", "audio_milliseconds"}
        parts = {name: count for name, count in one.usage.items() if name != "total"}
        tokens = [count for name, count in parts.items() if name not in units]
        assert sum(tokens) == one.usage["total"]
        assert one.model
    characters = sum(one.usage.get("characters", 0) for one in played.sent)
    assert characters == played.reported("lk.tts_metrics", "characters_count")
    assert_one_call(played.sent, "agent_session")


async def test_parts_of_a_realtime_answer_do_not_overlap() -> None:
    """Audio, text and what was cached of each: as LiveKit's own metrics say, divided."""
    played = await play(scenarios.realtime)

    metrics = [
        json.loads(str((span.attributes or {})["lk.realtime_model_metrics"]))
        for span in played.native
        if span.name == "realtime_inference"
    ]
    (_, second) = metrics
    given, cached = second["input_token_details"], second["input_token_details"]
    split = cached["cached_tokens_details"]
    usage = next(
        one.usage
        for one in played.sent
        if one.name == "realtime_inference" and "input_cache_read" in one.usage
    )
    assert usage.get("input", 0) == given["text_tokens"] - split["text_tokens"]
    assert usage.get("input_audio_tokens", 0) == given["audio_tokens"] - split["audio_tokens"]
    assert usage["input_cache_read"] == split["text_tokens"]
    assert usage["input_cached_audio_tokens"] == split["audio_tokens"]
    assert usage["output_audio_tokens"] == second["output_token_details"]["audio_tokens"]


async def test_the_first_token_is_within_its_request() -> None:
    """When an answer began is a time in the form that Langfuse takes, after its request did."""
    played = await play(scenarios.spoken_turn)

    spans = {f"{s.context.span_id:016x}": s for s in played.native if s.context}
    began = [one for one in played.sent if one.name in ("llm_request", "tts_request")]
    assert len(began) == 2
    for one in began:
        at_ns = datetime.fromisoformat(one.began).timestamp() * 1e9
        span = spans[one.id]
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.start_time < at_ns <= span.end_time


async def test_what_was_said_is_sent_where_content_is_on() -> None:
    """Input and output of turns, requests and tools."""
    played = await play(scenarios.failing_tool, content=True)

    said = {one.name: (one.input, one.output) for one in played.sent}
    assert said["agent_turn"] == ("Monday, please.", "Yes.")
    assert said["book"] == ('{"day": "Monday"}', "that day is full")
    assert said["tts_request"] == ("Yes.", None)
    assert "Monday, please." in said["llm_request"][0]
    assert {one.level for one in played.sent if one.name in ("book", "look_up")} == {"ERROR"}


async def test_nothing_that_was_said_is_sent_where_it_is_off() -> None:
    """No input, no output, and not one of the words anywhere."""
    played = await play(scenarios.failing_tool)

    assert all(one.input is None and one.output is None for one in played.sent)
    assert "Monday" not in repr(played.sent)


# --- a real worker -----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["line", "command"])
def run(request: pytest.FixtureRequest, stand_in: StandIn) -> Run:
    """A call in a job process, sent to the stand-in by variables only, in code and zero-code."""
    stand_in.spans.clear()
    stand_in.headers.clear()
    variables = {
        "OTEL_TRACES_EXPORTER": "langfuse,otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-other-backend=its-own-key",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "LANGFUSE_PUBLIC_KEY": PUBLIC_KEY,
        "LANGFUSE_SECRET_KEY": SECRET_KEY,
        "LANGFUSE_BASE_URL": stand_in.url,
        "LANGFUSE_TRACING_ENVIRONMENT": "staging",
        "LANGFUSE_RELEASE": "1.2.3",
    }
    by_command = request.param == "command"
    agent = partial(run_agent, "zero_code" if by_command else "instrument_at_import", variables)
    return agent(by_command=by_command)


def test_a_call_of_a_worker_arrives_by_variables_only(run: Run, stand_in: StandIn) -> None:
    """Langfuse gets one trace, filtered, the other destination the whole of it."""
    assert run.calls_ended == 1
    assert stand_in.refused == []
    observations = [read(span) for span in stand_in.spans]
    assert_one_call(observations, "job_entrypoint")
    names = {one.name for one in observations}
    assert names == {"job_entrypoint", "agent_session", "agent_turn"}
    assert {one.trace for one in observations} == {span.trace_id for span in run.spans}
    assert len(run.spans) > 3 * len(observations)
    (root,) = (span for span in stand_in.spans if not span.parent_span_id)
    assert root.attributes["langfuse.trace.metadata.outcome"] == "completed"
    assert root.attributes["langfuse.environment"] == "staging"
    assert root.attributes["langfuse.release"] == "1.2.3"
    assert not any(key.startswith("langfuse.") for s in run.spans for key in s.attributes)


def test_credentials_go_where_they_belong_and_nowhere_else(run: Run, stand_in: StandIn) -> None:
    """Not into logs, not to the other destination; nor that one's to Langfuse."""
    assert not any("x-other-backend" in headers for headers in stand_in.headers)
    assert {request.headers["x-other-backend"] for request in run.requests} == {"its-own-key"}
    assert not any("authorization" in request.headers for request in run.requests)
    token = base64.b64encode(f"{PUBLIC_KEY}:{SECRET_KEY}".encode()).decode()
    for secret in (SECRET_KEY, token, "its-own-key"):
        assert secret not in run.output
    assert SAID not in repr(stand_in.spans)
    (startup_line, *rest) = run.logged()
    assert f"traces: langfuse(http/protobuf {stand_in.url}/api/public/otel/v1/traces), " in (
        startup_line
    )
    assert rest == []
