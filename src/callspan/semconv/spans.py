# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Spans: their names, attributes and events, and which of them carry content."""

from __future__ import annotations

from typing import Final

SCOPE_NAME: Final = "callspan"
"""The instrumentation scope of what this package creates itself."""

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.37.0"
"""The semantic conventions that the standard names below were taken from."""

LIVEKIT_SCOPE_NAME: Final = "livekit-agents"
"""The instrumentation scope of LiveKit's native spans."""

TELEMETRY_AUTO_VERSION: Final = "telemetry.auto.version"
"""On the resource of a provider that the ``opentelemetry-instrument`` command configured."""

# --- spans -------------------------------------------------------------------------------------

SPAN_JOB: Final = "job_entrypoint"
SPAN_JOB_SHUTDOWN: Final = "job_shutdown"
SPAN_SESSION: Final = "agent_session"
SPAN_USER_TURN: Final = "user_turn"
SPAN_USER_SPEAKING: Final = "user_speaking"
SPAN_AGENT_TURN: Final = "agent_turn"
SPAN_STT_REQUEST: Final = "stt_request"
"""Ours: the one stage of a turn that LiveKit has no span for."""

# --- attributes of every span of a call --------------------------------------------------------

SESSION_ID: Final = "session.id"
"""The job's id: one per call, where ``gen_ai.conversation.id`` is the room's."""
AGENT_NAME: Final = "agent.name"
"""The dispatch name; without one the service's; without that the first agent's."""
CALL_KIND: Final = "agent.call.kind"
"""One of the ``KIND_*`` values."""
TURN_INDEX: Final = "agent.turn.index"
"""Which turn of the call a span belongs to: 0 before the user first spoke, then 1, 2, …"""

USER_ID: Final = "user.id"
TENANT_ID: Final = "tenant.id"
LABEL_PREFIX: Final = "agent.label."
"""Followed by the name of a label that the application gave the call."""

KIND_PRODUCTION: Final = "production"
KIND_SIMULATION: Final = "simulation"
KIND_CONSOLE: Final = "console"
KIND_TEST: Final = "test"
KINDS: Final = (KIND_PRODUCTION, KIND_SIMULATION, KIND_CONSOLE, KIND_TEST)

# --- attributes of the root, at the end of a call ----------------------------------------------

OUTCOME: Final = "agent.outcome"
OUTCOME_REASON: Final = "agent.outcome.reason"
"""What the application gave as the reason; free text, so content."""
CONVERSIONS: Final = "agent.conversions"
"""Names of what the call was converted to."""
DURATION: Final = "agent.session.duration"
"""Seconds from the start of the AgentSession to its close."""
TURNS: Final = "agent.session.turns"
INTERRUPTIONS: Final = "agent.session.interruptions"
CLOSE_REASON: Final = "agent.session.close_reason"
CALL_DIRECTION: Final = "agent.call.direction"
"""``inbound`` or ``outbound``, for telephone calls."""
CALL_TRUNK_ID: Final = "agent.call.sip.trunk_id"
CALL_SIP_ID: Final = "agent.call.sip.call_id"
CALL_DTMF_COUNT: Final = "agent.call.dtmf.count"
"""How many keys the caller pressed; never which."""

SPAN_COST: Final = "agent.cost.dollars"
"""On a span: what the request that it stands for cost. On the root: what the call cost."""
UNPRICED: Final = "agent.unpriced_usage"
"""On a request's span: true where no price is known for what it used."""
COST_PREFIX: Final = "agent.cost."
"""On the root, followed by a component: dollars."""

OUTCOME_CRASHED: Final = "crashed"
"""The process broke off with the call open; only ever counted by the worker."""
OUTCOME_SUCCESS: Final = "success"
"""``ctx.tagger.success()``."""
OUTCOME_FAILURE: Final = "failure"
"""``ctx.tagger.fail()``."""
OUTCOME_ERROR: Final = "error"
OUTCOME_VOICEMAIL: Final = "voicemail"
"""Answering machine detection heard a machine."""
OUTCOME_TRANSFERRED: Final = "transferred"
OUTCOME_ABANDONED: Final = "abandoned"
OUTCOME_COMPLETED: Final = "completed"
"""The default, unless another is set."""
OUTCOMES: Final = (
    OUTCOME_CRASHED,
    OUTCOME_SUCCESS,
    OUTCOME_FAILURE,
    OUTCOME_ERROR,
    OUTCOME_VOICEMAIL,
    OUTCOME_TRANSFERRED,
    OUTCOME_ABANDONED,
    OUTCOME_COMPLETED,
)
"""Those that need no declaration."""

LK_TAG_SUCCESS: Final = "lk.success"
LK_TAG_FAIL: Final = "lk.fail"
LK_TAGS_MACHINE: Final = frozenset(
    {"lk.amd:machine-ivr", "lk.amd:machine-vm", "lk.amd:machine-unavailable"}
)
LK_TAG_JUDGE: Final = "lk.judge."
"""Tag of a judge's verdict: followed by the judge's name, a colon, and the verdict."""

# --- interruptions -----------------------------------------------------------------------------

EVENT_INTERRUPTION: Final = "interruption"
"""On ``agent_turn``: something stopped the agent while it spoke, or seemed to."""
INTERRUPTION_KIND: Final = "agent.interruption.kind"
PLAYOUT_POSITION: Final = "agent.playout.position"
"""Seconds of the agent's speech that the caller had heard."""

INTERRUPTION_BARGE_IN: Final = "barge_in"
INTERRUPTION_FALSE: Final = "false"
INTERRUPTION_PROGRAMMATIC: Final = "programmatic"

# --- stt_request -------------------------------------------------------------------------------

GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
GEN_AI_PROVIDER_NAME: Final = "gen_ai.provider.name"
GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
OPERATION_SPEECH_TO_TEXT: Final = "speech_to_text"
STT_AUDIO_DURATION: Final = "agent.stt.audio.duration"
"""Seconds of audio that the recogniser reported to have taken in."""
STT_TRANSCRIPTION_DELAY: Final = "agent.stt.transcription_delay"
"""Seconds from the end of the user's speech to the last final transcript."""
STT_TRANSCRIPT_LENGTH: Final = "agent.stt.transcript.length"
"""Characters in the final transcripts of the turn."""
STT_FINAL_COUNT: Final = "agent.stt.final.count"
"""Final transcripts that arrived in the turn."""

# --- what LiveKit writes and we read -----------------------------------------------------------

LK_PII_SEGMENT: Final = "pii"
LK_TRANSCRIPT: Final = "lk.pii.user_transcript"
LK_TRANSCRIPTION_DELAY: Final = "lk.transcription_delay"
LK_PLAYOUT_POSITION: Final = "lk.playout.position"
LK_SIP_PREFIX: Final = "lk.sip."
LK_SIP_RULE_ID: Final = "lk.sip.ruleID"
LK_SIP_TRUNK_ID: Final = "lk.sip.trunkID"
LK_SIP_CALL_ID: Final = "lk.sip.callID"
LK_SIP_PHONE_NUMBER: Final = "lk.pii.sip.phoneNumber"

# --- content -----------------------------------------------------------------------------------

CONTENT_ATTRIBUTES: Final = frozenset(
    {
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.tool.definitions",
        "gen_ai.tool.description",
        "gen_ai.retrieval.query.text",
        "gen_ai.retrieval.documents",
        "gen_ai.memory.query.text",
        "gen_ai.memory.records",
        "gen_ai.evaluation.explanation",
        "gen_ai.prompt",
        "gen_ai.completion",
        # LiveKit up to 1.6 wrote content without the pii segment
        "lk.user_input",
        "lk.user_transcript",
        "lk.instructions",
        "lk.chat_ctx",
        "lk.response.text",
        "lk.response.function_calls",
        "lk.function_tool.arguments",
        "lk.function_tool.output",
        "lk.input_text",
        "lk.room_name",
        "lk.participant_identity",
        "lk.amd.transcript",
        # still without it: who called whom, and the number that was called
        "lk.rpc.caller_identity",
        "lk.rpc.destination_identity",
        "lk.sip.trunkPhoneNumber",
        "exception.stacktrace",
    }
)
"""Attributes that carry what was said, prompted, or passed through tools."""

# SIP headers that a trunk maps can name the caller
CONTENT_ATTRIBUTE_PREFIXES: Final = (
    "gen_ai.prompt.variable.",
    "gen_ai.prompt.",
    "gen_ai.completion.",
    "lk.sip.h.",
)

CONTENT_EVENTS: Final = frozenset(
    {
        "gen_ai.system.message",
        "gen_ai.user.message",
        "gen_ai.assistant.message",
        "gen_ai.tool.message",
        "gen_ai.choice",
        "gen_ai.client.inference.operation.details",
    }
)
"""Events whose body is content; dropped whole."""

EXCEPTION_MESSAGE: Final = "exception.message"
REDACTED: Final = "redacted: content capture is off"
"""Stands where an exception's or a status's message was: the type stays, the words go."""
