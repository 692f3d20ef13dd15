# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""A call as Langfuse reads it: copies of its finished spans in Langfuse's own spelling.

Left to itself Langfuse takes every span that names a model for a generation, estimates the usage
of those that have none, and adds token counts up that contain each other. So each copy says what
it is, and only a request that reported its usage keeps its model.

Of the tags of a trace's observations Langfuse 3 makes one list, and Langfuse 4 takes those of
whichever it stored last; of their metadata for the trace, Langfuse 3 keeps what the observation
that started last has. So tags, and labels, which can change within a call, are given to the trace
by its root alone, which has the last word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from .. import semconv
from .langfuse_cost import ObservationCosts
from .span_copy import copy_of
from .span_filter import is_kept

_Attributes = dict[str, Any]

_TYPES: Final = {
    semconv.SPAN_AGENT_TURN: semconv.LANGFUSE_AGENT,
    semconv.SPAN_FUNCTION_TOOL: semconv.LANGFUSE_TOOL,
}
_CONTENT: Final = {
    semconv.LK_USER_INPUT: semconv.LANGFUSE_INPUT,
    semconv.LK_INPUT_TEXT: semconv.LANGFUSE_INPUT,
    semconv.LK_TOOL_ARGUMENTS: semconv.LANGFUSE_INPUT,
    semconv.LK_RESPONSE_TEXT: semconv.LANGFUSE_OUTPUT,
    semconv.LK_TRANSCRIPT: semconv.LANGFUSE_OUTPUT,
    semconv.LK_TOOL_OUTPUT: semconv.LANGFUSE_OUTPUT,
}
"""What Langfuse shows as input and output; messages of an LLM request it reads by itself."""

_SEARCHABLE: Final = {
    semconv.AGENT_NAME: f"{semconv.LANGFUSE_TRACE_METADATA}agent_name",
    semconv.CALL_KIND: f"{semconv.LANGFUSE_TRACE_METADATA}call_kind",
    semconv.TENANT_ID: f"{semconv.LANGFUSE_TRACE_METADATA}tenant_id",
    semconv.OUTCOME: f"{semconv.LANGFUSE_TRACE_METADATA}outcome",
    semconv.TURN_INDEX: f"{semconv.LANGFUSE_METADATA}turn_index",
}
_LONGEST_TAG: Final = 200
_LONGEST_ENVIRONMENT: Final = 40


def mapping(environment: str = "", release: str = "") -> Callable[[ReadableSpan], ReadableSpan]:
    """Return the function that makes Langfuse's copy of a finished span.

    Content is what the span still carries of it: it is taken off before, where it is not wanted.

    Spans have to come in the order in which they are sent, from one thread at a time.

    Args:
        environment: For every span. Default: the resource's ``deployment.environment.name``.
        release: For every span. Default: the resource's ``service.version``.
    """
    costs = ObservationCosts()

    def copy(span: ReadableSpan) -> ReadableSpan:
        source = span.attributes or {}
        attributes = {
            key: value
            for key, value in source.items()
            if not key.startswith(semconv.LANGFUSE_READS_AS_USAGE)
        }
        attributes |= _of_every_span(span, source, environment, release)
        attributes |= _searchable(span, source)
        attributes[semconv.LANGFUSE_TYPE] = _TYPES.get(span.name, semconv.LANGFUSE_SPAN)
        _write_level(attributes, span)
        _write_content(attributes)
        _write_request(attributes, span, source)
        _write_cost(attributes, span, source, costs)
        return copy_of(span, attributes=attributes)

    return copy


def _of_every_span(
    span: ReadableSpan, source: Mapping[str, Any], environment: str, release: str
) -> _Attributes:
    resource = span.resource.attributes
    named = (str(resource[key]) for key in semconv.DEPLOYMENT_ENVIRONMENTS if resource.get(key))
    name = str(source.get(semconv.AGENT_NAME, ""))
    said = {
        semconv.LANGFUSE_SESSION_ID: source.get(semconv.SESSION_ID),
        semconv.LANGFUSE_USER_ID: source.get(semconv.USER_ID),
        semconv.LANGFUSE_TRACE_NAME: name,
        semconv.LANGFUSE_TAGS: _tags(name, source) if _is_root(span) else (),
        semconv.LANGFUSE_ENVIRONMENT: _environment(environment or next(named, "")),
        semconv.LANGFUSE_RELEASE: release or resource.get(semconv.SERVICE_VERSION),
    }
    return {key: value for key, value in said.items() if value}


def _is_root(span: ReadableSpan) -> bool:
    return span.parent is None or span.name == semconv.SPAN_JOB


def _tags(name: str, source: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the agent's name, the kind of the call and its labels."""
    labels = sorted(
        f"{key.removeprefix(semconv.LABEL_PREFIX)}:{value}"
        for key, value in source.items()
        if key.startswith(semconv.LABEL_PREFIX)
    )
    tags = (name, str(source.get(semconv.CALL_KIND, "")), *labels)
    return tuple(tag[:_LONGEST_TAG] for tag in tags if tag)


def _environment(name: str) -> str:
    """Return a name in the only letters that Langfuse takes; it throws away any other."""
    plain = re.sub(r"[^a-z0-9_-]", "-", name.lower())
    return plain.removeprefix("langfuse").lstrip("-_")[:_LONGEST_ENVIRONMENT]


def _searchable(span: ReadableSpan, source: Mapping[str, Any]) -> _Attributes:
    prefix = semconv.LANGFUSE_TRACE_METADATA if _is_root(span) else semconv.LANGFUSE_METADATA
    attributes = {
        theirs: str(source[ours]) for ours, theirs in _SEARCHABLE.items() if ours in source
    }
    for key, value in source.items():
        if key.startswith(semconv.LABEL_PREFIX):
            label = key.removeprefix(semconv.LABEL_PREFIX).replace(".", "_")
            attributes[f"{prefix}{label}"] = str(value)
    return attributes


def _write_level(attributes: _Attributes, span: ReadableSpan) -> None:
    """Say what is an error, and that what was kept is no detail, which it takes TTS for."""
    if span.status.status_code is StatusCode.ERROR or attributes.get(semconv.LK_TOOL_IS_ERROR):
        attributes[semconv.LANGFUSE_LEVEL] = semconv.LANGFUSE_LEVEL_ERROR
    elif is_kept(span):
        attributes[semconv.LANGFUSE_LEVEL] = semconv.LANGFUSE_LEVEL_DEFAULT


def _write_content(attributes: _Attributes) -> None:
    for ours, theirs in _CONTENT.items():
        if ours in attributes:
            attributes[theirs] = attributes.pop(ours)


def _write_request(attributes: _Attributes, span: ReadableSpan, source: Mapping[str, Any]) -> None:
    """Say what a request used and when its answer began."""
    usage, first_after_s = _usage(span, source)
    models = [attributes.pop(key) for key in semconv.LANGFUSE_READS_AS_MODEL if key in attributes]
    if models and usage:
        attributes[semconv.LANGFUSE_MODEL] = models[0]
    elif models:
        # Langfuse would estimate the usage of anything that has a model and reported none
        attributes[f"{semconv.LANGFUSE_METADATA}model"] = models[0]
    if usage:
        attributes[semconv.LANGFUSE_TYPE] = semconv.LANGFUSE_GENERATION
        attributes[semconv.LANGFUSE_USAGE] = json.dumps(usage)
    if (began := _answer_began(attributes, span, first_after_s)) is not None:
        attributes[semconv.LANGFUSE_COMPLETION_START] = began


def _write_cost(
    attributes: _Attributes, span: ReadableSpan, source: Mapping[str, Any], costs: ObservationCosts
) -> None:
    if span.name == semconv.SPAN_JOB:
        dollars = costs.of_root(source)
    else:
        # the cost of what was recognised comes with its seconds, or it has no price
        estimated = semconv.LANGFUSE_MODEL in attributes and span.name != semconv.SPAN_STT_REQUEST
        dollars = costs.of_request(source, estimated=estimated)
    if dollars:
        attributes[semconv.LANGFUSE_COST] = json.dumps(dollars)


def _answer_began(attributes: _Attributes, span: ReadableSpan, after_s: float) -> str | None:
    """Return when the first of an answer came: LiveKit writes it, quoted, for its LLM requests."""
    if given := attributes.pop(semconv.LANGFUSE_COMPLETION_START, None):
        return str(given).strip('"')
    if after_s < 0 or span.start_time is None:
        return None
    return datetime.fromtimestamp(span.start_time / 1e9 + after_s, UTC).isoformat()


def _usage(span: ReadableSpan, source: Mapping[str, Any]) -> tuple[dict[str, int], float]:
    """Return what a request used, and how many seconds its answer took to begin (-1: unknown)."""
    if not is_kept(span):
        return {}, -1.0
    if span.name == semconv.SPAN_STT_REQUEST:
        milliseconds = round(1000 * _number(source.get(semconv.STT_AUDIO_DURATION), 0))
        return _of_speech(semconv.USAGE_MILLISECONDS, milliseconds, {}), -1.0
    if span.name == semconv.SPAN_TTS_REQUEST:
        reported = _reported(source)
        characters = int(_number(reported.get("characters_count"), 0))
        usage = _of_speech(semconv.USAGE_CHARACTERS, characters, _tokens_of_speech(reported))
        return usage, _number(reported.get("ttfb"), -1)
    return tokens(source), _number(source.get(semconv.GEN_AI_TIME_TO_FIRST_CHUNK), -1)


def _number(value: object, default: float) -> float:
    return value if isinstance(value, int | float) else default


def _reported(source: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        reported = json.loads(source.get(semconv.LK_TTS_METRICS, "{}"))
    except ValueError:
        return {}
    return reported if isinstance(reported, dict) else {}


def _tokens_of_speech(reported: Mapping[str, Any]) -> Mapping[str, int]:
    """Return a synthesis by the token: text goes in, audio comes out."""
    return tokens(
        {
            semconv.GEN_AI_INPUT_TOKENS: reported.get("input_tokens", 0),
            semconv.GEN_AI_OUTPUT_TOKENS: reported.get("output_tokens", 0),
            semconv.GEN_AI_AUDIO_OUTPUT: reported.get("output_tokens", 0),
        }
    )


def _of_speech(unit: str, count: int, used: Mapping[str, int]) -> dict[str, int]:
    """Return what speech took: its own unit stays out of the total, which is of tokens."""
    if not count and not used:
        return {}
    return {unit: count, semconv.USAGE_TOTAL: 0, **used}


def tokens(source: Mapping[str, Any]) -> dict[str, int]:
    """Divide the tokens of a request into parts that do not overlap, and add their total.

    Reported counts contain each other (what was cached is part of the input, audio too); here
    each token is in one part, the most particular one that it is known to belong to.

    Args:
        source: The attributes of the request's span.

    Returns:
        Counts by Langfuse's names; empty where nothing was used.
    """

    def count(key: str) -> int:
        return max(0, int(_number(source.get(key), 0)))

    taken, given = count(semconv.GEN_AI_INPUT_TOKENS), count(semconv.GEN_AI_OUTPUT_TOKENS)
    if not taken and not given:
        return {}
    audio_cached = count(semconv.GEN_AI_AUDIO_CACHE_READ)
    image_cached = count(semconv.GEN_AI_IMAGE_CACHE_READ)
    text_cached = count(semconv.GEN_AI_CACHE_READ) - audio_cached - image_cached
    parts = _divide(
        taken,
        {
            semconv.USAGE_INPUT_AUDIO_CACHED: audio_cached,
            semconv.USAGE_INPUT_IMAGE_CACHED: image_cached,
            semconv.USAGE_INPUT_CACHED: text_cached,
            semconv.USAGE_INPUT_CACHE_WRITE: count(semconv.GEN_AI_CACHE_WRITE),
            semconv.USAGE_INPUT_AUDIO: count(semconv.GEN_AI_AUDIO_INPUT) - audio_cached,
            semconv.USAGE_INPUT_IMAGE: count(semconv.GEN_AI_IMAGE_INPUT) - image_cached,
        },
        rest=semconv.USAGE_INPUT,
    )
    parts |= _divide(
        given,
        {
            semconv.USAGE_OUTPUT_AUDIO: count(semconv.GEN_AI_AUDIO_OUTPUT),
            semconv.USAGE_OUTPUT_REASONING: count(semconv.GEN_AI_REASONING),
        },
        rest=semconv.USAGE_OUTPUT,
    )
    return {**parts, semconv.USAGE_TOTAL: taken + given}


def _divide(whole: int, wanted: Mapping[str, int], *, rest: str) -> dict[str, int]:
    """Give each part what it wants of what is left; the rest has a name of its own."""
    parts = {}
    for name, count in wanted.items():
        if (given := min(max(0, count), whole)) > 0:
            parts[name] = given
            whole -= given
    return {rest: whole, **parts}
