# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the doctor reads from the source of agent.py, without running it."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

from callspan.cli.checks import models, source
from callspan.cli.checks.agent_inspection import Worker, import_worker
from callspan.cli.checks.source import Place, Source

OURS = "from callspan import instrument\n"
GUARD = "if __name__ == '__main__'"


def written(directory: Path, text: str) -> Path:
    """Agent.py with a text."""
    path = directory / "agent.py"
    path.write_text(text)
    return path


def place(line: int, within: str, **others: bool) -> Place:
    """A place, by default in a function that nobody is seen to call."""
    kinds = {"under_main": False, "in_setup": False, "passes_provider": False, **others}
    return Place(line, within=within, **kinds)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (OURS + "instrument()\n", ()),
        (OURS + "def up():\n    instrument()\nup()\n", ()),
        (OURS + f"{GUARD}:\n    instrument()\n", (place(3, GUARD, under_main=True),)),
        (
            OURS + f"def up():\n    instrument()\n{GUARD}:\n    up()\n",
            (place(3, "up", under_main=True),),
        ),
        (
            OURS + f"{GUARD}:\n    instrument(tracer_provider=p)\n",
            (place(3, GUARD, under_main=True, passes_provider=True),),
        ),
        (
            OURS + "def warm(process):\n    instrument()\nserver = AgentServer(setup_fnc=warm)\n",
            (place(3, "warm", in_setup=True),),
        ),
        (
            OURS + "def warm(process):\n    instrument()\nserver.setup_fnc = warm\n",
            (place(3, "warm", in_setup=True),),
        ),
        (OURS + "async def entrypoint(ctx):\n    instrument()\n", (place(3, "entrypoint"),)),
        (
            "import callspan as lk\n"
            "async def entrypoint(ctx):\n    lk.instrument()\n"
            "async def other(ctx):\n    LiveKitAgentsInstrumentor().instrument()\n",
            (place(5, "other"),),
        ),
        ("from some.where import instrument\ndef f():\n    instrument()\n", ()),
    ],
)
def test_where_the_line_stands(text: str, places: tuple[Place, ...], tmp_path: Path) -> None:
    """By what runs at the import, under the guard, in the set-up, or only when it is called."""
    assert source.read(written(tmp_path, text)).instruments == places


def test_a_provider_set_by_a_helper_of_the_entrypoint(tmp_path: Path) -> None:
    """As LiveKit's own example for Langfuse has it, also under another name."""
    text = (
        "from livekit.agents.telemetry import set_tracer_provider as use\n"
        "def set_up_langfuse():\n"
        "    use(TracerProvider())\n"
        "async def entrypoint(ctx):\n"
        "    set_up_langfuse()\n"
    )
    read = source.read(written(tmp_path, text))
    assert read.sets_provider == (place(3, "set_up_langfuse"),)


def test_set_up_functions_that_the_server_names(tmp_path: Path) -> None:
    """What a server runs in each job process is known from the server, where there is one."""
    path = written(tmp_path, "def warm(process):\n    trace.set_tracer_provider(p)\n")
    assert source.read(path).sets_provider == (place(2, "warm"),)
    assert source.read(path, ["warm"]).sets_provider == (place(2, "warm", in_setup=True),)


def test_a_scrape_server_of_its_own(tmp_path: Path) -> None:
    """Under the guard it runs once; anywhere else in each job process."""
    text = f"start_http_server(9090)\n{GUARD}:\n    start_http_server(9091)\n"
    assert source.read(written(tmp_path, text)).serves_at == (1,)


def test_what_is_no_python_says_nothing(tmp_path: Path) -> None:
    """Its import says what is wrong with it."""
    path = written(tmp_path, "def broken(:\n")
    assert source.read(path) == Source()
    assert list(models.in_source(path, {})) == []


# --- models ------------------------------------------------------------------------------------


def plugin(name: str, **classes: type) -> types.SimpleNamespace:
    """A module of LiveKit's plugins as far as it is looked at."""
    for made in classes.values():
        made.__module__ = name
    return types.SimpleNamespace(**classes)


class LLM:
    def __init__(self, *, model: str = "a-default") -> None:
        raise AssertionError("it is not to be made")


class STT:
    def __init__(self, *, model: str) -> None:
        raise AssertionError("it is not to be made")


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("acme.LLM(model='large')", ["llm:acme/large"]),
        ("acme.LLM()", ["llm:acme/a-default"]),
        ("acme.LLM(model=chosen)", []),
        ("acme.LLM(model='m', base_url='https://llm.example.com/v1')", ["llm:llm.example.com/m"]),
        ("acme.LLM(model='m', base_url=chosen)", []),
        ("unknown.LLM(model='m')", []),
        ("acme.STT()", []),
        ("AgentSession(stt='deepgram/nova-3:multi')", ["stt:livekit/deepgram/nova-3"]),
        ("AgentSession(llm=chosen, tts='plain')", []),
        ("[acme.LLM(model='a'), acme.LLM(model='a')]", ["llm:acme/a"]),
    ],
)
def test_models_are_read_where_they_are_said(
    call: str, expected: list[str], tmp_path: Path
) -> None:
    """What cannot be known from the text is left out; nothing is made to find out."""
    namespace = {"acme": plugin("livekit.plugins.acme.models", LLM=LLM, STT=STT)}
    path = written(tmp_path, f"async def entrypoint(ctx):\n    x = {call}\n")
    assert list(models.in_source(path, namespace)) == expected


# --- the import --------------------------------------------------------------------------------


def test_what_an_import_showed_travels_as_text() -> None:
    worker = Worker("agent.py", content=False, setup_functions=("a", "b"), environ={"A": "1"})
    assert Worker.from_json(worker.to_json()) == worker


def test_an_import_that_does_not_end_is_ended(tmp_path: Path) -> None:
    """A module that runs its worker at import is not waited for."""
    path = written(tmp_path, "import threading\nthreading.Event().wait()\n")
    assert import_worker(path, timeout_s=1.0).error == "its import is not done after 1 s"
