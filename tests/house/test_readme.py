"""Every number of the README is a figure of benchmarks/results, counted here, or no measurement at all."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest
from benchmarks.harness import results
from tests.support.clients import cases

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAX_LINES = 120
MAX_PICTURE_BYTES = 300_000

NUMBER = r"\d[\d,]*(?:\.\d+)?"
MARKED = re.compile(rf"({NUMBER})(?: [^\s<]+)?<!-- ([^>]+?) -->")
COUNTED = {"cases": lambda: sum(1 for _ in cases.read_cases())}  # "more than …" is the least that it may be
# Numbers that measure nothing, each with its reason; dates, versions and ports are no measurements either.
PLAIN = {
    "0.1.0": "the version",
    "2024-03-31": "the day on which AutoML Vision ended",
    "8470": "the port of REST",
    "8471": "the port of gRPC",
    "3.11": "the version of Python",
    "0.5": "the overlap at which mAP is computed",
    "2.0": "the version of the licence",
    "72": "the images of the job that is timed",
}

TABLE_START, TABLE_END = "<!-- table short_throughput: python -m benchmarks.tables -->\n", "<!-- end -->"


def _figure(path: str) -> float:
    """The figure behind a path such as `batch ours mix`; a number in it is a place in a list."""
    name, *steps = path.split()
    value: Any = results.read(name)["figures"]
    for step in steps:
        value = value[int(step) if isinstance(value, list) else step]
    return float(value)


def _measured(text: str) -> list[tuple[str, str]]:
    return MARKED.findall(text)


def _unmarked(text: str) -> list[str]:
    """The numbers of a text that stand in no code, no address, no comment, and before none."""
    start, end = text.index(TABLE_START), text.index(TABLE_END)
    text = text[:start] + text[end:]
    for dropped in (r"```.*?```", MARKED.pattern, r"<!--.*?-->", r"`[^`]*`", r"\]\([^)]*\)"):
        text = re.sub(dropped, " ", text, flags=re.DOTALL)
    return re.findall(r"(?<![A-Za-z_\d])\d{4}-\d\d-\d\d|(?<![A-Za-z_\d])\d+(?:[.,]\d+)*", text)


@pytest.mark.parametrize(("shown", "path"), _measured(README), ids=lambda part: part.replace(" ", "."))
def test_a_number_is_its_figure(shown: str, path: str) -> None:
    kind, _, name = path.partition(" ")
    number = float(shown.replace(",", ""))
    if kind == "counted":
        assert f"more than {shown}<!-- {path} -->" in README
        assert COUNTED[name]() > number
    else:
        decimals = len(shown.partition(".")[2])
        assert round(_figure(path), decimals) == number


def test_no_number_stands_alone() -> None:
    assert len(_measured(README)) >= 6
    assert set(_unmarked(README)) <= set(PLAIN), "mark them with their figures, or say in PLAIN why they need none"


def test_a_number_without_its_figure_is_seen() -> None:
    text = f"at 17.5 images/s, `8080`, 9 %<!-- memory rows_growth_percent --> {TABLE_START} 12 {TABLE_END}"
    assert _unmarked(text) == ["17.5"]


def test_the_two_commands_stand_there_as_they_are_printed() -> None:
    block = """```sh
make demo    # draws a small data set, trains, predicts, and writes demo-run/index.html with the boxes on the images
make test    # runs the test suite, on every core
```"""
    assert block in README


def test_the_readme_is_short_and_its_pictures_small() -> None:
    assert len(README.splitlines()) <= MAX_LINES
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert len(pictures) == 4
    assert all(0 < (ROOT / picture).stat().st_size < MAX_PICTURE_BYTES for picture in pictures)
