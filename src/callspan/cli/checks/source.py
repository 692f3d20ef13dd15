# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the source of agent.py says about things that its import does not do."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_SETUP_NAMES: Final = ("setup_fnc", "prewarm_fnc")
_INSTRUMENTOR: Final = "LiveKitAgentsInstrumentor"
_MAIN: Final = "if __name__ == '__main__'"


@dataclass(slots=True)
class _Part:
    """A stretch of code that runs at one time: the module, its guard, or one function."""

    calls: dict[str, list[int]] = field(default_factory=dict)
    instruments_at: list[int] = field(default_factory=list)
    sets_provider_at: list[int] = field(default_factory=list)
    passes_provider_at: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands that does not run when agent.py is imported.

    Attributes:
        line: In agent.py.
        under_main: Whether it runs only where agent.py is the program.
        in_setup: Whether it runs before the first call of each job process, in its set-up.
        within: The function, or the guard, that it stands in.
        passes_provider: Whether a ``tracer_provider`` is passed there.
    """

    line: int
    under_main: bool
    in_setup: bool
    within: str
    passes_provider: bool


@dataclass(frozen=True, slots=True)
class Source:
    """What stands in agent.py, mostly outside of what runs at its import.

    Attributes:
        instruments: Where ``instrument()`` is called.
        sets_provider: Where a TracerProvider is set.
        serves_at: The lines on which prometheus_client is told to listen, outside of the guard.
    """

    instruments: tuple[Place, ...] = ()
    sets_provider: tuple[Place, ...] = ()
    serves_at: tuple[int, ...] = ()


def read(path: Path, setup_functions: Iterable[str] = ()) -> Source:
    """Read agent.py; one that is no Python says nothing here, since its import says why.

    Args:
        path: Of agent.py.
        setup_functions: Names of those that its servers run in each job process.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return Source()
    parts, setups = _parts_of(tree)
    at_import = _reached({""}, parts)
    in_setup = _reached({*setups, *setup_functions}, parts) - at_import
    under_main = _reached({_MAIN}, parts) - at_import - in_setup

    def places(attribute: str) -> tuple[Place, ...]:
        return tuple(
            Place(
                line,
                under_main=name in under_main,
                in_setup=name in in_setup,
                within=name,
                passes_provider=line in part.passes_provider_at,
            )
            for name, part in parts.items()
            if name not in at_import
            for line in getattr(part, attribute)
        )

    serves_at = sorted(
        line
        for name, part in parts.items()
        if name not in under_main
        for line in part.calls.get("start_http_server", ())
    )
    return Source(places("instruments_at"), places("sets_provider_at"), tuple(serves_at))


def _parts_of(tree: ast.Module) -> tuple[dict[str, _Part], set[str]]:
    """Return the parts by name, the module's being empty, and the names of set-up functions."""
    aliases = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    parts = {"": _Part(), _MAIN: _Part()}
    setups: set[str] = set()
    for node, name in _nodes(tree, ""):
        part = parts.setdefault(name, _Part())
        if isinstance(node, ast.Call):
            called = _last_name(node.func)
            called = aliases.get(called, called)
            part.calls.setdefault(_last_name(node.func), []).append(node.lineno)
            if called == "set_tracer_provider":
                part.sets_provider_at.append(node.lineno)
            elif called == "instrument" and _is_ours(node.func, tree):
                part.instruments_at.append(node.lineno)
                if any(keyword.arg == "tracer_provider" for keyword in node.keywords):
                    part.passes_provider_at.append(node.lineno)
            setups |= {
                _last_name(keyword.value)
                for keyword in node.keywords
                if keyword.arg in _SETUP_NAMES
            }
        elif isinstance(node, ast.Assign) and _last_name(node.targets[0]) in _SETUP_NAMES:
            setups.add(_last_name(node.value))
    return parts, setups - {""}


def _nodes(node: ast.AST, name: str) -> Iterator[tuple[ast.AST, str]]:
    """Walk a tree, each node with the name of the part that it stands in."""
    for child in ast.iter_child_nodes(node):
        inside = name
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            # what a function holds is told by the outermost: the inner runs as it says
            inside = name if name not in ("", _MAIN) else child.name
        elif isinstance(child, ast.If) and not name and _is_guard(child.test):
            inside = _MAIN
        yield child, inside
        yield from _nodes(child, inside)


def _is_guard(test: ast.expr) -> bool:
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == "__name__"
    )


def _is_ours(called: ast.expr, tree: ast.Module) -> bool:
    """Tell whether a call of something named ``instrument`` is one of this package's."""
    if isinstance(called, ast.Attribute):
        text = ast.unparse(called.value)
        return _INSTRUMENTOR in text or "callspan" in text
    return any(
        isinstance(node, ast.ImportFrom) and node.module == "callspan" for node in ast.walk(tree)
    )


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _reached(starts: set[str], parts: dict[str, _Part]) -> set[str]:
    """Return the parts that run when some run, by the names that they call."""
    reached: set[str] = set()
    waiting = [name for name in starts if name in parts]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [called for called in parts[name].calls if called in parts]
    return reached
