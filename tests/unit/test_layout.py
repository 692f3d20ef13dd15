# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The house: which room may import which, what is public, where names are spelt."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import callspan as package

ROOT = Path(package.__file__).parent

# A room may import those to the right of it, and itself.
MAY_IMPORT = {
    "providers": {"tracing", "call", "export"},
    "export": {"call", "tracing"},
    "waterfall": set(),
    "tracing": {"call"},
    "livekit": {"call"},
    "metrics": {"call", "providers"},
    "pricing": {"call"},
    "call": set(),
}
FLOOR = {
    "semconv",
    "diagnostics",
    "config",
    "environment_variables",
    "version",
    "package",
}
"""Modules at the root that stand below every room."""


def _imports(path: Path) -> set[str]:
    """Return the dotted names below the package that a module imports."""
    names = set()
    relative = path.relative_to(ROOT).with_suffix("")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            here = list(relative.parts[:-1])
            base = here[: len(here) - (node.level - 1)]
            stem = [*base, *(node.module.split(".") if node.module else [])]
            names |= {".".join([*stem, alias.name]) for alias in node.names}
    return names


def _modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py"))


def test_rooms_import_one_way_only() -> None:
    """No module of a room reaches into a room it may not know."""
    wrong = []
    for path in _modules():
        room = path.relative_to(ROOT).parts[0]
        if room not in MAY_IMPORT:
            continue
        for name in _imports(path):
            target = name.split(".")[0]
            if target in FLOOR or target == room or target in MAY_IMPORT[room]:
                continue
            wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []


def test_only_one_room_imports_livekit() -> None:
    """Outside of livekit/, nothing knows livekit-agents."""
    outside = []
    for path in _modules():
        if path.relative_to(ROOT).parts[0] == "livekit":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
            outside += [str(path) for name in names if name.split(".")[0] == "livekit"]
    assert outside == []


def test_the_record_of_a_call_knows_no_telemetry() -> None:
    """The call room imports neither OpenTelemetry nor livekit nor a clock."""
    foreign = {"opentelemetry", "livekit", "time", "datetime"}
    for path in (ROOT / "call").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
            assert not foreign & {name.split(".")[0] for name in names}, path


def test_public_surface() -> None:
    """What the package root offers is this and nothing else."""
    assert package.__all__ == [
        "LiveKitAgentsInstrumentor",
        "__version__",
        "business",
        "instrument",
    ]
    importlib.import_module(f"{package.__name__}.business")
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_modules_stay_short() -> None:
    """A module past 400 lines is two things."""
    long = {str(p): n for p in _modules() if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


def test_every_file_names_its_licence() -> None:
    """Each module starts with the two licence lines."""
    for path in _modules():
        assert "SPDX-License-Identifier: Apache-2.0" in path.read_text().split("\n", 2)[1], path
