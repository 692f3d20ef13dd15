# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Writes the tables of the pages that are made from the code: ``make docs``.

Each table stands between ``<!-- generated: its name -->`` and ``<!-- end -->``. The pages are
committed, so that nobody needs this to read them; a test sees to it that both agree.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Final

from callspan import semconv
from callspan.config import env
from callspan.livekit import metric_fields
from callspan.livekit.metric_fields import Home
from callspan.metrics.worker.naming import family_name
from callspan.semconv import Metric, spans, usage
from kit import house

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)
PACKAGE: Final = ROOT / "src" / "callspan"
ATTRIBUTES: Final = (
    ("every span of a call", ("SESSION_ID", "AGENT_NAME", "CALL_KIND")),
    ("every span, from when it is known", ("USER_ID", "TENANT_ID", "LABEL_PREFIX")),
    ("every span of a turn", ("TURN_INDEX",)),
    (
        "`stt_request`",
        (
            "STT_AUDIO_DURATION",
            "STT_TRANSCRIPTION_DELAY",
            "STT_TRANSCRIPT_LENGTH",
            "STT_FINAL_COUNT",
        ),
    ),
    ("event `interruption` on `agent_turn`", ("INTERRUPTION_KIND", "PLAYOUT_POSITION")),
    ("requests to models and services, the root", ("SPAN_COST",)),
    ("`llm_request`, `tts_request`, `realtime_inference`", ("UNPRICED",)),
    ("`agent_session`, the root", ("DURATION", "TURNS", "INTERRUPTIONS", "CLOSE_REASON")),
    ("`agent_session`, the root", ("USAGE_PREFIX",)),
    ("the root", ("OUTCOME", "OUTCOME_REASON", "CONVERSIONS", "COST_PREFIX")),
    (
        "the root of a telephone call",
        ("CALL_DIRECTION", "CALL_TRUNK_ID", "CALL_SIP_ID", "CALL_DTMF_COUNT"),
    ),
)
"""Where each attribute is written; what it means is in its docstring in ``semconv``."""
_MARKED: Final = re.compile(r"(<!-- generated: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def scraped_name(metric: Metric) -> str:
    """Return the name of a metric on a scrape."""
    name = family_name(metric.name, metric.unit, metric.kind)
    return f"{name}_total" if metric.kind == "counter" else name


def metrics_table() -> Iterator[str]:
    """Our own metrics, from ``semconv.METRICS``."""
    yield "| on a scrape | instrument | kind, unit | labels | what it says |"
    yield "|---|---|---|---|---|"
    for metric in semconv.METRICS:
        kind = f"{metric.kind}, `{metric.unit}`" if metric.unit else metric.kind
        if metric.bounds:
            kind += ": " + " ".join(f"{bound:g}" for bound in metric.bounds)
        labels = ", ".join(f"`{label}`" for label in metric.labels) + " +" * metric.of_call
        yield (
            f"| `{scraped_name(metric)}` | `{metric.name}` | {kind} | {labels} "
            f"| {metric.description} |"
        )


def fields_table() -> Iterator[str]:
    """Where each field of LiveKit's metrics goes, from ``livekit.metric_fields``."""
    yield "| field | where it goes |"
    yield "|---|---|"
    for name, fields in metric_fields.FIELD_MAPPINGS.items():
        component = metric_fields._COMPONENTS[name]
        for path, home in fields.items():
            yield f"| `{name}.{path}` | {'; '.join(_places(home, component))} |"


def _places(home: Home, component: str) -> Iterator[str]:
    """Return where a field of a component's metrics goes, in words."""
    if home.usage is not None:
        less = "less, in " if home.sign < 0 else ""
        yield f"{less}`{semconv.USAGE_PREFIX}{component}.{home.usage}`"
    if home.metric is not None:
        # a metric of many stages or parts: the field is one of them
        part = next(
            (key for key in (semconv.L_STAGE, semconv.L_PART) if key in home.metric.labels), None
        )
        chosen = "" if part is None else f'{{{part}="{home.label}"}}'
        yield f"`{scraped_name(home.metric)}{chosen}`"
    elif home.label is not None:
        yield f"label `{home.label}`"
    if home.span is not None:
        span, attribute = home.span
        yield f"`{attribute}` on span `{span}`"
    if home.time_of is not None:
        spelled = home.time_of if " " in home.time_of else f"`{home.time_of}`"
        yield f"the time of {spelled}"


def variables_table() -> Iterator[str]:
    """Our own variables, from ``config.env``."""
    yield "| variable | meaning | default | since |"
    yield "|---|---|---|---|"
    for variable in env.VARIABLES:
        default = f"`{variable.default}`" if variable.default else "none"
        default = variable.default_in_words or default
        meaning = variable.meaning.replace("|", "\\|")
        yield f"| `{variable.name}` | {meaning} | {default} | {variable.since} |"


def attributes_table() -> Iterator[str]:
    """Our own attributes of spans, from ``semconv``."""
    described = _docstrings(spans) | _docstrings(usage)
    yield "| attribute | on | what it says |"
    yield "|---|---|---|"
    for where, constants in ATTRIBUTES:
        for constant in constants:
            name = getattr(semconv, constant)
            shown = f"{name}…" if name.endswith(".") else name
            yield f"| `{shown}` | {where} | {described[constant]} |"


def rooms_table() -> Iterator[str]:
    """The rooms of the package from the ground up, from the law of imports and their docstrings."""
    yield "| room | its reason | may import |"
    yield "|---|---|---|"
    shown = {}
    for room in reversed(house.MAY_IMPORT):
        folder = PACKAGE / room.replace(".", "/")
        module = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
        reason = inspect.cleandoc(ast.get_docstring(ast.parse(module.read_text())) or "")
        shown[room] = f"`{module.relative_to(PACKAGE)}`".replace("/__init__.py", "/")
        below = ", ".join(shown[other] for other in shown if other in house.MAY_IMPORT[room])
        yield f"| {shown[room]} | {reason.splitlines()[0].replace('``', '`')} | {below} |"


def _docstrings(module: ModuleType) -> dict[str, str]:
    """Return what stands below each constant of a module, as one line of a table."""
    body = ast.parse(inspect.getsource(module)).body
    described = {}
    for constant, below in pairwise(body):
        match constant, below:
            case (
                ast.AnnAssign(target=ast.Name(name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                line = " ".join(text.replace("``", "`").split())
                described[name] = line.replace("|", "\\|")
    return described


TABLES: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    "metrics": metrics_table,
    "fields": fields_table,
    "variables": variables_table,
    "attributes": attributes_table,
    "rooms": rooms_table,
}


def generated(text: str) -> str:
    """Return a page with its tables as the code has them.

    Raises:
        KeyError: If a table has a name that is not known.
    """

    def table(match: re.Match[str]) -> str:
        rows = "".join(f"{row}\n" for row in TABLES[match[2]]())
        return f"{match[1]}{rows}{match[3]}"

    return _MARKED.sub(table, text)


def main() -> int:
    """Write the tables into the pages."""
    for page in PAGES:
        page.write_text(generated(page.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
