# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""LiveKit Cloud's recording beside us, whichever of us sets up first.

The jobs are not fake: LiveKit prepares its recording before the job's root span, as it does for
a job that was dispatched. Only nobody connects to a room, and Cloud is a stand-in.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from integration.cloud_stand_in import CloudStandIn
from kit.workers import SAID, Run, assert_whole, names, run_agent
from offline.received import ReceivedSpan

_METRICS = "/observability/metrics/otlp/v0"


@dataclass(frozen=True)
class Recorded:
    """One recorded call: what we sent, and what LiveKit uploaded."""

    run: Run
    cloud_spans: list[ReceivedSpan]
    cloud_paths: set[str]


def _record(line: str, *, by_command: bool = False, **variables: str) -> Recorded:
    with CloudStandIn() as cloud:
        run = run_agent(
            "cloud_recording",
            {
                "LINE": line,
                "REAL_JOBS": "1",
                "LIVEKIT_OBSERVABILITY_URL": cloud.url,
                "LIVEKIT_API_KEY": "key",
                "LIVEKIT_API_SECRET": "a secret that is only used on the loopback",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_LOGS_EXPORTER": "none",
                **variables,
            },
            by_command=by_command,
        )
        return Recorded(run, cloud.spans, set(cloud.paths))


_WHO_WAS_FIRST = {
    "we first": {"line": "module"},
    "Cloud first": {"line": "entrypoint"},
    "command": {"line": "none", "by_command": True},
}


@pytest.fixture(scope="module")
def recorded() -> dict[str, Future[Recorded]]:
    """Recorded calls, by who sets up first, and one without us."""
    silent = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
    content = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY"}
    with ThreadPoolExecutor(2) as pool:
        return {
            "alone": pool.submit(_record, "none", **silent),
            **{name: pool.submit(_record, **how) for name, how in _WHO_WAS_FIRST.items()},
            "no traces": pool.submit(_record, "module", RECORD='{"traces": false}'),
            "content": pool.submit(_record, "module", **content),
        }


@pytest.fixture
def alone(recorded: dict[str, Future[Recorded]]) -> Recorded:
    """The recording without us."""
    return recorded["alone"].result()


def test_recording_alone_is_what_the_others_are_compared_with(alone: Recorded) -> None:
    """Without us Cloud gets a whole trace, content in it, and the rest of a recording."""
    assert_whole(alone.cloud_spans)
    assert SAID in _agent_turn(alone.cloud_spans)
    assert alone.cloud_paths == {
        "/observability/traces/otlp/v0",
        "/observability/logs/otlp/v0",
        _METRICS,
        "/observability/recordings/v0",
    }


@pytest.mark.parametrize("first", _WHO_WAS_FIRST)
def test_both_get_the_whole_call_each_by_its_own_policy(
    first: str, recorded: dict[str, Future[Recorded]], alone: Recorded
) -> None:
    """Cloud gets what it gets without us, with content; we send all of it, without content."""
    both = recorded[first].result()

    assert_whole(both.cloud_spans)
    assert names(both.cloud_spans) == names(alone.cloud_spans)
    assert SAID in _agent_turn(both.cloud_spans)
    assert_whole(both.run.spans)
    assert names(both.run.spans) == names(alone.cloud_spans)
    assert SAID not in str(both.run.spans)
    assert not [span for span in both.run.spans if "lk.pii.room_name" in span.attributes]
    assert both.run.logged("WARNING") == []
    assert both.run.logged("ERROR") == []
    if first == "command":  # it has set the one global MeterProvider, before anybody could ask
        assert both.cloud_paths == alone.cloud_paths - {_METRICS}
    else:
        assert both.cloud_paths == alone.cloud_paths
        assert both.run.requests_to("/v1/metrics")


@pytest.mark.parametrize("first", _WHO_WAS_FIRST)
def test_call_has_its_identity_whoever_was_first(
    first: str, recorded: dict[str, Future[Recorded]]
) -> None:
    """A dispatched job is a production call under the job's id, on each span we could reach."""
    spans = {span.name: span for span in recorded[first].result().run.spans}

    job_id = spans["job_entrypoint"].attributes["lk.job_id"]
    for name in ("agent_session", "agent_turn", "session_close"):
        assert spans[name].attributes["session.id"] == job_id
        assert spans[name].attributes["agent.call.kind"] == "production"


def test_cloud_gets_no_trace_of_a_session_that_does_not_record_traces(
    recorded: dict[str, Future[Recorded]], alone: Recorded
) -> None:
    """What LiveKit's recording leaves out is still sent by us."""
    both = recorded["no traces"].result()

    assert both.cloud_spans == []
    assert_whole(both.run.spans)
    assert names(both.run.spans) == names(alone.cloud_spans)


def test_content_is_sent_to_both_where_it_is_asked_for(
    recorded: dict[str, Future[Recorded]],
) -> None:
    """Our content switch changes what we send, not what Cloud gets."""
    both = recorded["content"].result()

    assert SAID in _agent_turn(both.cloud_spans)
    assert SAID in _agent_turn(both.run.spans)


def _agent_turn(spans: list[ReceivedSpan]) -> str:
    (turn,) = (span for span in spans if span.name == "agent_turn")
    return str(turn.attributes)
