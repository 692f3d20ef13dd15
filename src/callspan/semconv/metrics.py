# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Every metric: its instrument, its labels and their closed sets, and what it is read from."""

from __future__ import annotations

from typing import Final, NamedTuple

# --- metrics: instruments, labels, closed sets -------------------------------------------------
# The kind is written into each entry, so that the README's table and the tests read it here.


class Metric(NamedTuple):
    """One instrument of ours.

    Attributes:
        name: As OpenTelemetry has it; Prometheus adds the unit and ``_total``.
        kind: ``counter``, ``updowncounter``, ``histogram`` or ``gauge``.
        unit: In UCUM.
        labels: The keys of its attributes; their values are closed sets.
        description: What a point of it says.
        bounds: Upper bounds of a histogram's buckets.
        of_call: Whether the labels that an application gives the call are added.
    """

    name: str
    kind: str
    unit: str
    labels: tuple[str, ...]
    description: str
    bounds: tuple[float, ...] = ()
    of_call: bool = False

    def with_labels(self, names: tuple[str, ...]) -> Metric:
        """Return the same metric with further labels."""
        return self._replace(labels=(*self.labels, *names)) if names else self


L_AGENT: Final = "agent_name"
L_OUTCOME: Final = "outcome"
L_KIND: Final = "kind"
L_STATUS: Final = "status"
L_TOOL: Final = "tool_name"
L_STAGE: Final = "stage"
L_COMPONENT: Final = "component"
L_PROVIDER: Final = "provider"
L_MODEL: Final = "model"
L_PART: Final = "part"
L_SPEAKER: Final = "speaker"
L_FROM_AGENT: Final = "from_agent"
L_TO_AGENT: Final = "to_agent"
L_ERROR_TYPE: Final = "error_type"
L_RECOVERABLE: Final = "recoverable"
L_SIGNAL: Final = "signal"
L_REASON: Final = "reason"
L_DESTINATION: Final = "destination"
L_CONVERSION: Final = "conversion"
L_CURRENCY: Final = "currency"

OTHER: Final = "other"
"""Stands for every value that the program did not declare, and for time that no stage claims."""
UNKNOWN: Final = "unknown"
"""Stands where a component does not say who provides it."""

TOOL_SUCCESS: Final = "success"
TOOL_ERROR: Final = "error"
TOOL_CANCELLED: Final = "cancelled"
TOOL_STATUSES: Final = (TOOL_SUCCESS, TOOL_ERROR, TOOL_CANCELLED)

JOB_DONE: Final = "done"
JOB_FAILED: Final = "failed"
"""It raised before a session was started: no call came of it."""
JOB_CRASHED: Final = "crashed"
"""Its process was gone before the job said that it had ended."""
JOB_STATUSES: Final = (JOB_DONE, JOB_FAILED, JOB_CRASHED)

STAGE_TRANSCRIPTION: Final = "transcription"
STAGE_END_OF_TURN: Final = "end_of_turn"
STAGE_TURN_HOOK: Final = "turn_hook"
STAGE_LLM_FIRST_TOKEN: Final = "llm_first_token"  # noqa: S105
STAGE_TOOLS: Final = "tools"
STAGE_SENTENCE: Final = "sentence"
STAGE_TTS_FIRST_BYTE: Final = "tts_first_byte"
STAGE_PLAYBACK: Final = "playback"
STAGES: Final = (
    STAGE_TRANSCRIPTION,
    STAGE_END_OF_TURN,
    STAGE_TURN_HOOK,
    STAGE_LLM_FIRST_TOKEN,
    STAGE_TOOLS,
    STAGE_SENTENCE,
    STAGE_TTS_FIRST_BYTE,
    STAGE_PLAYBACK,
    OTHER,
)

COMPONENT_STT: Final = "stt"
COMPONENT_LLM: Final = "llm"
COMPONENT_TTS: Final = "tts"
COMPONENT_REALTIME: Final = "realtime"
COMPONENT_VAD: Final = "vad"
COMPONENT_DECISION: Final = "decision"
COMPONENT_END_OF_TURN: Final = "end_of_turn"
COMPONENT_INTERRUPTION: Final = "interruption"
COMPONENT_AVATAR: Final = "avatar"
COMPONENTS: Final = (
    COMPONENT_STT,
    COMPONENT_LLM,
    COMPONENT_TTS,
    COMPONENT_REALTIME,
    COMPONENT_VAD,
    COMPONENT_DECISION,
    COMPONENT_END_OF_TURN,
    COMPONENT_INTERRUPTION,
    COMPONENT_AVATAR,
    OTHER,
)

SPEAKER_AGENT: Final = "agent"
SPEAKER_USER: Final = "user"

PART_TOTAL: Final = "total"
PART_PREDICTION: Final = "prediction"
PART_DETECTION_DELAY: Final = "detection_delay"

FEEDBACK_CSAT: Final = "csat"
FEEDBACK_NPS: Final = "nps"
FEEDBACK_THUMBS: Final = "thumbs"
FEEDBACK_SCALES: Final = {FEEDBACK_CSAT: (1, 5), FEEDBACK_NPS: (0, 10), FEEDBACK_THUMBS: (0, 1)}
"""The least and the greatest score of each kind."""

OWN_PREFIX: Final = "agent."
"""What the name of every metric of a call begins with, those that applications declare too."""

SIGNAL_METRICS: Final = "metrics"
SIGNAL_TRACES: Final = "traces"
REASON_NOT_DELIVERED: Final = "not_delivered"
"""Spans that a destination refused, or that were not sent when their process ended."""
REASON_UNCONFIRMED: Final = "unconfirmed"
"""Spans whose delivery was under way when their process ended: they may have arrived."""
REASON_FAILED: Final = "failed"
"""What an error in this package kept back; the log has it."""
REASON_KILLED: Final = "killed"
"""Spans of a process that was gone before they were delivered."""
REASON_GARBAGE: Final = "garbage"
"""No frame begins here; nothing after it can be told apart either."""
REASON_OVERSIZED: Final = "oversized"
REASON_VERSION: Final = "version"
"""Written by another version of this package, installed while the worker ran."""
REASON_MALFORMED: Final = "malformed"
REASON_TRUNCATED: Final = "truncated"
"""The process ended within a frame."""
REASON_INVALID: Final = "invalid"
"""A row that no frame can carry: not a finite number, or too many or too long attributes."""
REASON_CONFLICT: Final = "conflict"
REASON_TOO_MANY: Final = "too_many_metrics"
REASON_TOO_MANY_CALLS: Final = "too_many_calls"
REASON_SUSPECT_LATENCY: Final = "suspect_latency"
"""A turn latency below 0 or above :data:`SUSPECT_LATENCY_S`, or what a model or service took, below
0 or above :data:`SUSPECT_DURATION_S`: a clock or an anchor was wrong."""
SUSPECT_DURATION_S: Final = 600.0
SUSPECT_LATENCY_S: Final = 60.0

# A percentile is read from the bucket that it falls into, and is off by the ratio of its bounds at
# most: 25 % here, where callers wait. Bounds may come, and none may go: queries name them.
_WAIT_BOUNDS: Final = (
    *(0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0),
    *(1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0),
)

M_SESSIONS: Final = Metric(
    "agent.sessions",
    "counter",
    "{session}",
    (L_AGENT, L_OUTCOME),
    "Calls that ended.",
    of_call=True,
)
M_NONPRODUCTION_SESSIONS: Final = Metric(
    "agent.nonproduction_sessions",
    "counter",
    "{session}",
    (L_AGENT, L_KIND),
    "Calls that ended and are kept out of every other metric: simulations, console, tests.",
)
M_SESSIONS_ACTIVE: Final = Metric(
    "agent.sessions.active", "updowncounter", "{session}", (L_AGENT,), "Calls in progress."
)
M_SESSION_DURATION: Final = Metric(
    "agent.session.duration",
    "histogram",
    "s",
    (L_AGENT, L_OUTCOME),
    "From the start of a call's session to its close.",
    (5, 10, 30, 60, 120, 300, 600, 1800, 3600),
    of_call=True,
)
M_SESSION_COST: Final = Metric(
    "agent.session.cost",
    "histogram",
    "dollars",
    (L_AGENT,),
    "What a call cost: models, speech, and the flat costs that were set.",
    (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5),
    of_call=True,
)
M_COST: Final = Metric(
    "agent.cost",
    "counter",
    "dollars",
    (L_AGENT, L_COMPONENT, L_PROVIDER, L_MODEL),
    "Money spent on calls, as it is spent.",
)
M_UNPRICED_USAGE: Final = Metric(
    "agent.unpriced_usage",
    "counter",
    "{event}",
    (L_COMPONENT, L_PROVIDER, L_MODEL),
    "Uses of a model or service that no price is known for.",
)
M_CONVERSION_VALUE: Final = Metric(
    "agent.conversion.value",
    "counter",
    "",
    (L_AGENT, L_CONVERSION, L_CURRENCY),
    "What conversions were worth; amounts of different currencies are never to be added.",
)
M_FEEDBACK_SCORE: Final = Metric(
    "agent.feedback.score",
    "histogram",
    "",
    (L_AGENT, L_KIND),
    "Scores that callers gave, on the scale of their kind.",
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
)
M_SESSION_TURNS: Final = Metric(
    "agent.session.turns",
    "histogram",
    "{turn}",
    (L_AGENT,),
    "What the caller said in a call, in turns.",
    (1, 2, 3, 5, 8, 13, 20, 30, 50, 100),
)
M_SESSION_LLM_DURATION: Final = Metric(
    "agent.session.llm_duration",
    "histogram",
    "s",
    (L_AGENT,),
    "All language model time of a call, follow-ups after tools included.",
    (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300),
)
M_JOBS: Final = Metric(
    "agent.jobs", "counter", "{job}", (L_AGENT, L_STATUS), "Jobs that this worker took and ended."
)
M_TURN_LATENCY: Final = Metric(
    "agent.turn.latency",
    "histogram",
    "s",
    (L_AGENT,),
    "From the end of the caller's speech to the first audio of the agent's answer.",
    # up to where a model has been asked again after it timed out
    (0.1, *_WAIT_BOUNDS, 8.0, 12.0, 20.0, 30.0),
)
M_TURN_STAGE_DURATION: Final = Metric(
    "agent.turn.stage.duration",
    "histogram",
    "s",
    (L_AGENT, L_STAGE),
    "The part of a turn's latency in which the caller waited for this stage.",
    # most stages are a fraction of the latency; each bound is a series for each of nine stages
    (0.01, 0.02, 0.05, 0.1, *_WAIT_BOUNDS, 8.0),
)
M_FIRST_RESPONSE_LATENCY: Final = Metric(
    "agent.first_response.latency",
    "histogram",
    "s",
    (L_AGENT,),
    "From the start of a call's session to the first audio of the agent.",
    # up to where a caller has hung up
    (*_WAIT_BOUNDS, 8.0, 12.0, 20.0, 30.0),
)
M_TOOL_CALLS: Final = Metric(
    "agent.tool_calls",
    "counter",
    "{call}",
    (L_AGENT, L_TOOL, L_STATUS),
    "Tools that the model called, by how that ended.",
)
M_TOOL_CALL_DURATION: Final = Metric(
    "agent.tool_call.duration",
    "histogram",
    "s",
    (L_AGENT, L_TOOL),
    "How long a tool ran.",
    # at most 1.5 apart from 0.1 to 10 s: each bound is a series for every tool
    (0.05, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 20, 30),
)
M_LLM_TOKENS_PER_SECOND: Final = Metric(
    "agent.llm.tokens",
    "histogram",
    "{token}/s",
    (L_AGENT, L_PROVIDER, L_MODEL),
    "Tokens that a request put out, by the second of its duration.",
    # speech takes about 4 a second; the fastest hosted models give several hundred
    (5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500),
)
M_INTERRUPTIONS: Final = Metric(
    "agent.interruptions",
    "counter",
    "{interruption}",
    (L_AGENT, L_KIND),
    "Times the agent was stopped while it spoke, or seemed to be.",
)
M_BACKCHANNELS: Final = Metric(
    "agent.backchannels",
    "counter",
    "{backchannel}",
    (L_AGENT,),
    "Times the caller spoke over the agent without wanting to stop it.",
)
M_INTERRUPTION_DETECTION_DURATION: Final = Metric(
    "agent.interruption.detection.duration",
    "histogram",
    "s",
    (L_AGENT, L_PART),
    "How long it took to judge whether overlapping speech was an interruption.",
    # a caller who speaks over the agent expects it to stop within half a second
    (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0),
)
M_VAD_INFERENCES: Final = Metric(
    "agent.vad.inferences",
    "counter",
    "{inference}",
    (L_AGENT,),
    "Runs of the voice activity detector.",
)
M_VAD_INFERENCE_DURATION: Final = Metric(
    "agent.vad.inference.duration",
    "counter",
    "s",
    (L_AGENT,),
    "Time spent in runs of the voice activity detector.",
)
M_SPEECH_DURATION: Final = Metric(
    "agent.speech.duration",
    "counter",
    "s",
    (L_AGENT, L_SPEAKER),
    "Time that the agent and the caller spoke.",
)
M_HANDOFFS: Final = Metric(
    "agent.handoffs",
    "counter",
    "{handoff}",
    (L_AGENT, L_FROM_AGENT, L_TO_AGENT),
    "Calls passed from one agent to another within a session.",
)
M_ERRORS: Final = Metric(
    "agent.errors",
    "counter",
    "{error}",
    (L_AGENT, L_COMPONENT, L_PROVIDER, L_ERROR_TYPE, L_RECOVERABLE),
    "Errors of models and services, those that a retry mended included.",
)
M_TELEMETRY_DROPPED: Final = Metric(
    "agent.telemetry.dropped",
    "counter",
    "{item}",
    (L_SIGNAL, L_REASON),
    "Telemetry that was made and then not delivered, or not believed.",
)
M_TELEMETRY_UP: Final = Metric(
    "agent.telemetry.up",
    "gauge",
    "",
    (L_DESTINATION,),
    "1 where the last delivery to a destination succeeded, else 0.",
)
M_TELEMETRY_EXPORT_AGE: Final = Metric(
    "agent.telemetry.export.age",
    "gauge",
    "s",
    (L_DESTINATION,),
    "Time since the last delivery to a destination that succeeded.",
)


def conversion_metric(name: str, description: str) -> Metric:
    """Return the metric of a conversion that an application declared."""
    return Metric(f"{OWN_PREFIX}{name}", "counter", "{call}", (L_AGENT,), description, of_call=True)


METRICS: Final = tuple(value for name, value in list(globals().items()) if name.startswith("M_"))
"""All of the above, in the order of the README's table."""
