# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""From the text of a variable to its value."""

from __future__ import annotations


def entries(text: str) -> list[str]:
    """Return what stands between commas."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]
