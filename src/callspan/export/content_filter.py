# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Content stays home: copies of finished spans without what was said or passed through tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status

from .. import semconv
from .span_copy import copy_of


def is_content(key: str) -> bool:
    """Tell whether an attribute carries content.

    LiveKit marks its own with a dot-delimited ``pii`` segment; GenAI names are a fixed list.
    """
    return (
        key in semconv.CONTENT_ATTRIBUTES
        or semconv.LK_PII_SEGMENT in key.split(".")
        or key.startswith(semconv.CONTENT_ATTRIBUTE_PREFIXES)
    )


def without_content(span: ReadableSpan) -> ReadableSpan:
    """Return the span without content: itself where it has none, else a copy.

    Dropped: content attributes and events. Replaced by a fixed text: messages of exceptions and
    statuses, which quote what failed; their types stay.
    """
    attributes = _clean(span.attributes)
    events = [
        event if (cleaned := _clean(event.attributes)) is None else _event(event, cleaned)
        for event in span.events
        if event.name not in semconv.CONTENT_EVENTS
    ]
    events_same = len(events) == len(span.events) and all(
        a is b for a, b in zip(events, span.events, strict=True)
    )
    status = span.status
    if status.description and status.description != semconv.REDACTED:
        status = Status(status.status_code, semconv.REDACTED)
    if attributes is None and events_same and status is span.status:
        return span
    return copy_of(
        span,
        attributes=span.attributes if attributes is None else attributes,
        events=events,
        status=status,
    )


def _clean(attributes: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the attributes without content, or None where there was none in them."""
    if not attributes:
        return None
    if not any(is_content(key) or key == semconv.EXCEPTION_MESSAGE for key in attributes):
        return None
    return {
        key: semconv.REDACTED if key == semconv.EXCEPTION_MESSAGE else value
        for key, value in attributes.items()
        if not is_content(key)
    }


def _event(event: Event, attributes: dict[str, Any]) -> Event:
    return Event(name=event.name, attributes=attributes, timestamp=event.timestamp)
