# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the doctor knows of Grafana Cloud: its zones, and what a token needs."""

from __future__ import annotations

from typing import Final

from ....providers.exporters import Destination
from ....providers.presets import grafana_cloud as preset
from ..addresses import headers_variable
from ..verdict import Setup
from .backend import Backend


class GrafanaCloud(Backend):
    """Grafana Cloud."""

    region = "zone"
    refuses_delta = True

    def is_at(self, target: Destination) -> bool:
        """Tell it by the host."""
        return target.host_and_port[0].endswith(".grafana.net")

    def right_path(self, target: Destination) -> str:
        """Return what to write where there is no OTLP at a path."""
        return f"write {preset.GATEWAY} into {target.variable}"

    def refused(self, target: Destination, signal: str, setup: Setup) -> tuple[str, str]:
        """Name what can be wrong: the key, its stack, its rights."""
        host, _ = target.host_and_port
        keys = f"{preset.INSTANCE_ID}, {preset.API_KEY}"
        if not self.is_named(target):
            variable, _ = headers_variable(target, signal, setup)
            keys = f"{variable} (Basic, base64 of instance:token)"
        return (
            "the instance id or the token is wrong, or of a stack in another zone than "
            f"{host}, or the token lacks {signal.lower()}:write",
            f"copy endpoint, instance id and a token with {signal.lower()}:write from the "
            f"OpenTelemetry tile of one stack, into {target.variable}, {keys}",
        )


BACKEND: Final = GrafanaCloud(preset.PRESET)
