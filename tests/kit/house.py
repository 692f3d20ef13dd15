# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The law of the package: who may import whom, where names are spelt, whose names are private.

And the law of its tests: what they may import of each other, and of the example.

Reads the source of a package, so that a test can show on a planted fault that it would be seen.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

_GROUND: Final = {"semconv", "version", "package", "environment_variables"}
"""What anything may import: names, and facts of the package."""

MAY_IMPORT: Final[Mapping[str, Collection[str]]] = {
    "cli": {
        *{
            "instrumentor",
            "call",
            "config",
            "diagnostics",
            "livekit",
            "metrics.worker",
            "pricing",
            "providers",
        },
    },
    "testing": {
        *{"instrumentor", "business", "call", "config", "export", "metrics.recorder", "tracing"},
    },
    "__init__": {"instrumentor", "business", "diagnostics"},
    "instrumentor": {"runtime", "config", "diagnostics"},
    "runtime": {
        *{"business", "call", "config", "diagnostics", "export", "livekit", "pricing"},
        *{"providers", "tracing", "metrics.job", "metrics.wire", "metrics.worker"},
    },
    "business": {"tracing", "call", "diagnostics"},
    "providers": {"tracing", "export", "config", "diagnostics"},
    "tracing": {"config", "call", "diagnostics"},
    "config": {"pricing", "call", "diagnostics"},
    "pricing": {"call", "diagnostics"},
    "livekit": {"call", "diagnostics"},
    "metrics.job": {"metrics.recorder", "metrics.wire", "call", "diagnostics"},
    "metrics.worker": {"metrics.wire", "diagnostics"},
    "metrics.recorder": {"call"},
    "metrics.wire": {"diagnostics"},
    "metrics": set(),
    "export": {"diagnostics"},
    "waterfall": {"call", "diagnostics"},
    "call": {"diagnostics"},
    "diagnostics": set(),
    "semconv": set(),
    "version": set(),
    "package": set(),
    "environment_variables": set(),
}
"""A room, or a module of the root, and what it may import beside itself and the ground.

No room is here twice, and read from the top an arrow only ever points down: no circles."""


@cache
def _tree(text: str) -> ast.Module:
    return ast.parse(text)


def modules(root: Path) -> list[Path]:
    """Return the modules of a package, in order."""
    return sorted(root.rglob("*.py"))


def wrong_imports(root: Path) -> list[str]:
    """Return what is imported against the law, in the package that lies in a folder."""
    wrong = []
    for path in modules(root):
        here = _room(path.relative_to(root).with_suffix("").parts)
        allowed = {here, *_GROUND, *MAY_IMPORT.get(here, ())}
        wrong += [
            f"{path.relative_to(root)} imports {'.'.join(name)}"
            for name in _imports(path, root)
            if here not in MAY_IMPORT or _room(name) not in allowed
        ]
    return wrong


def _room(name: tuple[str, ...]) -> str:
    if name[0] == "metrics":
        return ".".join(name[:2]) if len(name) > 1 and name[1] != "__init__" else "metrics"
    return name[0]


def _imports(path: Path, root: Path) -> Iterator[tuple[str, ...]]:
    """Yield the modules of the package that a module imports, by their parts below its root."""
    package = path.relative_to(root).parts[:-1]
    for node in ast.walk(_tree(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first, *rest = alias.name.split(".")
                if first == root.name:
                    yield tuple(rest) or ("__init__",)
        if not isinstance(node, ast.ImportFrom):
            continue
        stem = tuple((node.module or "").split(".")) if node.module else ()
        if node.level:
            stem = package[: len(package) - node.level + 1] + stem
        elif stem[:1] == (root.name,):
            stem = stem[1:]
        else:
            continue
        for alias in node.names:
            full = (*stem, alias.name)
            is_module = root.joinpath(*full).with_suffix(".py").exists()
            yield full if is_module or root.joinpath(*full).is_dir() else stem or ("__init__",)


def foreign_imports(path: Path) -> set[str]:
    """Return the first part of everything that a module imports from outside of its package."""
    names = set()
    for node in ast.walk(_tree(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").split(".")[0])
    return names


_SPELT: Final = re.compile(
    r"(agent|lk|gen_ai|session|langfuse|user|tenant|service|telemetry|deployment|exception)"
    r"\.[a-z0-9_]+(\.[a-z0-9_]+)*\.?"
)
"""What a name of a span's attribute, or of a metric, looks like."""
_HOSTS: Final = re.compile(r".*\.(com|io|dev|cloud)")


def names_outside_semconv(root: Path, known: Collection[str]) -> list[str]:
    """Return names of signals that are spelt in a module outside of ``semconv/``.

    Args:
        root: The package's folder.
        known: Names that ``semconv`` has; those without a dot are common words, and left alone.
    """
    dotted = {name for name in known if "." in name}
    misplaced = []
    for path in modules(root):
        if path.relative_to(root).parts[0] != "semconv":
            tree = _tree(path.read_text())
            prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            misplaced += [
                f"{path.relative_to(root)}:{node.lineno} spells {node.value!r}"
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in prose
                and (node.value in dotted or _SPELT.fullmatch(node.value))
                and not _HOSTS.fullmatch(node.value)
            ]
    return misplaced


MARK: Final = "_callspan"
"""What we write on objects of others begins like that."""


def private_names(root: Path) -> dict[str, list[str]]:
    """Return private names of other people's that a package uses, and where.

    Whatever begins with one underscore, and is neither defined in the package nor set on ``self``.
    """
    trees = {path: _tree(path.read_text()) for path in modules(root)}
    own = {name for tree in trees.values() for name in _defined(tree)}
    used: dict[str, list[str]] = {}
    for path, tree in trees.items():
        for name, line in _privates(tree):
            if name not in own and not name.startswith(MARK):
                used.setdefault(name, []).append(f"{path.relative_to(root)}:{line}")
    return used


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_own(node):
            yield node.attr


def _is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def _privates(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        name = None
        if isinstance(node, ast.Attribute) and not _is_own(node):
            name = node.attr
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("getattr", "hasattr", "setattr")
            and isinstance(node.args[1], ast.Constant)
        ):
            name = node.args[1].value
        if isinstance(name, str) and re.match(r"_[^_]", name):
            yield name, node.lineno


FROM_EXAMPLE: Final = {
    *(f"offline.{name}" for name in ("callers", "dialogue", "llm_server", "received")),
    *(f"offline.{name}" for name in ("receiver", "span_log", "stt", "telephone_line", "tts")),
    "kpis",
}
"""What tests may import of examples/dental_receptionist: what its own demo runs."""
_SUITES_OF_OTHERS: Final[Mapping[str, Collection[str]]] = {"integration": {"faults"}}
"""Which suite a suite may import beside itself: a sample of the program is in ``make test``."""


def wrong_test_imports(tests: Path, example: Path) -> list[str]:
    """Return what tests import against the law: test modules, other suites, the example's inside.

    Args:
        tests: The folder of the tests.
        example: The folder of the example whose stand-ins they may use.
    """
    suites, own = _names_in(tests), _names_in(example)
    wrong = []
    for path in modules(tests):
        suite = path.relative_to(tests).parts[0]
        allowed = {suite, "kit", *_SUITES_OF_OTHERS.get(suite, ())}
        wrong += [
            f"{path.relative_to(tests)} imports {'.'.join(name)}"
            for name in _absolute_imports(path)
            if any(part.startswith("test_") for part in name[:2])
            or (name[0] in suites and name[0] not in allowed)
            or (name[0] in own and not {name[0], ".".join(name[:2])} & FROM_EXAMPLE)
        ]
    return wrong


def wrong_example_imports(examples: Path, tests: Path) -> list[str]:
    """Return what examples import from tests."""
    suites = _names_in(tests)
    return [
        f"{path.relative_to(examples)} imports {'.'.join(name)}"
        for path in modules(examples)
        for name in _absolute_imports(path)
        if name[0] in suites
    ]


def unreached(example: Path, entries: Collection[str]) -> list[str]:
    """Return the modules of an example that none of its entry points comes to import."""
    reached, ahead = set[Path](), [example / entry for entry in entries]
    while ahead:
        path = ahead.pop()
        if path.exists() and path not in reached:
            reached.add(path)
            for name in _absolute_imports(path):
                for end in range(1, len(name) + 1):
                    there = example.joinpath(*name[:end])
                    ahead += [there.with_suffix(".py"), there / "__init__.py"]
    return [str(path.relative_to(example)) for path in modules(example) if path not in reached]


def _names_in(folder: Path) -> set[str]:
    """Return what can be imported where a folder is on the search path."""
    return {path.relative_to(folder).with_suffix("").parts[0] for path in modules(folder)}


def _absolute_imports(path: Path) -> Iterator[tuple[str, ...]]:
    """Yield what a module imports by its full name, what is taken out of a module included."""
    for node in ast.walk(_tree(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield (*node.module.split("."), alias.name)
