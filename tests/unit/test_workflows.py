# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the workflow files may do, and what they run; tests/system has actionlint read them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = {path.name: path.read_text() for path in (ROOT / ".github/workflows").iterdir()}


def jobs(workflow: str) -> dict[str, Any]:
    """Return the jobs of a workflow."""
    content: dict[str, Any] = yaml.safe_load(WORKFLOWS[workflow])
    return dict(content["jobs"])


def commands(job: dict[str, Any]) -> list[str]:
    """Return what a job runs in a shell."""
    return [step["run"] for step in job["steps"] if "run" in step]


def test_the_workflows_are_these() -> None:
    assert WORKFLOWS.keys() == {"ci.yml", "release.yml"}


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_actions_are_pinned_to_a_commit(workflow: str) -> None:
    """A tag can be moved to other code; a comment says which release the commit is."""
    used = [line.strip() for line in WORKFLOWS[workflow].splitlines() if "uses:" in line]
    pinned = re.compile(r"(- )?uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert used
    assert [line for line in used if not pinned.fullmatch(line)] == []


def test_an_action_is_pinned_to_one_commit_everywhere() -> None:
    """Whoever moves it forward does so in both files."""
    pins = set(re.findall(r"uses: (\S+)@(\S+ # \S+)", "".join(WORKFLOWS.values())))
    assert len({action for action, _ in pins}) == len(pins)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_every_job_ends(workflow: str) -> None:
    """Without a timeout, one that hangs is paid for six hours."""
    assert [name for name, job in jobs(workflow).items() if "timeout-minutes" not in job] == []


def test_permissions_are_the_least() -> None:
    """What runs the code of a branch, or of its dependencies, can write and sign nothing."""
    tops = {name: yaml.safe_load(text)["permissions"] for name, text in WORKFLOWS.items()}
    assert tops == {"ci.yml": {"contents": "read"}, "release.yml": {}}
    assert not any("permissions" in job for job in jobs("ci.yml").values())
    assert {name: job["permissions"] for name, job in jobs("release.yml").items()} == {
        "build": {"contents": "read"},
        "attest": {"id-token": "write", "attestations": "write"},
        "publish": {"id-token": "write"},
        "release": {"contents": "write"},
    }


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_no_secret_is_stored(workflow: str) -> None:
    """PyPI trusts the workflow; the token of GitHub's is made for the run."""
    assert "secrets." not in WORKFLOWS[workflow]


def test_each_python_that_is_promised_is_checked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    classifiers = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    check = jobs("ci.yml")["check"]
    assert check["strategy"]["matrix"]["python"] == classifiers
    assert commands(check)[-1] == "make check"


def test_ci_runs_what_a_person_would_once() -> None:
    ran = [command for job in jobs("ci.yml").values() for command in commands(job)]
    assert ran.count(".ci/run") == 1


def test_what_is_published_was_tried() -> None:
    """A job that publishes builds nothing: it takes what `make sbom`, and so `make dist`, left."""
    release = jobs("release.yml")
    assert commands(release["build"])[-1] == "make sbom"
    needs = {name: job.get("needs") for name, job in release.items()}
    assert needs == {"build": None, "attest": "build", "publish": "attest", "release": "publish"}
    assert commands(release["attest"]) == commands(release["publish"]) == []
