# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The doctor's command: its table, its arguments, what it prints, and what it never shows."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from callspan.cli import doctor, main
from callspan.cli.checks.agent_inspection import Worker
from callspan.cli.checks.verdict import (
    Setup,
    Verdict,
    ok,
    problem,
    warning,
    without_secrets,
)
from callspan.config import settings

PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
NOTHING = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}


def setup_of(environ: dict[str, str] | None = None) -> Setup:
    """A setup with these variables and no others."""
    environ = environ or {}
    return Setup(environ=environ, settings=settings.resolve(environ))


def use(monkeypatch: pytest.MonkeyPatch, *checks: object) -> None:
    """Have the doctor run these instead of its own."""
    table = tuple((f"check {number}", check) for number, check in enumerate(checks))
    monkeypatch.setattr(doctor, "CHECKS", table)


# --- the table ---------------------------------------------------------------------------------


def test_a_check_that_fails_is_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it said before stands, what comes after it runs, and no traceback is shown."""

    def half(_: Setup) -> Iterator[Verdict]:
        yield ok("so far")
        raise RuntimeError("of the check, with token-of-this-test")

    use(monkeypatch, half, lambda _: [warning("after it")])
    results = list(doctor.verdicts(setup_of({"A_TOKEN": "token-of-this-test"})))
    assert results == [
        ("check 0", ok("so far")),
        (
            "check 0",
            problem(
                "this check failed itself (RuntimeError: of the check, with …)",
                "report it, with the versions above",
            ),
        ),
        ("check 1", warning("after it")),
    ]


def test_every_check_says_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line of the table is silent, whatever is switched off."""
    monkeypatch.setattr("psutil.net_connections", lambda kind: [])
    said = {name for name, _ in doctor.verdicts(setup_of(NOTHING))}
    assert said == {name for name, _ in doctor.CHECKS}


@pytest.mark.parametrize(
    ("verdicts", "status", "counts"),
    [
        ([ok("a"), ok("b")], 0, "problems: 0, warnings: 0, ok: 2"),
        ([ok("a"), warning("b", "do c")], 0, "problems: 0, warnings: 1, ok: 1"),
        ([warning("b"), problem("c", "do d"), ok("a")], 1, "problems: 1, warnings: 1, ok: 1"),
    ],
)
def test_exit_status_is_that_of_the_worst(
    verdicts: list[Verdict],
    status: int,
    counts: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use(monkeypatch, lambda _: verdicts)
    assert main(["doctor"]) == status
    assert capsys.readouterr().out.splitlines()[-1] == counts


def test_what_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A verdict is a line, its remedy stands below, with as many lines as it needs."""
    use(monkeypatch, lambda _: [warning("not so", "write this:\nand that")])
    main(["doctor"])
    assert capsys.readouterr().out == (
        "warning  check 0: not so\n"
        "         -> write this:\n"
        "            and that\n"
        "\n"
        "problems: 0, warnings: 1, ok: 0\n"
    )


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    use(monkeypatch, lambda _: [ok("fine"), problem("not so", "do that")])
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "status": "problem",
        "verdicts": [
            {"check": "check 0", "status": "ok", "finding": "fine", "remedy": ""},
            {"check": "check 0", "status": "problem", "finding": "not so", "remedy": "do that"},
        ],
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no_such_file.py"], "no_such_file.py: no such file; give the path of agent.py"),
        (
            ["--model", "gpt-4o-mini"],
            "--model gpt-4o-mini: not component:provider/model, for example "
            "llm:openai/gpt-4o-mini; components are llm, realtime, stt, tts",
        ),
        (
            ["--timeout", "0"],
            "'0' is not a number of seconds above 0 and up to 60, such as 5",
        ),
    ],
)
def test_arguments_that_are_not_understood(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_agents_variables_become_this_processs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Exporters read the process's: what agent.py loaded from a file has to be there."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "before")
    worker = Worker("agent.py", content=True, environ={"OTEL_SERVICE_NAME": "of the agent"})
    monkeypatch.setattr(doctor, "import_worker", lambda path, answer_timeout_s: worker)
    setup = doctor.examine(tmp_path / "agent.py")
    assert setup.environ["OTEL_SERVICE_NAME"] == "of the agent"
    assert setup.settings.content is True
    assert "of the agent" not in repr(setup)


# --- credentials -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "said", "shown"),
    [
        ("LANGFUSE_SECRET_KEY", "sk-lf-1234", "the key sk-lf-1234 is bad", "the key … is bad"),
        ("MY_PASSWORD", "correct horse", "correct horse", "…"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "x-a=1,authorization=Bearer%20a-long-token",
            "Bearer a-long-token, a-long-token, Bearer%20a-long-token",
            "…, …, …",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            f"authorization=Basic%20{base64.b64encode(b'someuser:some-password').decode()}",
            f"{base64.b64encode(b'someuser:some-password').decode()} is someuser:some-password, "
            "password some-password",
            "… is …, password …",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "https://somebody:the-password@otlp.example.com",
            "cannot log in with the-password at otlp.example.com",
            "cannot log in with … at otlp.example.com",
        ),
        ("SOME_KEY", "short", "a short word stays", "a short word stays"),
    ],
)
def test_credentials_are_left_out(name: str, value: str, said: str, shown: str) -> None:
    """As they are set, as they are sent, and in their parts."""
    assert without_secrets(said, {name: value}) == shown


# --- its page ----------------------------------------------------------------------------------


def test_the_page_lists_the_checks() -> None:
    """Each line of the table is a row of the page, in the same order."""
    section = PAGE.partition("## What it looks at")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE)
    assert rows == [name for name, _ in doctor.CHECKS]


def test_the_page_shows_what_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verdict that the page shows is one that the doctor gives."""
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318/v1/traces",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_SERVICE_NAME": "dental-receptionist",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    use_traces = tuple(one for one in doctor.CHECKS if one[0] == "traces")
    monkeypatch.setattr(doctor, "CHECKS", use_traces)
    assert main(["doctor"]) == 1
    for line in capsys.readouterr().out.splitlines()[:2]:
        assert line in PAGE
