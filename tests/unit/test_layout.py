# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The house: which room may import which, what is public, which names are used; its tests, too."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import callspan
from callspan import semconv, testing
from callspan.semconv import Metric
from callspan.testing import fixtures
from kit import house
from kit.paths import EXAMPLE, TESTS
from kit.paths import ROOT as REPOSITORY
from kit.private_names import PRIVATE_NAMES
from kit.words import RETIRED, retired_words

ROOT = Path(callspan.__file__).parent
NAMES = {
    value.name if isinstance(value, Metric) else value
    for value in vars(semconv).values()
    if isinstance(value, str | Metric)
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package, for a fault to be planted in."""
    return Path(shutil.copytree(ROOT, tmp_path / "callspan"))


def plant(path: Path, line: str) -> None:
    path.write_text(f"{path.read_text()}\n{line}\n")


def test_imports_keep_to_the_law() -> None:
    """Every module, the root and the command included; no room is without a rule."""
    assert house.wrong_imports(ROOT) == []


def test_the_law_points_one_way() -> None:
    """A room may import those that stand below it in the table: no circle can be allowed."""
    order = list(house.MAY_IMPORT)
    below = {room: order.index(room) for room in order}
    ups = [
        f"{room} imports {other}"
        for room, others in house.MAY_IMPORT.items()
        for other in others
        if below[other] <= below[room]
    ]
    assert ups == []


@pytest.mark.parametrize(
    ("module", "line", "fault"),
    [
        ("call/outcome.py", "from ..tracing import call_trace", "tracing.call_trace"),
        ("call/outcome.py", "from callspan.config.settings import resolve", "config.settings"),
        ("cli/cost.py", "from ..runtime.process import Runtime", "runtime.process"),
        ("instrumentor.py", "from .providers import exporters", "providers.exporters"),
        ("metrics/wire/rows.py", "from ..worker.state import State", "metrics.worker.state"),
        ("version.py", "import callspan.instrumentor", "instrumentor"),
        ("attic.py", "from . import version", "version"),
    ],
)
def test_a_wrong_import_is_seen(copy: Path, module: str, line: str, fault: str) -> None:
    """Planted in a copy: a relative one, an absolute one, one of a module without a rule."""
    (copy / module).touch()
    plant(copy / module, line)
    assert house.wrong_imports(copy) == [f"{module} imports {fault}"]


def test_names_are_spelt_in_semconv_alone() -> None:
    """A metric, an attribute, an event: whoever looks for one finds one place."""
    assert house.names_outside_semconv(ROOT, NAMES) == []


@pytest.mark.parametrize("name", ["agent.sessions", "lk.never_seen", "langfuse.session.id"])
def test_a_name_outside_of_semconv_is_seen(copy: Path, name: str) -> None:
    """Planted in a copy: a name that is known, and one that looks like a name."""
    plant(copy / "call" / "outcome.py", f"NAME = {name!r}")
    (seen,) = house.names_outside_semconv(copy, NAMES)
    assert seen.startswith("call/outcome.py:")
    assert seen.endswith(f"spells {name!r}")


def test_private_names_of_others_have_a_contract() -> None:
    """Those that are used are those that the contract tests look for, no more and no fewer."""
    assert house.private_names(ROOT).keys() == PRIVATE_NAMES.keys()


@pytest.mark.parametrize("use", ["thing._hidden", "getattr(thing, '_hidden', None)"])
def test_a_private_name_without_a_contract_is_seen(copy: Path, use: str) -> None:
    """Planted in a copy."""
    plant(copy / "livekit" / "clock.py", f"def look(thing):\n    return {use}")
    seen = house.private_names(copy)
    assert seen.keys() - PRIVATE_NAMES.keys() == {"_hidden"}


def test_only_one_room_imports_livekit() -> None:
    """Outside of livekit/, nothing knows livekit-agents."""
    outside = [
        str(path)
        for path in house.modules(ROOT)
        if path.relative_to(ROOT).parts[0] != "livekit" and "livekit" in house.foreign_imports(path)
    ]
    assert outside == []


def test_the_record_of_a_call_knows_no_telemetry() -> None:
    """The call room imports neither OpenTelemetry nor livekit nor a clock."""
    foreign = {"opentelemetry", "livekit", "time", "datetime"}
    for path in (ROOT / "call").glob("*.py"):
        assert not foreign & house.foreign_imports(path), path


def test_no_retired_word_is_a_name() -> None:
    """In the package, tests, examples, benchmarks, and the Python of pages; prose is free."""
    assert retired_words(REPOSITORY) == []


@pytest.mark.parametrize(
    ("path", "text", "line", "word"),
    [
        ("src/callspan/call/outcome.py", "#\nfound = 1\n", 2, "found"),
        ("tests/unit/test_call.py", "def test(journal: object) -> None: ...\n", 1, "journal"),
        ("tests/kit/dialogue.py", '"""It says: a \'reply\'.\n"""\nself._said = 1\n', 3, "_said"),
        ("examples/demo.py", "start(if_lost='it\\'s')\n", 1, "if_lost"),
        ("examples/hooks.py", "def tell() -> None: ...\n", 1, "tell"),
        ("benchmarks/bench.py", "from offline import tally\n", 1, "tally"),
        ("docs/generate.py", "class Told: ...\n", 1, "Told"),
        ("README.md", 'As told:\n\n```python\ntold = ["told"]\n```\n', 4, "told"),
    ],
)
def test_a_retired_word_is_seen(tmp_path: Path, path: str, text: str, line: int, word: str) -> None:
    """Planted: a variable, a fixture, an attribute, a keyword, a function, an import, a page."""
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text)
    assert retired_words(tmp_path) == [f"{path}:{line} has {word}; write {RETIRED[word]}"]


def test_prose_and_files_may_use_retired_words(tmp_path: Path) -> None:
    """A docstring, a comment, a message, a file's position, text of a page, a longer name."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "module.py").write_text(
        '"""What is found where.\n\nThe \\"""told\\""" one."""\n'
        "position = file.tell()  # told\n"
        "message = f'no {position} was \\'found\\'', \"found\"\n"
        "told_apart = FileNotFoundError\n"
    )
    (tmp_path / "README.md").write_text("found = `told`\n\n```console\n$ found\n```\n")
    assert retired_words(tmp_path) == []


def test_tests_share_by_the_kit() -> None:
    """No test module imports another, no suite another, nor what is the example's alone."""
    assert house.wrong_test_imports(TESTS, EXAMPLE) == []


@pytest.mark.parametrize(
    ("module", "line", "fault"),
    [
        ("unit/test_call.py", "from unit.test_hooks import seen", "unit.test_hooks.seen"),
        ("unit/test_call.py", "from unit import test_hooks", "unit.test_hooks"),
        ("unit/test_call.py", "import test_hooks", "test_hooks"),
        ("unit/test_call.py", "import integration.test_hooks", "integration.test_hooks"),
        ("unit/test_call.py", "from system import caller", "system.caller"),
        ("kit/scrape.py", "from system.caller import Caller", "system.caller.Caller"),
        ("integration/hook_calls.py", "from demo import demo", "demo.demo"),
        ("unit/test_call.py", "from offline import secret", "offline.secret"),
    ],
)
def test_a_wrong_import_in_tests_is_seen(
    tmp_path: Path, module: str, line: str, fault: str
) -> None:
    """Planted in a copy: a test module, another suite, what the example does not lend."""
    tests = Path(shutil.copytree(TESTS, tmp_path / "tests"))
    plant(tests / module, line)
    assert house.wrong_test_imports(tests, EXAMPLE) == [f"{module} imports {fault}"]


def test_examples_know_nothing_of_tests() -> None:
    """A user gets them without the tests; what the demo does not run is not among them."""
    assert house.wrong_example_imports(EXAMPLE.parent, TESTS) == []
    assert house.unreached(EXAMPLE, ("demo.py", "agent.py")) == []


def test_an_example_that_leans_on_tests_is_seen(tmp_path: Path) -> None:
    """Planted in a copy: an import of the kit, and a module that only tests would use."""
    examples = Path(shutil.copytree(EXAMPLE.parent, tmp_path / "examples"))
    example = examples / EXAMPLE.name
    plant(example / "offline" / "stt.py", "from kit.workers import run_agent")
    (example / "offline" / "realtime.py").touch()
    assert house.wrong_example_imports(examples, TESTS) == [
        f"{EXAMPLE.name}/offline/stt.py imports kit.workers.run_agent"
    ]
    assert house.unreached(example, ("demo.py", "agent.py")) == ["offline/realtime.py"]


def test_public_surface() -> None:
    """What the package root offers is this and nothing else."""
    assert callspan.__all__ == [
        "LiveKitAgentsInstrumentor",
        "__version__",
        "business",
        "instrument",
    ]
    importlib.import_module("callspan.business")
    for name in callspan.__all__:
        assert getattr(callspan, name) is not None


def test_public_surface_for_tests() -> None:
    """``callspan.testing`` offers this and nothing else, and loads neither livekit nor pytest."""
    assert testing.__all__ == ["CallRecorder", "RecordedCall", "record_calls"]
    for name in testing.__all__:
        assert getattr(testing, name) is not None
    assert [name for name in vars(fixtures) if name.endswith("_recorder")] == ["call_recorder"]
    code = "import sys, callspan.testing; print({'livekit.agents', 'pytest'} & sys.modules.keys())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_modules_stay_short() -> None:
    """A module past 400 lines is two things."""
    long = {
        str(path): count
        for path in house.modules(ROOT)
        if (count := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


def test_every_file_names_its_licence() -> None:
    """Each module starts with the two licence lines."""
    for path in house.modules(ROOT):
        assert "SPDX-License-Identifier: Apache-2.0" in path.read_text().split("\n", 2)[1], path
