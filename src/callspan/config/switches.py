# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The standard switches that turn this instrumentation off altogether."""

from __future__ import annotations

from collections.abc import Mapping

_NAME = "livekit_agents"


def is_disabled(environ: Mapping[str, str]) -> bool:
    """Tell whether livekit-agents is to be left untouched.

    Args:
        environ: The variables; read are ``OTEL_SDK_DISABLED`` and
            ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS``.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return True
    disabled = environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")
    return any(name.strip() in (_NAME, "*") for name in disabled)
