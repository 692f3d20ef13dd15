# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A finished span made anew: what has ended is never rewritten."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan


def copy_of(span: ReadableSpan, **changed: Any) -> ReadableSpan:
    """Return a span made anew with some fields changed."""
    fields: dict[str, Any] = {
        "name": span.name,
        "context": span.context,
        "parent": span.parent,
        "resource": span.resource,
        "attributes": span.attributes,
        "events": span.events,
        "links": span.links,
        "kind": span.kind,
        "status": span.status,
        "start_time": span.start_time,
        "end_time": span.end_time,
        "instrumentation_scope": span.instrumentation_scope,
    }
    return ReadableSpan(**(fields | changed))
