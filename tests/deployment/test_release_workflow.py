""".github/workflows/release.yml cannot run here, so this reads it: files, recipes and options that it names exist."""

from __future__ import annotations

import pathlib
import re
import subprocess
from typing import Any

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
# `on` is the truth value in YAML 1.1, which this parser speaks
WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]]
SCRIPTS = [step["run"] for step in STEPS if "run" in step]


def test_a_step_runs_a_script_or_an_action_of_a_named_version() -> None:
    for step in STEPS:
        assert ("run" in step) != ("uses" in step)
        assert "uses" not in step or re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_shell(script: str) -> None:
    done = subprocess.run(["/bin/bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_recipe_exists() -> None:
    recipes = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {name for script in SCRIPTS for name in re.findall(r"\bmake ([a-z]+)", script)}
    assert named == {"check", "docs", "test"} and named <= recipes


def test_every_file_exists() -> None:
    pattern = re.compile(r"(?<![\w/$.])((?:deploy|src)/[\w./-]+|constraints\.txt|CHANGELOG\.md)")
    named = {name.rstrip(".") for script in SCRIPTS for name in pattern.findall(script)}
    assert {"deploy/build", "deploy/helm/boxwright", "constraints.txt"} <= named
    assert all((ROOT / name).exists() for name in named)


def test_the_build_is_called_with_what_it_takes() -> None:
    script = (ROOT / "deploy" / "build").read_text(encoding="utf-8")
    (call,) = [one for one in SCRIPTS if "deploy/build" in one]
    options = re.findall(r"--[a-z]+(?= )", call.split("deploy/build")[1])
    assert options == ["--base", "--tag", "--sbom", "--check"]
    assert all(f"        {option})" in script for option in options)


def test_only_who_publishes_may_write() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert JOBS["test"].get("permissions") is None
    assert JOBS["publish"]["permissions"]["id-token"] == "write"
    assert JOBS["publish"]["needs"] == "test"


def test_the_base_is_that_of_the_containerfile() -> None:
    containerfile = (ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8")
    assert f"ARG BASE={WORKFLOW['env']['BASE']}\n" in containerfile


def test_what_is_published_is_signed() -> None:
    text = "\n".join(SCRIPTS)
    assert {"cosign sign ", "cosign attest ", "cosign sign-blob "} <= set(re.findall(r"cosign [a-z-]+ ", text))
