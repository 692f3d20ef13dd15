# Copyright The opentelemetry-instrumentation-livekit-agents Authors
# SPDX-License-Identifier: Apache-2.0

"""What the doctor looks at: one module for each matter, each a function that returns verdicts."""
