"""The changelog: what is not released yet comes first, under four headings, a line a change."""

from __future__ import annotations

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
TEXT = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
HEADINGS = ("Added", "Changed", "Fixed", "Removed")
MAX_CHARACTERS = 200  # of a line about a change


def _unreleased() -> str:
    return TEXT.partition("## [Unreleased]\n")[2].partition("\n## [")[0]


def test_what_is_not_released_comes_first_and_versions_have_days() -> None:
    first, *versions = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert first == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", version) for version in versions)
    numbers = [[int(part) for part in re.findall(r"\d+", version)[:3]] for version in versions]
    assert numbers == sorted(numbers, reverse=True)


def test_changes_stand_below_four_headings_in_order() -> None:
    for section in TEXT.split("\n## [")[1:]:
        found = re.findall(r"^### (.+)$", section, re.MULTILINE)
        assert found == [heading for heading in HEADINGS if heading in found], section.splitlines()[0]


def test_a_change_is_one_line() -> None:
    lines = [line for line in _unreleased().splitlines() if line and not line.startswith("###")]
    assert all(line.startswith("- ") and line.endswith(".") and len(line) <= MAX_CHARACTERS for line in lines), lines
