# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls on real speech, by agents that are instrumented in code or zero-code: what came of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from kit.workers import run_agent
from offline.dialogue import RECEPTIONIST
from offline.llm_server import ScriptedChatServer
from offline.received import ReceivedSpan


@dataclass
class Calls:
    """A worker's calls, from both sides.

    Attributes:
        spans: What arrived.
        made: Name of each span that was made, by span id.
        rooms: The room of each job.
        sounds: What the callers said: (room, from, to), Unix seconds.
        log: What the worker logged.
    """

    spans: list[ReceivedSpan]
    made: dict[str, str]
    rooms: dict[str, str]
    sounds: list[tuple[str, float, float]]
    log: str

    def of(self, room: str) -> list[ReceivedSpan]:
        """Return the spans of the call in a room."""
        (job,) = [job for job, name in self.rooms.items() if name == room]
        return [span for span in self.spans if span.attributes["session.id"] == job]


def take_calls(folder: Path, agent: str, rooms: tuple[str, ...], **variables: str) -> Calls:
    """Have a worker take calls, all at once."""
    ledger = folder / "ledger"
    with ScriptedChatServer(RECEPTIONIST) as model:
        run = run_agent(
            agent,
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "{endpoint}",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_LOGS_EXPORTER": "none",
                "OPENAI_BASE_URL": model.base_url,
                "OPENAI_API_KEY": "none",
                "WITNESS": str(folder),
                "CALLER_LEDGER": str(ledger),
                "ROOMS": ",".join(rooms),
                **variables,
            },
            by_command=agent == "speech_zero_code",
            timeout_s=300,
        )
    made = {}
    for path in folder.glob("*.spans"):
        for line in path.read_text().splitlines():
            span = json.loads(line)
            made[span["span_id"]] = span["name"]
    sounds = [json.loads(line) for line in ledger.read_text().splitlines()]
    return Calls(
        spans=run.spans,
        made=made,
        rooms={path.stem: path.read_text() for path in folder.glob("*.room")},
        sounds=[
            (sound["room"], sound["started_at"], sound["ended_at"])
            for sound in sounds
            if sound["speaker"] == "caller"
        ],
        log=run.output,
    )
