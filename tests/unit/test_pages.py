# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What users read: links lead somewhere, the README is short, and every name on a page exists."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import callspan
from callspan import business, environment_variables, semconv
from callspan.business import declare
from callspan.call.declarations import Declarations
from callspan.config.parsers import PARTS
from callspan.pricing import price_file
from callspan.semconv import spans, usage
from kit.docs import ROOT, anchors_of, broken_links, generate, pages

PAGES = pages(ROOT)
README = (ROOT / "README.md").read_text()
DOCS = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    """A file that is gone, a heading that was renamed, in another page and in this one."""
    (tmp_path / "other.md").write_text("# Other\n\n## What counts\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n[a](other.md) [b](other.md#what-counts) [c](#page) [d](https://example.com/x)\n"
        "[e](gone.md) [f](other.md#what-counted) [g](#pages)\n```\n[h](gone.md)\n```\n"
    )
    assert broken_links(page) == ["gone.md", "other.md#what-counted", "#pages"]


def test_headings_are_spelt_as_github_links_them() -> None:
    """Code, punctuation, and a heading that comes twice."""
    page = "# The `doctor`, and you\n## A_b\n## Twice\n## Twice\n```\n# no heading\n```\n"
    assert anchors_of(page) == {"the-doctor-and-you", "a_b", "twice", "twice-1"}


def test_the_readme_is_short() -> None:
    assert len(README.split()) <= 1200


def test_the_readmes_contents_are_its_headings() -> None:
    """In the same order."""
    headings = re.findall(r"^## (.*)$", README, re.MULTILINE)
    listed = re.findall(r"^- \[(.*)\]\(#.*\)$", README, re.MULTILINE)
    assert headings == ["Contents", *listed]


def test_the_readme_says_whose_package_it_is() -> None:
    """And how it is installed as long as nothing was released."""
    text = " ".join(README.split())
    assert "a community package. It is not a project of OpenTelemetry or of LiveKit." in text
    assert "Its license is Apache-2.0." in text
    assert "There is no release yet. Install from a clone" in text


def test_every_page_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", DOCS["README.md"]))
    assert linked == DOCS.keys() - {"README.md"}


@each_page
def test_every_variable_exists(page: Path) -> None:
    """A misspelt variable is never read, silently."""
    named = set(re.findall(r"\bCALLSPAN_\w+", page.read_text()))
    assert [name for name in named if not hasattr(environment_variables, name)] == []


@each_page
def test_every_function_of_business_exists(page: Path) -> None:
    named = set(re.findall(r"\bbusiness\.(?!(?:md|py|json|svg)\b)([a-z]\w*)", page.read_text()))
    assert sorted(named - set(business.__all__)) == []


def rows_of(page: str, heading: str) -> list[str]:
    """The first cells of the table that comes first after a text."""
    table = re.search(r"\n\|.*\n\|[-|]+\n((?:\|.*\n)+)", page[page.index(heading) :])
    assert table is not None
    return re.findall(r"^\| (.*?) \|", table[1], re.MULTILINE)


def test_every_part_that_can_be_left_out_is_explained() -> None:
    rows = rows_of(DOCS["configuration.md"], "can leave out:")
    assert sorted(rows) == sorted(f"`{part}`" for part in PARTS)


def test_every_part_is_named_by_instrument() -> None:
    """An editor shows this, and no page."""
    section = re.search(r"disabled_parts: (.*?) Default:", callspan.instrument.__doc__, re.DOTALL)
    assert re.findall(r"``(\w+)``", section[1]) == list(PARTS)


def test_every_argument_is_explained() -> None:
    """And no other."""
    (block,) = re.findall(r"^instrument\(\n(.*?)^\)", DOCS["configuration.md"], re.DOTALL | re.M)
    named = re.findall(r"^    (\w+)=", block, re.MULTILINE)
    assert named == list(inspect.signature(callspan.instrument).parameters)


def test_the_prices_on_the_page_are_some() -> None:
    (prices,) = re.findall(r"^    prices=(\{.*\}),", DOCS["configuration.md"], re.MULTILINE)
    assert price_file.checked(eval(prices)).keys() == {"stt"}


def test_every_outcome_is_explained() -> None:
    rows = rows_of(DOCS["business.md"], "## Outcomes")
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == set(semconv.OUTCOMES)


def test_declarations_on_the_page_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """And make the series that the page names."""
    declared = Declarations()
    monkeypatch.setattr(declare, "declared", declared)
    page = DOCS["business.md"]
    lines = re.findall(r"^business\.declare_\w+\(.*\)$", page, re.MULTILINE)
    assert len(lines) == 5
    for line in lines:
        eval(line, {"business": business})
    metrics = [metric for metric, _ in declared.kpis.values()]
    metrics += [conversion.metric for conversion in declared.conversions.values()]
    assert len(metrics) == 3
    for metric in metrics:
        assert f"`{generate.scraped_name(metric)}`" in page


def test_every_attribute_of_ours_is_in_the_table() -> None:
    """A new one is listed in docs/generate.py, with where it is written."""
    ours = {
        name
        for module in (spans, usage)
        for name, value in vars(module).items()
        if isinstance(value, str) and re.match(r"(agent|session|user|tenant)\.", value)
    }
    listed = [name for _, names in generate.ATTRIBUTES for name in names]
    assert sorted(listed) == sorted(ours)
