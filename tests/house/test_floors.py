"""Imports go down the floors, and the serving path stays light."""

from __future__ import annotations

import ast
import importlib.util
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
ROOMS = [
    init.parent.relative_to(ROOT / "src/boxwright")
    for room in ("adapters", "images", "inference", "batch", "detector")
    for init in sorted((ROOT / "src/boxwright" / room).rglob("__init__.py"))
]


def test_imports_keep_to_the_contracts_of_pyproject() -> None:
    command = [sys.executable, "-c", "from importlinter import cli; cli.lint_imports_command()", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# Training's library takes seconds to load; the telemetry packages would call home.
HEAVY_OR_TALKATIVE = ("torch", "onnx", "openvino_telemetry", "matplotlib", "pandas")


@pytest.mark.parametrize("module", ["boxwright.server", "boxwright.cli"])
def test_serving_loads_neither_torch_nor_telemetry(module: str) -> None:
    assert importlib.util.find_spec(module), f"{module} is not there"
    program = f"import sys, {module}\nprint([name for name in {HEAVY_OR_TALKATIVE!r} if sys.modules.get(name)])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_a_rooms_docstring_lists_its_modules_and_nothing_is_imported_from_there(room: pathlib.Path) -> None:
    folder = ROOT / "src/boxwright" / room
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    assert len(tree.body) == 1, "a room's __init__.py holds a docstring and nothing else"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    modules |= {path.parent.name for path in folder.glob("*/__init__.py")}
    assert set(re.findall(r"^ {4}(\w+)  ", ast.get_docstring(tree) or "", re.MULTILINE)) == modules
