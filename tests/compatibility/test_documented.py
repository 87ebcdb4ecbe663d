"""What docs/compatibility.md names as proof is there, and every method has its line."""

from __future__ import annotations

import pathlib
import re

from tests.support.clients import cases

from boxwright.surface import methods

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")


def test_every_proof_exists() -> None:
    files = {path.stem for path in cases.FOLDER.glob("*.json")}
    known = {case.label for case in cases.read_cases()}
    for path in (ROOT / "tests").rglob("test_*.py"):
        known |= set(re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    named = re.findall(r"`(test_\w+|\w+/\w+)`", PAGE)
    assert len(named) > 100
    assert not [
        name for name in named if (name.startswith("test_") or name.split("/")[0] in files) and name not in known
    ]


def test_every_method_has_its_line() -> None:
    table = PAGE.partition("## Methods")[2].partition("## Fields")[0]
    first_column = " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("|"))
    assert not {row.rpc for row in methods.TABLE} - set(re.findall(r"\w+", first_column))
