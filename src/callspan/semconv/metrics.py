# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Every metric: its instrument, its labels, and what a point of it says."""

from __future__ import annotations

from typing import Final, NamedTuple

from .labels import (
    L_AGENT,
    L_COMPONENT,
    L_CONVERSION,
    L_CURRENCY,
    L_DESTINATION,
    L_ERROR_TYPE,
    L_FROM_AGENT,
    L_KIND,
    L_MODEL,
    L_OUTCOME,
    L_PART,
    L_PROVIDER,
    L_REASON,
    L_RECOVERABLE,
    L_SIGNAL,
    L_SPEAKER,
    L_STAGE,
    L_STATUS,
    L_TO_AGENT,
    L_TOOL,
)


class Metric(NamedTuple):
    """One instrument of ours.

    Attributes:
        name: As OpenTelemetry has it; Prometheus adds the unit and ``_total``.
        kind: ``counter``, ``updowncounter``, ``histogram`` or ``gauge``; read by docs and tests.
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


OWN_PREFIX: Final = "agent."
"""What the name of every metric of a call begins with, those that applications declare too."""

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
