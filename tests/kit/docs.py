# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The pages that users read, what is generated into them, and the queries in them."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from itertools import count
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


def pages(root: Path) -> list[Path]:
    """All pages below a folder, but for what lies in hidden ones."""
    return sorted(
        path
        for path in root.rglob("*.md")
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def anchors_of(page: str) -> set[str]:
    """What the headings of a page can be linked by, as GitHub spells it."""
    anchors: set[str] = set()
    for heading in re.findall(r"^#+ +(.*?) *$", _without_code(page), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        again = (f"{anchor}-{number}" for number in count(1))
        anchors.add(anchor if anchor not in anchors else next(a for a in again if a not in anchors))
    return anchors


def broken_links(page: Path) -> list[str]:
    """The links of a page to files of this repository, or headings in them, that lead nowhere."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", _without_code(page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target.read_text())):
            broken.append(link)
    return broken


def _without_code(page: str) -> str:
    return re.sub(r"^( *)```.*?^\1```", "", page, flags=re.DOTALL | re.MULTILINE)
