# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls as log events, and log records that say which span they belong to, out of job processes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from integration.hook_calls import CONTENT, SAID, HookRecords, take_calls
from offline.received import ReceivedSpan
from offline.receiver import Mode, OtlpReceiver

REPORT = "CALLSPAN_SESSION_REPORT"
ROOMS = ("tools-1", "tools-2", "plain-1")


@dataclass
class Event:
    """One log record as it came over the wire."""

    name: str
    scope: str
    body: Any
    attributes: dict[str, Any]
    trace_id: str
    span_id: str


@dataclass
class Reported:
    """What came of a worker's calls.

    Attributes:
        calls: What its hooks were given.
        events: The log records that arrived.
        spans: The spans that arrived.
    """

    calls: HookRecords
    events: list[Event]
    spans: list[ReceivedSpan]

    def named(self, name: str) -> list[Event]:
        """Return the events of a name."""
        return [event for event in self.events if event.name == name]

    def root(self, trace_id: str) -> ReceivedSpan:
        """Return the root of a trace."""
        [root] = [s for s in self.spans if s.trace_id == trace_id and not s.parent_span_id]
        return root


def read(value: AnyValue) -> Any:
    """Return a value of OTLP as a value of Python."""
    which = value.WhichOneof("value")
    if which == "kvlist_value":
        return read_all(value.kvlist_value.values)
    if which == "array_value":
        return [read(each) for each in value.array_value.values]
    return None if which is None else getattr(value, which)


def read_all(values: Iterable[KeyValue]) -> dict[str, Any]:
    """Return attributes of OTLP as a dict."""
    return {each.key: read(each.value) for each in values}


def events_at(receiver: OtlpReceiver) -> list[Event]:
    """Return the log records that a receiver got."""
    return [
        Event(
            record.event_name,
            scope.scope.name,
            read(record.body),
            read_all(record.attributes),
            record.trace_id.hex(),
            record.span_id.hex(),
        )
        for request in receiver.log_requests
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def report(
    folder: Path,
    variables: Mapping[str, str],
    *,
    rooms: tuple[str, ...] = ROOMS,
    by_command: bool = False,
    mode: Mode = "ok",
) -> Reported:
    """Have a worker take calls and send what is said of them."""
    with OtlpReceiver(mode=mode) as receiver:
        wanted = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, **variables}
        calls = take_calls(folder, rooms, wanted, by_command=by_command)
        return Reported(calls, events_at(receiver), receiver.spans)


@pytest.mark.parametrize("by_command", [False, True], ids=["line", "command"])
def test_each_call_is_one_event_with_its_summary(tmp_path: Path, by_command: bool) -> None:
    """The hook's summary, on the root's span; not a word that was said."""
    reported = report(tmp_path, {REPORT: "summary"}, by_command=by_command)
    reports = reported.named("agent.session.report")
    assert len(reports) == len(ROOMS) == len(reported.calls.summaries)
    by_call = {event.body["call_id"]: event for event in reports}
    for summary in reported.calls.summaries:
        event = by_call[summary["call_id"]]
        # the application's own word with its outcome is content
        assert event.body == {k: v for k, v in summary.items() if k not in ("hook", "thread")}
        assert event.trace_id == summary["trace_id"]
        assert event.span_id == reported.root(event.trace_id).span_id
        assert event.attributes["session.id"] == summary["call_id"]
        assert event.attributes["agent.name"] == "receptionist"
        assert event.attributes["agent.outcome"] == summary["outcome"]
        assert event.attributes["agent.session.duration"] == summary["duration_s"]
        assert event.scope == "callspan"
    assert not [word for word in SAID if word in repr(reported.events)]


def test_content_is_sent_in_events_where_events_are_named(tmp_path: Path) -> None:
    """EVENT_ONLY: messages as they are said, in their spans; LiveKit's report whole; spans bare."""
    reported = report(tmp_path, {REPORT: "full", **CONTENT}, rooms=("tools-1",))
    [whole] = reported.named("agent.session.report")
    assert whole.body["turns"][0]["text"] == "Hello from Zanzibar."
    livekits = whole.body["livekit_session_report"]
    assert livekits["job_id"] == whole.body["call_id"]
    assert livekits["user_turns"] == 1
    assert "Zanzibar" in json.dumps(livekits["chat_history"])
    assert "wants a call back from Timbuktu" in livekits["tags"]
    messages = [e for e in reported.events if e.name.startswith("gen_ai.")]
    # two tools at once: whichever ends first
    said = [(e.name, e.body["content"]) for e in messages if "content" in e.body]
    assert [*said[:2], *sorted(said[2:4]), *said[4:]] == [
        ("gen_ai.assistant.message", "Hello from Zanzibar."),
        ("gen_ai.user.message", "tools"),
        ("gen_ai.tool.message", "a patient from Timbuktu"),
        ("gen_ai.tool.message", "the calendar is gone"),
        ("gen_ai.assistant.message", "Goodbye."),
    ]
    calls = [call for e in messages for call in e.body.get("tool_calls", ())]
    assert {call["function"]["name"] for call in calls} == {"look_up", "book"}
    ids = {span.span_id for span in reported.spans}
    for event in messages:
        assert event.trace_id == whole.trace_id
        assert event.span_id in ids
        assert event.attributes["session.id"] == whole.body["call_id"]
        assert event.attributes["agent.turn.index"] in (0, 1)
    assert not [word for word in SAID if word in repr(reported.spans)]


def test_a_full_report_without_content_quotes_nobody(tmp_path: Path) -> None:
    """LiveKit's report comes without its history, events, tags in free words, and room's name."""
    reported = report(tmp_path, {REPORT: "full"}, rooms=("tools-1",))
    [whole] = reported.events
    livekits = whole.body["livekit_session_report"]
    assert livekits["duration_ms"] > 0
    assert livekits["usage"][0]["type"] == "llm_usage"
    # a closed set: one may be the declared label, or LiveKit's own
    assert livekits["tags"] == ["intent:billing", "lk.success"]
    assert livekits.keys() == {
        *("job_id", "room_id", "agent_name", "sdk_version", "options", "usage", "user_turns"),
        *("errors", "close_reason", "timestamp", "duration_ms", "audio_recording_started_at"),
        "tags",
    }
    assert not [word for word in SAID if word in repr(reported.events)]


def test_nothing_is_sent_that_was_not_asked_for(tmp_path: Path) -> None:
    """No event without the variable, and no request."""
    reported = report(tmp_path, {"OTEL_LOGS_EXPORTER": "otlp"}, rooms=("tools-1",))
    assert reported.spans
    assert reported.events == []


def test_a_users_provider_is_the_way(tmp_path: Path) -> None:
    """The events go where the application's logs go, whatever the variables say."""
    with OtlpReceiver() as users:
        reported = report(
            tmp_path, {REPORT: "summary", "USERS_LOGS": users.endpoint}, rooms=("tools-1",)
        )
        events = events_at(users)
    [whole] = [event for event in events if event.name == "agent.session.report"]
    assert whole.trace_id == reported.calls.summaries[0]["trace_id"]
    assert reported.events == []


@pytest.mark.parametrize("mode", ["hang", "refuse", "503"])
def test_a_sick_backend_holds_no_call_up(tmp_path: Path, mode: Mode) -> None:
    """The hooks have all they would have; the jobs end in time."""
    reported = report(tmp_path, {REPORT: "full", **CONTENT}, mode=mode)
    assert len(reported.calls.summaries) == len(ROOMS)
    assert reported.calls.run.calls_ended == len(ROOMS)
    assert "killing process" not in reported.calls.run.stderr
    assert reported.events == []


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        (
            {REPORT: "json"},
            f"{REPORT}=json: no such report, none is sent; write summary, full or off",
        ),
        (
            {REPORT: "full", "OTEL_LOGS_EXPORTER": "langfuse"},
            "OTEL_LOGS_EXPORTER=langfuse: log events are not sent there by that name; write otlp "
            "and set OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, or none",
        ),
        (
            {REPORT: "full", "OTEL_LOGS_EXPORTER": "oltp"},
            "OTEL_LOGS_EXPORTER=oltp: no exporter of that name is installed, it is left out; use "
            "any of",
        ),
        (
            {"CALLSPAN_HOOK_TIMEOUT": "-1"},
            "CALLSPAN_HOOK_TIMEOUT=-1: not a number of seconds above 0 "
            "and up to 8, 2 is used; write for example 2",
        ),
    ],
)
def test_a_wrong_word_is_said_by_the_worker(
    tmp_path: Path, variables: dict[str, str], problem: str
) -> None:
    """Once, in plain words; the call is taken."""
    reported = report(tmp_path, variables, rooms=("plain-1",))
    assert len([line for line in reported.calls.run.logged("ERROR") if problem in line]) == 1
    assert reported.calls.run.calls_ended == 1
    assert len(reported.calls.summaries) == 1


@pytest.mark.parametrize(
    ("by_command", "executor"),
    [(False, "process"), (True, "process"), (False, "thread")],
    ids=["line", "command", "thread"],
)
def test_log_records_say_which_span_they_belong_to(
    tmp_path: Path, by_command: bool, executor: str
) -> None:
    """In the worker, where LiveKit handles them again; and what OpenTelemetry's handler sends."""
    with OtlpReceiver() as users:
        reported = report(
            tmp_path,
            {"USERS_LOGS": users.endpoint, "EXECUTOR": executor},
            rooms=("tools-1", "tools-2"),
            by_command=by_command,
        )
        sent = [event for event in events_at(users) if event.scope == "application"]
    lines = [line for line in reported.calls.run.stdout.splitlines() if line.startswith("LOGGED ")]
    tools = [line.split()[1:3] for line in lines if line.endswith("looking up")]
    names = {(span.trace_id, span.span_id): span.name for span in reported.spans}
    assert [names[trace_id, span_id] for trace_id, span_id in tools] == ["function_tool"] * 2
    # a hook runs after the root has ended, and is told apart by it all the same
    ends = [line.split() for line in lines if " summary of " in line]
    assert {(end[-1], end[1]) for end in ends} == {
        (summary["call_id"], summary["trace_id"]) for summary in reported.calls.summaries
    }
    assert len(sent) == 4
    for event in sent:
        assert (event.trace_id, event.span_id) in names


LOG_EXPORT = {
    "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "true",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "LIVEKITS_LEVEL": "DEBUG",
    # all of a job's records are to arrive, however busy the machine is
    "CALLSPAN_FLUSH_TIMEOUT": "8",
}
"""What the wrapper command exports log records with."""


def test_the_wrappers_log_export_holds_no_content(tmp_path: Path) -> None:
    """What LiveKit logs at DEBUG leaves without a word; the console has it as before."""
    reported = report(tmp_path, LOG_EXPORT, rooms=("tools-1",), by_command=True)
    livekits = [event for event in reported.events if event.scope.startswith("livekit")]
    assert not [event for event in livekits if any(word in repr(event) for word in SAID)]
    assert not [event for event in livekits if "room" in event.attributes]
    # from the job and from its worker, with what is none
    tools = [event for event in livekits if event.body == "executing tool"]
    assert [event.attributes["function"] for event in tools].count("look_up") == 2
    failed = [e for e in livekits if e.body == "exception occurred while executing tool"]
    assert {e.attributes.get("exception.type") for e in failed} == {"RuntimeError", None}
    assert [e.body for e in reported.events if e.scope == "application"].count("looking up") == 2
    assert "RuntimeError: the calendar is gone" in reported.calls.run.stderr
    [started] = [each for each in reported.calls.run.logged("INFO") if "role=worker" in each]
    assert "; content: off; LiveKit's log records: without content; flush: " in started


def test_the_wrappers_log_export_holds_content_where_events_are_named(tmp_path: Path) -> None:
    """EVENT_ONLY: the records leave as they are, and the worker says so."""
    reported = report(tmp_path, {**LOG_EXPORT, **CONTENT}, rooms=("tools-1",), by_command=True)
    records = [event for event in reported.events if event.scope == "livekit.agents"]
    said = [event.attributes.get("lk.pii.text") for event in records]
    assert said.count("Hello from Zanzibar.") == 2
    assert {e.attributes.get("room") for e in records} == {"tools-1", None}
    assert not [e for e in records if "_otelBody" in e.attributes]
    [started] = [each for each in reported.calls.run.logged("INFO") if "role=worker" in each]
    assert "; LiveKit's log records: with content; flush: " in started
