# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The pages that users read, what is generated into them, and the queries in them."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

from callspan.semconv import Metric

ROOT: Final = Path(__file__).parents[2]


def _load(path: Path) -> ModuleType:
    """Import a program that lies beside the pages, where no package is."""
    spec = importlib.util.spec_from_file_location(f"docs_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate: Final = _load(ROOT / "docs" / "generate.py")
"""What ``make docs`` runs."""


def scraped_name(metric: Metric) -> str:
    """The name of a metric on a scrape."""
    return str(generate.scraped_name(metric))


def series_names(metric: Metric) -> Iterator[str]:
    """The names that a query can use."""
    name = scraped_name(metric)
    if metric.kind == "histogram":
        yield from (f"{name}_{part}" for part in ("bucket", "sum", "count"))
    else:
        yield name


def queries_on(page: str) -> list[str]:
    """The PromQL queries of a page, each in a block of its own."""
    return re.findall(r"```promql\n(.*?)```", page, re.DOTALL)


def names_in(query: str) -> set[str]:
    """The metric names of a PromQL query: what is left without labels, strings and ranges."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(?:by|on|group_left) \([^)]*\)", " ", query)
    return set(re.findall(r"\b(?:agent|target|gen_ai|lk)_\w+", bare))
