# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""What stands in for a telephone, its callers and the paid APIs, so that the demo runs offline.

Nothing here is needed by, or ships with, the instrumentation: the agent in ``agent.py`` and its
telemetry are the real thing, and this package only gives them something to hear and to talk to.
"""
