# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""LiveKit's own report of a session."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

_WITHOUT_CONTENT: Final = (
    *("job_id", "room_id", "agent_name", "sdk_version", "options", "usage", "user_turns"),
    *("errors", "close_reason", "timestamp", "duration_ms", "audio_recording_started_at"),
)
"""What of a report is a number, a setting or an id. The rest says what was said or names a person,
as rooms, which are called after callers, do; so may what a later version adds."""
_TAGS: Final = "tags"


def read(*, content: bool, known_tags: Callable[[Iterable[str]], list[str]]) -> dict[str, Any]:
    """Return the report of the current job's session, as plain data.

    Args:
        content: Whether it may say what was said.
        known_tags: Keeps of tags those that are no free text.

    Raises:
        RuntimeError: If there is no job or no session, or its recording has not ended.
    """
    from livekit.agents import get_job_context

    report = get_job_context().make_session_report().to_dict()
    if not content:
        tags = known_tags(report.get(_TAGS) or ())
        report = {key: report[key] for key in _WITHOUT_CONTENT if key in report} | {_TAGS: tags}
    # exceptions and model objects are among an event's fields
    plain: dict[str, Any] = json.loads(json.dumps(report, default=str))
    return plain
