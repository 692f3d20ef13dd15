# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The waterfall as a span exporter and as a program: when it draws, where, and what it survives."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import Status, StatusCode

from callspan.waterfall import exporter, svg
from callspan.waterfall.exporter import WaterfallSpanExporter
from kit.memory import SpanMemory

SECRET = "the caller's own words"


def make_call(provider: TracerProvider) -> None:
    """A small call through the SDK: root, session, one answer."""
    tracer = provider.get_tracer("livekit-agents")
    with (
        tracer.start_as_current_span("job_entrypoint"),
        tracer.start_as_current_span("agent_session"),
        tracer.start_as_current_span("agent_turn"),
        tracer.start_as_current_span("function_tool") as tool,
    ):
        tool.set_attribute("lk.function_tool.name", "find_slot")
        tool.set_status(Status(StatusCode.ERROR, SECRET))


def provider_with(exporter: SpanExporter) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def test_the_exporter_draws_a_call_when_its_root_ends() -> None:
    """One drawing per call, and nothing before its end."""
    stream = io.StringIO()
    provider = provider_with(WaterfallSpanExporter(stream))
    tracer = provider.get_tracer("livekit-agents")
    with tracer.start_as_current_span("job_entrypoint") as root:
        with tracer.start_as_current_span("agent_turn"):
            pass
        assert stream.getvalue() == ""
    assert stream.getvalue().count("── turn 1 ──") == 1
    with tracer.start_as_current_span("realtime_inference", trace.set_span_in_context(root)):
        pass
    make_call(provider)
    provider.shutdown()
    assert stream.getvalue().count("── turn 1 ──") == 2
    assert "tool find_slot" in stream.getvalue()
    assert "✗ failed" in stream.getvalue()
    assert SECRET not in stream.getvalue()


def test_the_exporter_draws_what_is_left_at_shutdown() -> None:
    """A call whose root never comes is drawn at the end; traces of others never."""
    stream = io.StringIO()
    provider = provider_with(WaterfallSpanExporter(stream))
    tracer = provider.get_tracer("livekit-agents")
    root = tracer.start_span("job_entrypoint")
    tracer.start_span("agent_turn", trace.set_span_in_context(root)).end()
    tracer.start_span("GET /health").end()
    assert stream.getvalue() == ""
    provider.shutdown()
    assert "incomplete: the span job_entrypoint is missing" in stream.getvalue()
    assert "GET" not in stream.getvalue()


def test_the_exporter_draws_to_stderr_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output stays the program's own."""
    make_call(provider_with(WaterfallSpanExporter()))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "── turn 1 ──" in captured.err


def test_a_batch_with_the_root_first_is_drawn_whole(span_memory: SpanMemory) -> None:
    """The order within a batch does not cut the call."""
    make_call(span_memory.provider)
    stream = io.StringIO()
    WaterfallSpanExporter(stream).export(span_memory.spans[::-1])
    assert "tool find_slot" in stream.getvalue()


def test_the_exporter_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its caps it draws the oldest open call and counts the spans that it did not keep."""
    monkeypatch.setattr(exporter, "_MOST_TRACES", 1)
    monkeypatch.setattr(exporter, "_MOST_SPANS", 2)
    stream = io.StringIO()
    provider = provider_with(WaterfallSpanExporter(stream))
    tracer = provider.get_tracer("livekit-agents")
    first = trace.set_span_in_context(tracer.start_span("job_entrypoint"))
    for _ in range(5):
        tracer.start_span("agent_turn", first).end()
    assert stream.getvalue() == ""
    make_call(provider)
    assert "3 spans more than the 2 kept of a call" in stream.getvalue()


def test_a_failing_stream_fails_the_export_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In production, an exporter that cannot draw reports it and raises nothing."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    stream = io.StringIO()
    stream.close()
    provider = provider_with(WaterfallSpanExporter(stream))
    make_call(provider)
    provider.shutdown()


def test_a_stream_without_block_characters_gets_ascii() -> None:
    """What the output cannot encode is not sent to it."""
    buffer = io.BytesIO()
    make_call(provider_with(WaterfallSpanExporter(io.TextIOWrapper(buffer, encoding="latin-1"))))
    assert b"-- turn 1 --" in buffer.getvalue()


# --- files and the picture ------------------------------------------------------------------------


def recorded_calls(path: Path, count: int) -> None:
    """What ConsoleSpanExporter writes for some calls, with log lines between."""
    memory = SpanMemory()
    for _ in range(count):
        make_call(memory.provider)
    texts = [span.to_json() + "\nINFO {not json}\n" for span in memory.spans]
    path.write_text("".join(texts), encoding="utf-8")


def test_the_program_draws_a_recorded_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of spans becomes a picture on standard output."""
    recorded_calls(tmp_path / "spans.jsonl", 1)
    assert svg.main([str(tmp_path / "spans.jsonl")]) == 0
    drawn = capsys.readouterr().out
    root = ElementTree.fromstring(drawn)
    assert (root.get("width"), root.get("role")) == ("900", "img")
    assert "tool find_slot" in drawn
    assert svg.main([str(tmp_path / "spans.jsonl"), "--turn", "7"]) == 0
    assert "tool find_slot" not in capsys.readouterr().out


def test_the_program_says_what_to_type_instead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two calls, none, or no file: an exit status of 2 and the remedy."""
    recorded_calls(tmp_path / "two.jsonl", 2)
    assert svg.main([str(tmp_path / "two.jsonl")]) == 2
    message = capsys.readouterr().err
    assert "holds 2 calls" in message
    assert "--trace" in message
    trace_id = message.rsplit(" ", 1)[1].strip()
    assert svg.main([str(tmp_path / "two.jsonl"), "--trace", trace_id]) == 0
    capsys.readouterr()
    assert svg.main([str(tmp_path / "none.jsonl")]) == 2
    assert "cannot read" in capsys.readouterr().err
