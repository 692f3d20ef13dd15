# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The command: what it prints, its exit status, and what it says about bad input."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import genai_prices
import pytest

from callspan.cli import main
from callspan.pricing.price_book import PriceBook
from callspan.pricing.rates import UNITS

PAGE = (Path(__file__).parents[2] / "docs" / "costs.md").read_text()
LLM = ["cost", "--component", "llm", "--provider", "openai", "--model"]
STT = ["cost", "--component", "stt", "--provider", "deepgram", "--model"]
TTS = ["cost", "--component", "tts", "--provider", "cartesia", "--model"]
ROW = f"[genai-prices {genai_prices.__version__} openai/gpt-4o-mini]"


def test_rows_and_total(capsys: pytest.CaptureFixture[str]) -> None:
    amounts = ["--input-tokens", "1200", "--cached-tokens", "200", "--output-tokens", "80"]
    assert main([*LLM, "gpt-4o-mini", *amounts]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"1000 input tokens x $0.15 per 1M input tokens = $0.00015  {ROW}",
        f"200 cached tokens x $0.075 per 1M cached tokens = $0.000015  {ROW}",
        f"80 output tokens x $0.60 per 1M output tokens = $0.000048  {ROW}",
        "total $0.000213",
    ]


def test_a_stream_and_a_recording(capsys: pytest.CaptureFixture[str]) -> None:
    source = "https://deepgram.com/pricing (2026-11)]"
    assert main([*STT, "nova-3", "--audio-seconds", "60"]) == 0
    assert main([*STT, "nova-3", "--audio-seconds", "60", "--batch"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"60 seconds x $0.0048 per minute = $0.0048  [deepgram/nova-3 streaming {source}",
        "total $0.0048",
        f"60 seconds x $0.0043 per minute = $0.0043  [deepgram/nova-3 batch {source}",
        "total $0.0043",
    ]


def test_realtime_text_is_what_is_not_said_to_be_audio(capsys: pytest.CaptureFixture[str]) -> None:
    command = [*LLM[:1], "--component", "realtime", *LLM[3:], "gpt-realtime"]
    amounts = ["--input-tokens", "1000", "--input-audio-tokens", "900", "--output-tokens", "10"]
    assert main([*command, *amounts]) == 0
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()] == [
        "100 input tokens x $4.00 per 1M input tokens = $0.0004",
        "900 input audio tokens x $32.00 per 1M input audio tokens = $0.0288",
        "10 output tokens x $16.00 per 1M output tokens = $0.00016",
        "total $0.02936",
    ]


def test_own_prices_and_flat_costs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    prices = tmp_path / "my.toml"
    prices.write_text('[flat]\nper_minute = 0.01\n[tts."cartesia/*"]\nper_character = 0.00003\n')
    own = ["--prices", str(prices), "--call-minutes", "2"]
    assert main([*TTS, "sonic-3", "--characters", "400", *own]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "400 characters x $30.00 per 1M characters = $0.012  [own cartesia/*]",
        "2 minutes x $0.01 per minute = $0.02  [own flat.per_minute]",
        "total $0.032",
    ]


def test_an_unpriced_model_asks_for_a_price(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TTS, "sonic-9", "--characters", "400"]) == 1
    assert capsys.readouterr().out == (
        "tts cartesia/sonic-9 is not priced. Add to your price file, with your own figures:\n\n"
        '[tts."cartesia/sonic-9"]\nper_character = 0.00003\n'
    )


def test_a_price_for_something_else(capsys: pytest.CaptureFixture[str]) -> None:
    command = [*TTS[:3], "--provider", "gemini", "--model", "gemini-2.5-flash-preview-tts"]
    assert main([*command, "--characters", "400"]) == 1
    assert capsys.readouterr().out == (
        "tts gemini/gemini-2.5-flash-preview-tts is not priced: its price is for something other "
        "than what was given.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([*LLM, "gpt-4o"], "say how much was used: use --input-tokens, --cached-tokens, "
         "--output-tokens, --cache-write-tokens, --reasoning-tokens"),
        ([*LLM, "gpt-4o", "--characters", "3"], "--characters is nothing that llm reports: use "
         "--input-tokens, "),
        ([*LLM, "gpt-4o", "--input-tokens", "-3"], "'-3' is not a number of 0 or more, such as "
         "1200"),
        ([*LLM, "gpt-4o", "--input-tokens", "nan"], "'nan' is not a number of 0 or more"),
        ([*LLM, "gpt-4o", "--input-tokens", "1k"], "'1k' is not a number of 0 or more"),
        ([*LLM, "gpt-4o", "--input-tokens", "100", "--cached-tokens", "200"],
         "--cached-tokens 200 is more than --input-tokens 100, which it is a part of"),
        ([*LLM, "gpt-4o", "--input-tokens", "1", "--prices", "none.toml"],
         "cannot read the price file: No such file or directory: 'none.toml'"),
        (["cost", "--component", "vad", "--provider", "a", "--model", "b"], "choice: 'vad'"),
        ([], "the following arguments are required: command"),
    ],
)  # fmt: skip
def test_bad_input(capsys: pytest.CaptureFixture[str], arguments: list[str], text: str) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert text in capsys.readouterr().err


def test_a_typo_in_the_price_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    prices = tmp_path / "my.toml"
    prices.write_text('[tts."cartesia/*"]\nper_charactor = 1\n')
    with pytest.raises(SystemExit) as exit_:
        main([*TTS, "sonic-3", "--characters", "4", "--prices", str(prices)])
    assert exit_.value.code == 2
    said = (
        "my.toml: tts.\"cartesia/*\": 'per_charactor' is not a price; did you mean 'per_character'?"
    )
    assert said in capsys.readouterr().err


def test_as_a_module() -> None:
    """Where the script is not on the path; its exit status is the command's."""
    name = "callspan.cli"
    command = [sys.executable, "-m", name, *TTS, "sonic-9", "--characters", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert '[tts."cartesia/sonic-9"]' in done.stdout


def test_the_page_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    block = re.search(r"```console\n\$ (.*?)\n(.*?)```", PAGE, re.DOTALL)
    assert block
    name, *arguments = shlex.split(block[1])
    assert name == "callspan"
    assert main(arguments) == 0
    assert capsys.readouterr().out == re.sub(
        r"genai-prices [\d.]+", f"genai-prices {genai_prices.__version__}", block[2]
    )


def test_the_pages_price_file_is_one() -> None:
    block = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert block
    priced = PriceBook(tomllib.loads(block[1])).flat(60)
    assert priced.dollars == pytest.approx(0.002 + 0.0085)


def test_the_page_names_prices_that_there_are() -> None:
    known = {key for units in UNITS.values() for key in units} | {"per_call"}
    named = set(re.findall(r"`(per_\w+)`", PAGE))
    assert named
    assert named <= known
