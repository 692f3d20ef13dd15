# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""Recipes for metrics of LiveKit agents, as they are printed and copied: test data, not ours.

``session``, ``ctx`` and ``logger`` are what the recipes say "..." for. Where a page had lost the
indentation of its code it is put back; nothing else is changed.
"""

from __future__ import annotations

from typing import Final

CUSTOM_METRICS: Final = '''\
from livekit.agents import Agent, AgentSession, RoomInputOptions
from livekit.agents.voice import MetricsCollectedEvent
from prometheus_client import Counter, Histogram, start_http_server
import time

# Define Prometheus metrics
SESSION_TOTAL = Counter(
  "agent_sessions_total",
  "Total number of agent sessions",
  ["agent_name", "outcome"],
)
BOOKING_TOTAL = Counter(
  "agent_bookings_total",
  "Total number of bookings made",
  ["agent_name"],
)
SESSION_DURATION = Histogram(
  "agent_session_duration_seconds",
  "Session duration in seconds",
  ["agent_name"],
  buckets=[30, 60, 120, 300, 600, 1800],
)
TOOL_CALL_DURATION = Histogram(
  "agent_tool_call_duration_seconds",
  "Tool call duration in seconds",
  ["agent_name", "tool_name"],
)
TURN_LATENCY = Histogram(
  "agent_turn_latency_seconds",
  "End-to-end turn latency",
  ["agent_name"],
  buckets=[0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0],
)

# Start Prometheus metrics server
start_http_server(9090)


class DentalReceptionist(Agent):
  def __init__(self) -> None:
      super().__init__(
          instructions="You are a dental receptionist...",
      )
      self._session_start = time.time()
      self._booking_made = False

  async def on_enter(self):
      self.session.on("metrics_collected", self._on_metrics)

  async def _on_metrics(self, event: MetricsCollectedEvent):
      """Capture pipeline metrics from each turn."""
      for metrics in event.metrics:
          if hasattr(metrics, "ttft"):
              TURN_LATENCY.labels(agent_name="dental-receptionist").observe(
                  metrics.duration
              )

  async def on_close(self):
      duration = time.time() - self._session_start
      outcome = "booking" if self._booking_made else "inquiry"

      SESSION_TOTAL.labels(
          agent_name="dental-receptionist", outcome=outcome
      ).inc()
      SESSION_DURATION.labels(
          agent_name="dental-receptionist"
      ).observe(duration)

      if self._booking_made:
          BOOKING_TOTAL.labels(agent_name="dental-receptionist").inc()
'''

TRACKED_TOOL: Final = '''\
import time
import functools
from prometheus_client import Counter, Histogram

TOOL_CALLS = Counter(
  "agent_tool_calls_total",
  "Total tool calls",
  ["tool_name", "status"],
)
TOOL_DURATION = Histogram(
  "agent_tool_call_duration_seconds",
  "Tool call duration",
  ["tool_name"],
  buckets=[0.1, 0.25, 0.5, 1.0, 2.0, 5.0],
)


def tracked_tool(func):
  """Decorator that tracks tool call metrics."""
  @functools.wraps(func)
  async def wrapper(*args, **kwargs):
      tool_name = func.__name__
      start = time.time()
      try:
          result = await func(*args, **kwargs)
          TOOL_CALLS.labels(tool_name=tool_name, status="success").inc()
          return result
      except Exception as e:
          TOOL_CALLS.labels(tool_name=tool_name, status="error").inc()
          raise
      finally:
          TOOL_DURATION.labels(tool_name=tool_name).observe(
              time.time() - start
          )
  return wrapper


@tracked_tool
async def check_availability(date: str, time_slot: str) -> dict:
  """Check appointment availability."""
  # Your implementation here
  ...

@tracked_tool
async def book_appointment(
  patient_name: str, date: str, time_slot: str
) -> dict:
  """Book an appointment."""
  # Your implementation here
  ...
'''

COST_TRACKER: Final = """\
from prometheus_client import Histogram

SESSION_COST = Histogram(
  "agent_session_cost_dollars",
  "Estimated cost per session in USD",
  ["agent_name"],
  buckets=[0.01, 0.05, 0.10, 0.25, 0.50, 1.00, 2.00],
)

class CostTracker:
  def __init__(self):
      self.total_cost = 0.0

  def add_llm_cost(self, input_tokens: int, output_tokens: int):
      # GPT-4o-mini pricing (example)
      self.total_cost += (input_tokens * 0.15 / 1_000_000)
      self.total_cost += (output_tokens * 0.60 / 1_000_000)

  def add_stt_cost(self, audio_seconds: float):
      # Deepgram Nova pricing (example)
      self.total_cost += audio_seconds * (0.0043 / 60)

  def add_tts_cost(self, characters: int):
      # Cartesia pricing (example)
      self.total_cost += characters * (0.000030)

  def finalize(self, agent_name: str):
      SESSION_COST.labels(agent_name=agent_name).observe(self.total_cost)
"""

SESSION_REPORT: Final = """\
import json
from datetime import datetime
from livekit.agents import JobContext, AgentServer
server = AgentServer()
async def on_session_end(ctx: JobContext) -> None:
    report = ctx.make_session_report()
    report_dict = report.to_dict()
    current_date = datetime.now().strftime("%Y%m%d_%H%M%S")
    filename = f"/tmp/session_report_{ctx.room.name}_{current_date}.json"
    with open(filename, 'w') as f:
        json.dump(report_dict, f, indent=2)
    print(f"Session report for {ctx.room.name} saved to {filename}")
@server.rtc_session(agent_name="my-agent", on_session_end=on_session_end)
async def entrypoint(ctx: JobContext):
    await ctx.connect()
    # ...
"""

EGRESS: Final = """\
from livekit import api
async def entrypoint(ctx: JobContext):
    req = api.RoomCompositeEgressRequest(
        room_name=ctx.room.name,
        audio_only=True,
        file_outputs=[
            api.EncodedFileOutput(
                file_type=api.EncodedFileType.OGG,
                filepath="livekit/my-room-test.ogg",
                s3=api.S3Upload(
                    bucket=os.getenv("AWS_BUCKET_NAME"),
                    region=os.getenv("AWS_REGION"),
                    access_key=os.getenv("AWS_ACCESS_KEY_ID"),
                    secret=os.getenv("AWS_SECRET_ACCESS_KEY"),
                ),
            )
        ],
    )
    lkapi = api.LiveKitAPI()
    await lkapi.egress.start_room_composite_egress(req)
    await lkapi.aclose()
    # ... continue with your agent logic
"""

LOG_METRICS: Final = """\
from livekit.agents import metrics, MetricsCollectedEvent
...
@session.on("metrics_collected")
def _on_metrics_collected(ev: MetricsCollectedEvent):
    metrics.log_metrics(ev.metrics)
"""

SESSION_USAGE: Final = """\
from livekit.agents import metrics, MetricsCollectedEvent
@session.on("metrics_collected")
def _on_metrics_collected(ev: MetricsCollectedEvent):
    metrics.log_metrics(ev.metrics)
async def log_usage():
    logger.info(f"Usage: {session.usage}")
ctx.add_shutdown_callback(log_usage)
"""

USAGE_COLLECTOR: Final = """\
from livekit.agents import metrics, MetricsCollectedEvent
...
usage_collector = metrics.UsageCollector()
@session.on("metrics_collected")
def _on_metrics_collected(ev: MetricsCollectedEvent):
    usage_collector.collect(ev.metrics)
async def log_usage():
    summary = usage_collector.get_summary()
    logger.info(f"Usage: {summary}")
# At shutdown, generate and log the summary from the usage collector
ctx.add_shutdown_callback(log_usage)
"""

TOTAL_LATENCY: Final = """\
total_latency = eou.end_of_utterance_delay + llm.ttft + tts.ttfb
"""

LLM_TIME: Final = """\
from livekit.agents import metrics, MetricsCollectedEvent
# Initialize a usage collector
usage_collector = metrics.UsageCollector()
# Listen for metrics events
@session.on("metrics_collected")
def _on_metrics_collected(ev: MetricsCollectedEvent):
    usage_collector.collect(ev.metrics)
# After the session ends, get the summary
summary = usage_collector.get_summary()
# Manually sum the durations from all LLM metrics, including tool calls
total_duration = 0.0
for metric in usage_collector.metrics:
    if isinstance(metric, metrics.LLMMetrics):
        total_duration += metric.duration
print(f"Total call duration including tool calls: {total_duration} seconds")
"""

METRICS_IN_TOOLS: Final = """\
from livekit.agents import AgentSession, metrics
# Initialize the session
session = AgentSession()
# Define a handler for metrics collection
@session.on("metrics_collected")
def handle_metrics(event: metrics.MetricsCollectedEvent):
    # Access the metrics object
    metrics_data = event.metrics
    # Log or process the metrics
    print(f"Received metrics: {metrics_data}")
# Use the session as needed
"""

LANGFUSE: Final = """\
import base64
import os
from livekit.agents.telemetry import set_tracer_provider
def setup_langfuse(
    host: str | None = None, public_key: str | None = None, secret_key: str | None = None
):
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    public_key = public_key or os.getenv("LANGFUSE_PUBLIC_KEY")
    secret_key = secret_key or os.getenv("LANGFUSE_SECRET_KEY")
    host = host or os.getenv("LANGFUSE_HOST")
    if not public_key or not secret_key or not host:
        raise ValueError("LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY, and LANGFUSE_HOST must be set")
    langfuse_auth = base64.b64encode(f"{public_key}:{secret_key}".encode()).decode()
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"{host.rstrip('/')}/api/public/otel"
    os.environ["OTEL_EXPORTER_OTLP_HEADERS"] = f"Authorization=Basic {langfuse_auth}"
    trace_provider = TracerProvider()
    trace_provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    set_tracer_provider(trace_provider)
async def entrypoint(ctx: JobContext):
    setup_langfuse()
    # start your agent
"""
