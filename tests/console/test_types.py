"""The console's types, which JSDoc says and TypeScript checks, and its vendored files, which npm makes again."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import pytest
from tests.support.clients import console_tools

from boxwright.console.files import FOLDER

FLAGS = (
    "--noEmit", "--allowJs", "--checkJs", "--strict", "--target", "es2022", "--module", "es2022",
    "--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable", "--pretty", "false",
)  # fmt: skip


def test_the_types_of_every_module_fit() -> None:
    compiler = console_tools.MODULES / "typescript" / "bin" / "tsc"
    if not compiler.exists():
        pytest.skip("TypeScript is not installed: `make test` installs it where there is npm")
    modules = [str(path.relative_to(FOLDER)) for path in sorted(FOLDER.rglob("*.js")) if path.parent.name != "vendor"]
    ran = subprocess.run(["node", compiler, *FLAGS, *modules], cwd=FOLDER, capture_output=True, text=True)
    assert "error TS" in ran.stdout or ran.returncode == 0, ran.stderr
    found = [line for line in ran.stdout.splitlines() if not line.startswith((" ", "vendor/"))]  # " ": goes on
    assert not found, "\n".join(found)


@pytest.mark.full
def test_the_vendored_files_are_what_npm_makes(tmp_path: pathlib.Path) -> None:
    if shutil.which("npm") is None or not (console_tools.MODULES / "typescript").exists():
        pytest.skip("npm is not here, or has no registry")
    subprocess.run(
        ["node", console_tools.ROOT / "tools" / "vendor.mjs", f"{tmp_path}{os.sep}"], check=True, timeout=300
    )
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in (FOLDER / "vendor").iterdir()}
