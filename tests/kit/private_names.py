# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Private names of others that the package uses, and where they have to be.

``module:Class`` for an attribute of a class or of its instances, ``module`` for one of a module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SDK_METRICS: Final = "opentelemetry.sdk.metrics"

PRIVATE_NAMES: Final[Mapping[str, str]] = {
    # livekit-agents
    "_activity": "livekit.agents.voice.agent_session:AgentSession",
    "_agent_name": "livekit.agents.worker:AgentServer",
    "_agent_turn_span": "livekit.agents.voice.speech_handle:SpeechHandle",
    "_cloud": "livekit.agents.telemetry.traces",
    "_early_assistant_metrics": "livekit.agents.voice.agent_session:AgentSession",
    "_exit_targets": "livekit.agents.telemetry.traces:_CloudTelemetry",
    "_interrupt_source": "livekit.agents.voice.speech_handle:SpeechHandle",
    "_job_ctx": "livekit.agents.ipc.job_proc_lazy_main:_JobProc",
    "_job_entrypoint_fnc": "livekit.agents.ipc.job_proc_lazy_main:_JobProc",
    "_preload_modules": "livekit.agents.worker:AgentServer",
    "_prometheus_multiproc_dir": "livekit.agents.worker:AgentServer",
    "_shutdown_job": "livekit.agents.ipc.job_proc_lazy_main:_JobProc",
    "_tracer_provider": "livekit.agents.telemetry.traces:_DynamicTracer",
    # OpenTelemetry
    "_active_span_processor": "opentelemetry.sdk.trace:TracerProvider",
    "_advisory": f"{_SDK_METRICS}._internal.instrument:Histogram",
    "_logger_provider": "opentelemetry.sdk._logs:LoggingHandler",
    "_measurement_consumer": f"{_SDK_METRICS}:MeterProvider",
    "_metric_readers": f"{_SDK_METRICS}:MeterProvider",
    "_preferred_aggregation": f"{_SDK_METRICS}.export:MetricExporter",
    "_preferred_temporality": f"{_SDK_METRICS}.export:MetricExporter",
    "_sdk_config": f"{_SDK_METRICS}:MeterProvider",
    "_set_collect_callback": f"{_SDK_METRICS}.export:MetricReader",
    "_span_processors": "opentelemetry.sdk.trace:SynchronousMultiSpanProcessor",
    # Python
    "_args": "multiprocessing.process:BaseProcess",
    "_exit": "os",
    "_getframe": "sys",
    "_log_destroy_pending": "asyncio:Task",
    "_replace": "callspan.metrics.wire.rows:Row",
    "_target": "multiprocessing.process:BaseProcess",
    "_unregister_task": "asyncio",
}
