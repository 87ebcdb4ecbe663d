"""What contributors meet: issue forms that a site can show, hooks that run the project's own checks and fetch nothing."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")
KINDS = {"markdown", "input", "textarea", "dropdown", "checkboxes"}


def _read(path: pathlib.Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def _hooks() -> list[dict[str, Any]]:
    repositories = _read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert [one["repo"] for one in repositories] == ["local"], "a hook of another repository is downloaded"
    return [hook for one in repositories for hook in one["hooks"]]


def test_there_is_a_form_for_faults_and_one_for_wishes() -> None:
    assert {path.stem for path in FORMS} >= {"bug", "feature"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_is_one_that_a_site_can_show(path: pathlib.Path) -> None:
    form = _read(path)
    assert form["name"]
    assert form["description"]
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    assert {part["type"] for part in form["body"]} <= KINDS
    assert all(part["attributes"]["label"] for part in fields)
    identifiers = [part["id"] for part in fields]
    assert len(set(identifiers)) == len(identifiers)
    assert any(part.get("validations", {}).get("required") for part in fields)
    for part in fields:
        if part["type"] in ("dropdown", "checkboxes"):
            assert part["attributes"]["options"]


def test_hooks_run_what_is_installed_in_the_environment() -> None:
    for hook in _hooks():
        assert hook["language"] == "system", hook["id"]
        assert hook["entry"].startswith(".venv/bin/"), hook["id"]


def test_hooks_run_every_tool_of_make_check() -> None:
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe
    tools = set(re.findall(r"\$\(bin\)/(ruff format|ruff check|[\w-]+)", recipe[1]))
    hooked = {match[1] for hook in _hooks() if (match := re.match(r"\.venv/bin/(ruff \w+|[\w-]+)", hook["entry"]))}
    assert tools <= hooked
