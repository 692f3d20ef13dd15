# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The demo's calls in a real backend, Arize Phoenix: what its API and its pages say of them."""

from __future__ import annotations

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

from backends import chromium, phoenix
from backends.demo_calls import PROJECT, make_calls
from backends.phoenix import Key, Phoenix, StoredSpan
from backends.picture import Shown, booking, show
from offline.callers import CALLERS

# Phoenix makes its database, the calls last as long as calls do
pytestmark = pytest.mark.timeout(600)

PICTURE_LIMIT_BYTES = 300_000
LOOPBACK = "127.0.0.1"


def not_run(what: str, problem: Exception) -> NoReturn:
    """Skip a user's run and fail one under CI, where a skip would hide that nothing was tested."""
    message = f"not run: {what}: {problem}"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phoenix]:
    """A Phoenix without a span."""
    try:
        program = phoenix.find()
    except phoenix.PhoenixUnavailableError as problem:
        not_run("calls in a real trace backend", problem)
    with Phoenix(program, tmp_path_factory.mktemp("phoenix")) as running:
        running.start()
        yield running


@pytest.fixture(scope="module")
def made(server: Phoenix, tmp_path_factory: pytest.TempPathFactory) -> list[Key]:
    """Every span that the job processes of the demo made, by their own count."""
    return make_calls(server.url, tmp_path_factory.mktemp("calls"))


@pytest.fixture(scope="module")
def stored(server: Phoenix, made: list[Key]) -> list[StoredSpan]:
    """Every span that Phoenix has."""
    return server.wait_for_spans(PROJECT, set(made))


@pytest.fixture(scope="module")
def roots(stored: list[StoredSpan]) -> list[StoredSpan]:
    """The spans in it without a parent."""
    return [span for span in stored if span.parent_id is None]


@pytest.fixture(scope="module")
def shown(server: Phoenix, stored: list[StoredSpan]) -> Shown:
    """What its pages show of a call, in a browser."""
    try:
        program = chromium.find()
    except chromium.ChromiumUnavailableError as problem:
        not_run("the pages of a real trace backend", problem)
    return asyncio.run(show(program, server, booking(stored)))


def test_it_has_the_spans_that_were_made(made: list[Key], stored: list[StoredSpan]) -> None:
    """Each of them once, and no other."""
    assert made
    assert Counter(span.key for span in stored) == Counter(made)


def test_each_call_is_one_trace(stored: list[StoredSpan], roots: list[StoredSpan]) -> None:
    """As many traces as callers, each under one root."""
    assert [root.name for root in roots] == ["job_entrypoint"] * len(CALLERS)
    assert len({root.trace_id for root in roots}) == len(CALLERS)
    assert {span.trace_id for span in stored} == {root.trace_id for root in roots}


def test_no_span_is_without_its_parent(stored: list[StoredSpan]) -> None:
    """Whatever names a parent has it in its own trace."""
    keys = {span.key for span in stored}
    children = [span for span in stored if span.parent_id is not None]
    assert [child.name for child in children if (child.trace_id, child.parent_id) not in keys] == []


def test_each_call_is_a_session(
    server: Phoenix, stored: list[StoredSpan], roots: list[StoredSpan]
) -> None:
    """Its id is the job's, every span says so, and the call's trace is the only one in it."""
    assert server.sessions(PROJECT) == {
        root.attributes["lk.job_id"]: [root.trace_id] for root in roots
    }
    sessions = {root.trace_id: root.attributes["lk.job_id"] for root in roots}
    for span in stored:
        assert span.attributes["session.id"] == sessions[span.trace_id], span.name


def test_tokens_are_counted_once(server: Phoenix, roots: list[StoredSpan]) -> None:
    """It adds up what the model's requests say, to the sum that each call's root has of its own."""
    assert server.tokens(PROJECT) == {
        root.trace_id: (
            root.attributes["agent.usage.llm.input_tokens"],
            root.attributes["agent.usage.llm.output_tokens"],
        )
        for root in roots
    }


def test_it_knows_agents_models_and_tools(stored: list[StoredSpan]) -> None:
    """By the standard attributes, without a mapping of ours."""
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    for span in stored:
        kinds[span.name].add(span.kind)
    assert kinds["agent_turn"] == {"AGENT"}
    assert kinds["llm_request"] == {"LLM"}
    assert kinds["function_tool"] == {"TOOL"}


def test_it_was_not_told_what_was_said(stored: list[StoredSpan], shown: Shown) -> None:
    """No sentence of a caller is in a span or on a page."""
    known = f"{stored} {shown.trace} {shown.sessions}"
    for caller in CALLERS.values():
        for sentence in caller.sentences:
            assert sentence not in known


def test_its_page_shows_the_whole_call(stored: list[StoredSpan], shown: Shown) -> None:
    """Every span of the trace has its line in the tree; the one selected has a title, too."""
    selected = booking(stored)
    names = Counter(span.name for span in stored if span.trace_id == selected.trace_id)
    lines = Counter(line for line in shown.trace.splitlines() if line in names)
    assert lines == names + Counter([selected.name])


def test_its_page_lists_every_call_as_a_session(roots: list[StoredSpan], shown: Shown) -> None:
    """By the id of its job."""
    for root in roots:
        assert root.attributes["lk.job_id"] in shown.sessions


def test_the_picture_is_fit_for_a_readme(shown: Shown) -> None:
    """A PNG, wide enough to read, and small."""
    assert shown.picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(shown.picture[16:20]) > 1000
    # nothing but background would be a tenth of this
    assert 50_000 < len(shown.picture) < PICTURE_LIMIT_BYTES


def test_its_pages_ask_nobody_else(server: Phoenix, shown: Shown) -> None:
    """No analytics, no fonts: every address that the browser asked for is Phoenix's own."""
    asked = {urlsplit(address) for address in shown.requested}
    assert {part.netloc for part in asked if part.scheme != "data"} == {urlsplit(server.url).netloc}
    assert urlsplit(server.url).hostname == LOOPBACK


def test_without_phoenix_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The message says what is missing, where it was looked for, and what to do."""
    remedy = (
        "make test-backends installs it where there is a network; or pip install arize-phoenix "
        "into an environment of its own and set PHOENIX_BINARY to its bin/phoenix"
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("PHOENIX_BINARY", raising=False)
    with pytest.raises(phoenix.PhoenixUnavailableError) as nowhere:
        phoenix.find()
    assert str(nowhere.value) == f"no executable of Arize Phoenix at PATH={tmp_path}: {remedy}"
    monkeypatch.setenv("PHOENIX_BINARY", "/nowhere/phoenix")
    with pytest.raises(phoenix.PhoenixUnavailableError) as named:
        phoenix.find()
    assert str(named.value) == (
        f"no executable of Arize Phoenix at PHOENIX_BINARY=/nowhere/phoenix: {remedy}"
    )


def test_without_chromium_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The message says what is missing, where it was looked for, and what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(chromium.ChromiumUnavailableError) as problem:
        chromium.find()
    assert str(problem.value) == (
        f"none of chromium, chromium-browser, google-chrome found on PATH={tmp_path}: "
        "apt-get install chromium"
    )
