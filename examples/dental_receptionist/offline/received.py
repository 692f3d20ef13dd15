# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""What an OTLP receiver was sent, as plain records.

Apart from the server, because a test or a report reads these and never a socket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """One span as it came over the wire.

    Ids are lower-case hex, `parent_span_id` is empty for a root. Times are nanoseconds since the
    epoch. `kind` and `status_code` are OTLP's numbers (status 2 is an error). An event is
    `(name, time in ns, attributes)`.
    """

    name: str
    trace_id: str
    span_id: str
    parent_span_id: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: list[tuple[str, int, dict[str, Any]]]
    status_code: int
    status_message: str
    scope_name: str
    resource: dict[str, Any]
    kind: int


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One export request, whether or not it was answered.

    `path` is the URL's path, or the full method name over gRPC. `headers` have lower-case names.
    `body_size` is in bytes: as sent (compressed) over HTTP, of the message over gRPC.
    """

    method: str
    path: str
    headers: dict[str, str]
    body_size: int


def read_spans(message: ExportTraceServiceRequest) -> Iterator[ReceivedSpan]:
    """Yields every span of an export request, its resource and scope beside it."""
    for resource_spans in message.resource_spans:
        resource = _read_attributes(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                yield ReceivedSpan(
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_span_id=span.parent_span_id.hex(),
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    attributes=_read_attributes(span.attributes),
                    events=[
                        (event.name, event.time_unix_nano, _read_attributes(event.attributes))
                        for event in span.events
                    ],
                    status_code=span.status.code,
                    status_message=span.status.message,
                    scope_name=scope_spans.scope.name,
                    resource=resource,
                    kind=span.kind,
                )


def _read_attributes(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {attribute.key: _read_value(attribute.value) for attribute in attributes}


def _read_value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which == "array_value":
        return [_read_value(item) for item in value.array_value.values]
    if which == "kvlist_value":
        return _read_attributes(value.kvlist_value.values)
    return getattr(value, which)
