# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What this package adds to a call's spans: spans, attributes and events of its own."""

from __future__ import annotations

from typing import Final

SCOPE_NAME: Final = "callspan"
"""The instrumentation scope of what this package creates itself."""

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.37.0"
"""The semantic conventions that the standard names below were taken from."""

TELEMETRY_AUTO_VERSION: Final = "telemetry.auto.version"
"""On the resource of a provider that the ``opentelemetry-instrument`` command configured."""

# --- spans -------------------------------------------------------------------------------------

SPAN_STT_REQUEST: Final = "stt_request"
"""Ours: the one stage of a turn that LiveKit has no span for."""

# --- attributes of every span of a call --------------------------------------------------------

SESSION_ID: Final = "session.id"
"""The id of the job: one per call, where ``gen_ai.conversation.id`` is the id of the room."""
AGENT_NAME: Final = "agent.name"
"""The dispatch name; without one ``service.name``; without that the id of the first agent."""
CALL_KIND: Final = "agent.call.kind"
"""``production``, ``simulation``, ``console`` or ``test``."""
TURN_INDEX: Final = "agent.turn.index"
"""Which turn of the call a span belongs to: 0 before the user first spoke, then 1, 2, …"""

USER_ID: Final = "user.id"
"""What ``business.user`` was given."""
TENANT_ID: Final = "tenant.id"
"""What ``business.tenant`` was given."""
LABEL_PREFIX: Final = "agent.label."
"""Followed by the name of a label: its value for this call."""

KIND_PRODUCTION: Final = "production"
KIND_SIMULATION: Final = "simulation"
KIND_CONSOLE: Final = "console"
KIND_TEST: Final = "test"
KINDS: Final = (KIND_PRODUCTION, KIND_SIMULATION, KIND_CONSOLE, KIND_TEST)

# --- attributes of the root, at the end of a call ----------------------------------------------

OUTCOME: Final = "agent.outcome"
"""How the call ended: one of a closed set."""
OUTCOME_REASON: Final = "agent.outcome.reason"
"""The reason that ``business.outcome`` was given: free text, written only if content is on."""
CONVERSIONS: Final = "agent.conversions"
"""The conversions that the call reached, by name."""
DURATION: Final = "agent.session.duration"
"""Seconds from the start of the AgentSession to its close."""
TURNS: Final = "agent.session.turns"
"""How many turns the caller took."""
INTERRUPTIONS: Final = "agent.session.interruptions"
"""How often the caller interrupted the agent."""
CLOSE_REASON: Final = "agent.session.close_reason"
"""LiveKit's reason for the close of the session."""
CALL_DIRECTION: Final = "agent.call.direction"
"""``inbound`` or ``outbound``."""
CALL_TRUNK_ID: Final = "agent.call.sip.trunk_id"
"""The SIP trunk."""
CALL_SIP_ID: Final = "agent.call.sip.call_id"
"""LiveKit's id of the SIP call."""
CALL_DTMF_COUNT: Final = "agent.call.dtmf.count"
"""How many keys the caller pressed, never which."""

SPAN_COST: Final = "agent.cost.dollars"
"""Dollars. On a request: what it cost, if a price is known. On the root: what the call cost."""
UNPRICED: Final = "agent.unpriced_usage"
"""``true`` if no price is known for what the request used."""
COST_PREFIX: Final = "agent.cost."
"""Followed by a component, such as ``llm``: what it cost in this call, in dollars."""

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

# --- interruptions -----------------------------------------------------------------------------

EVENT_INTERRUPTION: Final = "interruption"
"""On ``agent_turn``: something stopped the agent while it spoke, or seemed to."""
INTERRUPTION_KIND: Final = "agent.interruption.kind"
"""``barge_in``, ``false`` or ``programmatic``."""
PLAYOUT_POSITION: Final = "agent.playout.position"
"""Seconds of the agent's speech that the caller had heard."""

INTERRUPTION_BARGE_IN: Final = "barge_in"
INTERRUPTION_FALSE: Final = "false"
INTERRUPTION_PROGRAMMATIC: Final = "programmatic"

# --- stt_request -------------------------------------------------------------------------------

OPERATION_SPEECH_TO_TEXT: Final = "speech_to_text"
STT_AUDIO_DURATION: Final = "agent.stt.audio.duration"
"""Seconds of audio that the recogniser reported to have taken in."""
STT_TRANSCRIPTION_DELAY: Final = "agent.stt.transcription_delay"
"""Seconds from the end of the user's speech to the last final transcript."""
STT_TRANSCRIPT_LENGTH: Final = "agent.stt.transcript.length"
"""Characters in the final transcripts of the turn."""
STT_FINAL_COUNT: Final = "agent.stt.final.count"
"""Final transcripts that arrived in the turn."""

# --- of the resource ---------------------------------------------------------------------------

SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
DEPLOYMENT_ENVIRONMENTS: Final = ("deployment.environment.name", "deployment.environment")
"""The second is the older name."""
