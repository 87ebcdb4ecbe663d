"""Results name their runs, the tables of the documents are made from them, and every script is described."""

from __future__ import annotations

import ast
import pathlib
import re
from typing import Any

import pytest
from benchmarks import tables
from benchmarks.harness import results

ROOT = pathlib.Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
RESULTS = sorted((BENCHMARKS / "results").glob("*.json"))
PROGRAM = re.compile(r"ArgumentParser\(|arguments\.parser\(")
SCRIPTS = [
    path
    for folder in ("batch", "serving", "storage", "training")
    for path in sorted((BENCHMARKS / folder).glob("*.py"))
    if PROGRAM.search(path.read_text(encoding="utf-8"))
]
PACKAGES = sorted(path.parent for path in BENCHMARKS.rglob("__init__.py"))


@pytest.mark.parametrize("page", tables.PAGES)
def test_the_tables_of_a_page_are_made_from_the_results(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert tables.renewed(text) == text, "run: python -m benchmarks.tables"


def test_every_table_is_shown_once() -> None:
    shown = [found[1] for page in tables.PAGES for found in tables.TABLE.findall((ROOT / page).read_text("utf-8"))]
    assert sorted(shown) == sorted(tables.TABLES)


def test_a_table_that_differs_from_its_results_is_made_anew() -> None:
    text = "<!-- table network_speed: python -m benchmarks.tables -->\n| type |\n<!-- end -->\nafter"
    assert tables.renewed(text) == text.replace("| type |\n", tables.network_speed())


def test_every_script_is_in_the_table_of_the_readme() -> None:
    rows = re.findall(r"^\| `([\w/]+\.py)` \|", (BENCHMARKS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == sorted(rows)
    assert set(rows) == {path.relative_to(BENCHMARKS).as_posix() for path in SCRIPTS} | {"tables.py"}


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_a_packages_docstring_lists_its_modules(folder: pathlib.Path) -> None:
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    modules |= {path.parent.name for path in folder.glob("*/__init__.py")}
    assert set(re.findall(r"^(\w+)  ", docstring, re.MULTILINE)) == modules


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_result_names_its_run_and_its_page_has_its_figures(path: pathlib.Path) -> None:
    result = results.read(path.stem)
    assert (ROOT / result["benchmark"]).exists()
    assert result["machine"]
    assert result["versions"]
    assert result["conditions"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", result["date"])
    assert result.get("transcribed") or not result["quick"]
    written = _written(ROOT / result["source"])
    assert not {abs(number) for number in _numbers(result["figures"])} - written, (
        f"{result['source']} has other figures"
    )


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
