"""Every number of the README is a figure of benchmarks/results, counted here, or no measurement at all."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import pytest
from tests.support.clients import cases

ROOT = pathlib.Path(__file__).parents[2]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
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

# What the performance table shows: the name of the figures, and what stands before them.
ROWS = {
    "limit": "the machine's limit: decoding, inference, post-processing",
    "ours": "**Boxwright**, from the call to `done`",
    "ray_working": "Ray Data, without its start",
    "naive": "Pillow and ONNX Runtime, the same network",
    "naive_lite0": "Pillow and ONNX Runtime, EfficientNet-Lite0",
    "torch_lite0": "Pillow and PyTorch, EfficientNet-Lite0",
}
KINDS = ("vga", "1080p", "mix")
TABLE_START, TABLE_END = "<!-- made from benchmarks/results/batch.json -->\n", "<!-- end -->"


def _result(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return found


def _figure(path: str) -> float:
    """The figure behind a path such as `batch ours mix`; a number in it is a place in a list."""
    name, *steps = path.split()
    value: Any = _result(name)["figures"]
    for step in steps:
        value = value[int(step) if isinstance(value, list) else step]
    return float(value)


def _table() -> str:
    figures, result = _result("batch")["figures"], _result("batch")
    lines = ["| | VGA | 1080p | mix |", "|---|---|---|---|"]
    for name, words in ROWS.items():
        cells = (f"**{figures[name][kind]}**" if name == "ours" else str(figures[name][kind]) for kind in KINDS)
        lines.append(f"| {words} | {' | '.join(cells)} |")
    machine, version = result["machine"], result["versions"]["boxwright"]
    return "\n".join([*lines, "", f"Version {version}, {result['date']}; {machine}; {result['conditions']}.", ""])


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


def test_the_performance_table_is_made_from_the_results() -> None:
    shown = README.partition(TABLE_START)[2].partition(TABLE_END)[0]
    assert shown == _table(), "the table should read:\n" + _table()


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_result_names_its_run_and_its_page_has_its_figures(path: pathlib.Path) -> None:
    result = _result(path.stem)
    assert (ROOT / result["benchmark"]).exists()
    assert result["machine"]
    assert result["versions"]
    assert result["conditions"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", result["date"])
    written = _written(ROOT / result["source"])
    assert not set(_numbers(result["figures"])) - written, f"{result['source']} has other figures"


def _written(page: pathlib.Path) -> set[float]:
    """The numbers of a page and of the pages that it links to."""
    text = page.read_text(encoding="utf-8")
    linked = [page.parent / target for target in re.findall(r"\]\(([^)#]+\.md)", text) if "://" not in target]
    texts = [text, *(path.read_text(encoding="utf-8") for path in linked)]
    plain = (re.sub(r"(?<=\d),(?=\d{3})", "", one) for one in texts)
    return {float(number) for one in plain for number in re.findall(r"\d+(?:\.\d+)?", one)}


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict | list):
        return [number for part in (value.values() if isinstance(value, dict) else value) for number in _numbers(part)]
    return [float(value)] if isinstance(value, int | float) else []


def test_the_two_commands_stand_there_as_they_are_printed() -> None:
    block = """```sh
make demo    # draws a small data set, trains, predicts, and writes demo-run/index.html with the boxes on the images
make test    # runs the test suite, on every core
```"""
    assert block in README


def test_the_readme_is_short_and_its_picture_small() -> None:
    assert len(README.splitlines()) <= MAX_LINES
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert 0 < (ROOT / picture).stat().st_size < MAX_PICTURE_BYTES
