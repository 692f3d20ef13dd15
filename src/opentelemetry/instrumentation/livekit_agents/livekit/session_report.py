# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""LiveKit's own report of a session."""

from __future__ import annotations

import json
from typing import Any, Final

_CONTENT: Final = ("events", "chat_history", "room")
"""What of a report says what was said, or names a person: rooms are called after callers."""


def read(*, content: bool) -> dict[str, Any]:
    """Return the report of the current job's session, as plain data.

    Args:
        content: Whether it may say what was said.

    Raises:
        RuntimeError: If there is no job or no session, or its recording has not ended.
    """
    from livekit.agents import get_job_context

    report = get_job_context().make_session_report().to_dict()
    if not content:
        for key in _CONTENT:
            report.pop(key, None)
    # exceptions and model objects are among an event's fields
    plain: dict[str, Any] = json.loads(json.dumps(report, default=str))
    return plain
