# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Langfuse: it takes traces only, bills each span, and is sent calls in its own spelling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan

from ...export.langfuse import mapping
from ...version import __version__
from .preset import TRACES, Preset, PresetError, Target, base_address, basic_auth, required
from .wrapper_exporters import PresetSpanExporter

NAME: Final = "langfuse"
PUBLIC_KEY: Final = "LANGFUSE_PUBLIC_KEY"
SECRET_KEY: Final = "LANGFUSE_SECRET_KEY"  # noqa: S105  a name, not a secret
ADDRESSES: Final = ("LANGFUSE_BASE_URL", "LANGFUSE_HOST")
"""Where it is; the second is the older name."""
ENVIRONMENT: Final = "LANGFUSE_TRACING_ENVIRONMENT"
RELEASE: Final = "LANGFUSE_RELEASE"
EU: Final = "https://cloud.langfuse.com"
US: Final = "https://us.cloud.langfuse.com"
PATH: Final = "/api/public/otel"
INGESTION_HEADER: Final = "x-langfuse-ingestion-version"
"""Without it spans are minutes late."""
OLDEST: Final = "3.141.0"
"""The oldest server that reads tokens and cost as they are sent there."""


def _target_of(signal: str, environ: Mapping[str, str]) -> Target:
    public, secret = (
        required(environ, name, NAME, "copy both keys from the project's settings in Langfuse")
        for name in (PUBLIC_KEY, SECRET_KEY)
    )
    for name, value, other in ((PUBLIC_KEY, public, "sk-lf-"), (SECRET_KEY, secret, "pk-lf-")):
        if value.startswith(other):
            raise PresetError(
                f"{name}={other}…: that is the other key of the pair, nothing is sent to Langfuse",
                f"write the one that begins with pk-lf- into {PUBLIC_KEY} and the one that begins "
                f"with sk-lf- into {SECRET_KEY}",
            )
    variable, address = next(
        ((name, value) for name in ADDRESSES if (value := environ.get(name, "").strip())),
        (ADDRESSES[0], EU),
    )
    base = base_address(
        variable, address, f"{EU} (EU), {US} (US) or the address of your own server"
    )
    at, _, rest = base.partition(PATH)
    if rest or at != base:
        raise PresetError(
            f"{variable}={base}: the path {PATH}/v1/traces is added to it, nothing is sent there",
            f"write {variable}={at}",
        )
    return Target(
        variable,
        f"{base}{PATH}/v1/{signal.lower()}",
        {
            "authorization": basic_auth(public, secret),
            INGESTION_HEADER: "4",
            "x-langfuse-sdk-name": "callspan",
            "x-langfuse-sdk-version": __version__,
        },
    )


def _mapping(environ: Mapping[str, str]) -> Callable[[ReadableSpan], ReadableSpan]:
    return mapping(environ.get(ENVIRONMENT, "").strip(), environ.get(RELEASE, "").strip())


PRESET: Final = Preset(
    name=NAME,
    title="Langfuse",
    variables=(PUBLIC_KEY, SECRET_KEY, *ADDRESSES, ENVIRONMENT, RELEASE),
    target=_target_of,
    signals=(TRACES,),
    mapping=_mapping,
    calls_only=True,
)


class LangfuseSpanExporter(PresetSpanExporter):
    """For the entry point."""

    preset = PRESET
