# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What is passed in code, to whichever entry point; checked where it is passed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.trace import TracerProvider

from ..environment_variables import OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT
from ..pricing import price_file
from .parsers import PARTS


@dataclass(slots=True)
class Options:
    """The arguments of an entry point.

    Attributes:
        tracer_provider: A provider to use instead of one of ours.
        capture_content: Overrides the content variable.
        disabled_parts: Parts to leave out.
        prices: The user's own, in place of a price file.
        set_globals: Whether a provider of ours may become the global one.
    """

    tracer_provider: TracerProvider | None = None
    capture_content: bool | None = None
    disabled_parts: frozenset[str] = frozenset()
    set_globals: bool = False
    prices: Mapping[str, Any] | None = None

    @classmethod
    def of(
        cls,
        *,
        tracer_provider: TracerProvider | None = None,
        capture_content: bool | None = None,
        disabled_parts: Iterable[str] = (),
        set_globals: bool = False,
        prices: Mapping[str, Any] | None = None,
        **others: object,
    ) -> Options:
        """Check the arguments of an entry point; others that instrumentors take are passed over.

        Raises:
            TypeError: If an argument is of the wrong kind.
            ValueError: If a part has no such name, or a price is none.
        """
        from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider

        if not isinstance(tracer_provider, SdkTracerProvider | None):
            raise TypeError(
                f"tracer_provider={tracer_provider!r}: not a TracerProvider; pass one from "
                "opentelemetry.sdk.trace, or nothing to have one made from the OTEL_* variables"
            )
        if not isinstance(capture_content, bool | None):
            raise TypeError(
                f"capture_content={capture_content!r}: not a bool; pass True, False, or nothing to "
                f"have {OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT} decide"
            )
        if isinstance(disabled_parts, str):
            raise TypeError(
                f"disabled_parts={disabled_parts!r}: not a list of names; pass [{disabled_parts!r}]"
            )
        parts = frozenset(disabled_parts)
        if unknown := sorted(parts.difference(PARTS)):
            raise ValueError(
                f"disabled_parts={unknown!r}: no such part; use any of {', '.join(PARTS)}"
            )
        if prices is not None:
            prices = price_file.checked(prices)
        return cls(tracer_provider, capture_content, parts, set_globals, prices)

    def merge(self, later: Options) -> None:
        """Take over what a later call passed, where an earlier one left it open."""
        self.tracer_provider = self.tracer_provider or later.tracer_provider
        if self.capture_content is None:
            self.capture_content = later.capture_content
        if self.prices is None:
            self.prices = later.prices
        self.disabled_parts |= later.disabled_parts
        self.set_globals = self.set_globals or later.set_globals
