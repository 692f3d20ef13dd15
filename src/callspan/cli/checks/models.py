# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The models that agent.py uses, as far as its source says: none is made to find out."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ... import semconv

_CLASSES: Final = {
    "LLM": semconv.COMPONENT_LLM,
    "STT": semconv.COMPONENT_STT,
    "TTS": semconv.COMPONENT_TTS,
    "RealtimeModel": semconv.COMPONENT_REALTIME,
}
_BY_NAME: Final = {
    "llm": semconv.COMPONENT_LLM,
    "stt": semconv.COMPONENT_STT,
    "tts": semconv.COMPONENT_TTS,
}
"""Arguments of sessions and agents that take the name of a model of LiveKit's inference."""

_INFERENCE: Final = "livekit"
"""The provider that LiveKit names for those."""


def in_source(path: Path, namespace: Mapping[str, Any]) -> Iterator[str]:
    """Return the models that the source names, each once, as ``component:provider/model``.

    Args:
        path: Of agent.py.
        namespace: Its names once it is imported; default models are read from the plugins' own
            signatures.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    models: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            models.update(dict.fromkeys(_by_name(node)))
            models.update(dict.fromkeys(_by_class(node, namespace)))
    yield from models


def _by_name(call: ast.Call) -> Iterator[str]:
    for keyword in call.keywords:
        component = _BY_NAME.get(keyword.arg or "")
        name = _text(keyword.value)
        if component and "/" in name:
            # a voice or a language stands behind a colon
            yield f"{component}:{_INFERENCE}/{name.partition(':')[0]}"


def _by_class(call: ast.Call, namespace: Mapping[str, Any]) -> Iterator[str]:
    made = _resolved(call.func, namespace)
    component = _CLASSES.get(getattr(made, "__name__", ""))
    provider = _provider(call, str(getattr(made, "__module__", "")))
    if component is None or not provider:
        return
    given = next((one.value for one in call.keywords if one.arg == "model"), None)
    model = _default_model(made) if given is None else _text(given)
    if provider == _INFERENCE:
        model = model.partition(":")[0]
    if model:
        yield f"{component}:{provider}/{model}"


def _resolved(called: ast.expr, namespace: Mapping[str, Any]) -> Any:
    """Return what a dotted name stands for, without calling anything."""
    if isinstance(called, ast.Name):
        return namespace.get(called.id)
    if isinstance(called, ast.Attribute):
        return getattr(_resolved(called.value, namespace), called.attr, None)
    return None


def _provider(call: ast.Call, module: str) -> str:
    for keyword in call.keywords:
        if keyword.arg == "base_url":
            return urlsplit(_text(keyword.value)).netloc
    if module.startswith("livekit.agents.inference"):
        return _INFERENCE
    names = module.split(".")
    return names[2] if names[:2] == ["livekit", "plugins"] and len(names) > 2 else ""


def _default_model(made: Any) -> str:
    try:
        parameter = inspect.signature(made).parameters.get("model")
    except (TypeError, ValueError):
        return ""
    return "" if parameter is None or not isinstance(parameter.default, str) else parameter.default


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
