# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the doctor knows of Langfuse: its regions, and what a server of some version reads."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import requests

from ....providers import exporters
from ....providers.exporters import Destination
from ....providers.presets import langfuse as preset
from ....providers.presets import names_for
from ..addresses import OWN_HEADERS, headers_variable
from ..verdict import Setup, Verdict, ok, problem, warning
from .backend import Backend

_HEALTH: Final = "/api/public/health"
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_FIRST_WITH_TOKENS: Final = (3, 125, 0)
_FIRST_WITH_COST: Final = tuple(int(part) for part in preset.OLDEST.split("."))
_REMEDY: Final = f"upgrade the server to {preset.OLDEST} or newer"


class Langfuse(Backend):
    """Langfuse."""

    def is_at(self, target: Destination) -> bool:
        """Tell it by the host, and a server of one's own by the path."""
        host, _ = target.host_and_port
        return host.endswith("langfuse.com") or preset.PATH in target.address

    def not_kept(self, target: Destination, signal: str) -> Verdict | None:
        """Warn of metrics."""
        if signal in self.preset.signals:
            return None
        return warning(
            f"{target}: Langfuse takes no metrics: it answers with success and keeps nothing",
            f"write OTEL_METRICS_EXPORTER={', '.join(['prometheus', *names_for(signal)])} or "
            "none, or name another place in OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        )

    def right_path(self, target: Destination) -> str:
        """Return what to write where there is no OTLP at a path."""
        if self.is_named(target):
            return (
                f"write {preset.ADDRESSES[0]} without a path of its API; a server of your own has "
                f"to be {preset.OLDEST} or newer"
            )
        return f"write https://<host>{preset.PATH} into {target.variable}"

    def refused(self, target: Destination, signal: str, setup: Setup) -> tuple[str, str]:
        """Name the keys and every region: it answers the same to a wrong one of either."""
        host, _ = target.host_and_port
        keys, where = f"{preset.PUBLIC_KEY} and {preset.SECRET_KEY}", preset.ADDRESSES[0]
        if not self.is_named(target):
            variable, _ = headers_variable(target, signal, setup)
            keys, where = f"{variable} (Basic, base64 of public:secret)", target.variable
        return (
            f"the keys are wrong, or of a project in another region than {host}",
            f"copy both keys from the project's settings into {keys}, and the project's region "
            f"into {where}: {preset.EU} (EU), {preset.US} (US), https://jp.cloud.langfuse.com, "
            "https://hipaa.cloud.langfuse.com or your own server",
        )

    def accepted(self, target: Destination, signal: str, setup: Setup) -> Verdict | None:
        """Warn of a missing header, without which it shows spans minutes later."""
        variable, _ = headers_variable(target, signal, setup)
        is_sent = preset.INGESTION_HEADER in setup.environ.get(variable, "").lower()
        if self.is_named(target) or variable == OWN_HEADERS or is_sent:
            return None
        return warning(
            f"{target}: took a test export; without the header {preset.INGESTION_HEADER} Langfuse "
            "shows spans up to 10 minutes late, and reads LiveKit's own by its own guesses",
            "write OTEL_TRACES_EXPORTER=langfuse with LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY, "
            f"or add {preset.INGESTION_HEADER}=4 to {variable}",
        )

    def check_server(self, setup: Setup) -> Iterable[Verdict]:
        """Ask for its version."""
        yield check_version(setup)


BACKEND: Final = Langfuse(preset.PRESET)


def check_version(setup: Setup) -> Verdict:
    """Ask Langfuse for its version, and say what that shows of a call; no key goes with it."""
    target = exporters.destination(preset.NAME, "TRACES", setup.settings, setup.environ)
    address = target.address.partition(preset.PATH)[0] + _HEALTH
    try:
        answer = requests.get(address, timeout=setup.timeout_s, allow_redirects=False)
    except requests.RequestException as error:
        return _unknown(address, f"does not answer ({type(error).__name__})")
    version = _version(answer)
    numbers = _VERSION.match(version)
    if numbers is None:
        return _unknown(address, f"answers {answer.status_code} without a version")
    release = tuple(int(number) for number in numbers.groups())
    if release < _FIRST_WITH_TOKENS:
        return problem(
            f"{address}: Langfuse {version} ignores tokens and cost as they are sent: calls have "
            "none there, or estimates of its own where content is sent",
            _REMEDY,
        )
    if release < _FIRST_WITH_COST:
        return problem(
            f"{address}: Langfuse {version} ignores cost as it is sent: calls have their tokens "
            "there, at the prices of its own table, and no cost of speech or by the minute",
            _REMEDY,
        )
    return ok(f"{address}: Langfuse {version} shows tokens and cost as they are sent")


def _version(answer: requests.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return ""
    return str(body.get("version", "")) if isinstance(body, dict) else ""


def _unknown(address: str, said: str) -> Verdict:
    return warning(
        f"{address}: {said}; Langfuse before {preset.OLDEST} ignores what calls cost",
        f"look that the server is {preset.OLDEST} or newer",
    )
