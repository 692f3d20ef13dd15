# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The functions of the package that run in a process, and a way to make one of them raise.

A point is a function, named as Python names it: ``calls:Calls.take``,
``livekit.session:patch.<locals>.start``. The points of a process are found by recording which
functions are entered there; an armed one raises whenever it is entered, in every thread.
"""

from __future__ import annotations

import ast
import gc
import importlib
import inspect
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import callspan as package

_ROOT = Path(package.__file__).parent
_GUARD = "guard"
"""The one module without points: a guard that fails is guarded by nothing."""
_ENTRY = "instrumentor:job_main"
"""No point either: what a job process begins with, a guarded call and then LiveKit's own entry."""


class Recorder:
    """Notes every function of the package that is entered, from now on and in new threads."""

    def __init__(self) -> None:
        self._codes: set[CodeType] = set()
        threading.setprofile(self._note)
        sys.setprofile(self._note)

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            self._codes.add(frame.f_code)

    def stop(self) -> list[str]:
        """Stop, and return the points that were entered."""
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
        names = {name for code in list(self._codes) if (name := _name_of(code))}
        return sorted(names)


def _name_of(code: CodeType) -> str | None:
    """Return the point that a function's code stands for; None for anything else."""
    path = Path(code.co_filename)
    is_function = code.co_flags & inspect.CO_OPTIMIZED
    if not is_function or not path.is_relative_to(_ROOT):
        return None
    if code.co_name.startswith("<") and code.co_name != "<lambda>":
        return None  # a comprehension: part of its function
    module = ".".join(path.relative_to(_ROOT).with_suffix("").parts).removesuffix("__init__")
    module = module.rstrip(".") or "__init__"
    point = f"{module}:{code.co_qualname}"
    return None if module == _GUARD or point == _ENTRY else point


def exists(point: str) -> bool:
    """Tell whether the package has a function of that name."""
    return point in {_name_of(code) for code in _codes_in(_compiled(point, armed=False))}


def arm(point: str) -> None:
    """Have a function raise at each call, those that exist already and those still to be made.

    Raises:
        LookupError: If the package has no such function.
    """
    module = point.partition(":")[0]
    importlib.import_module(f"{package.__name__}.{module}".removesuffix(".__init__"))
    raising = {
        (code.co_qualname, code.co_firstlineno): code
        for code in _codes_in(_compiled(point, armed=True))
        if _name_of(code) == point
    }
    if not raising:
        raise LookupError(f"no such point: {point}")

    def replaced(code: CodeType) -> CodeType:
        if new := raising.get((code.co_qualname, code.co_firstlineno)):
            return new
        constants = tuple(replaced(c) if isinstance(c, CodeType) else c for c in code.co_consts)
        changed = any(a is not b for a, b in zip(constants, code.co_consts, strict=True))
        return code.replace(co_consts=constants) if changed else code

    path = str(_path_of(point))
    # livekit freezes what its forkserver has loaded: it would not be listed
    gc.unfreeze()
    for each in gc.get_objects():
        if type(each) is FunctionType and each.__code__.co_filename == path:
            each.__code__ = replaced(each.__code__)


def _path_of(point: str) -> Path:
    folder = _ROOT.joinpath(*point.partition(":")[0].split("."))
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def _compiled(point: str, *, armed: bool) -> CodeType:
    path = _path_of(point)
    tree = ast.parse(path.read_text() if path.exists() else "")
    if armed:
        tree = ast.fix_missing_locations(_Raising(point).visit(tree))
    return compile(tree, str(path), "exec", dont_inherit=True)


def _codes_in(code: CodeType) -> list[CodeType]:
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    return [*inner, *(code for each in inner for code in _codes_in(each))]


class _Raising(ast.NodeTransformer):
    """Makes every function of a module raise before it does anything else.

    The rest of its body stays, so that what it closes over and what kind of function it is does.
    """

    def __init__(self, point: str) -> None:
        self._error = f"RuntimeError('armed: {point}')"

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        self.generic_visit(node)
        # on a condition: what comes after a plain raise would not be compiled
        node.body[0:0] = ast.parse(f"if __name__: raise {self._error}").body
        return node

    visit_FunctionDef = _function  # noqa: N815
    visit_AsyncFunctionDef = _function  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self.generic_visit(node)
        raising = ast.parse(f"(_ for _ in ()).throw({self._error})", mode="eval").body
        node.body = ast.Tuple([raising, node.body], ast.Load())
        return node
