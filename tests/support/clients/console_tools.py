"""Where `make test` puts what judges the console: axe-core and TypeScript, at the versions that the Makefile names."""

from __future__ import annotations

import os
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[3]


def _version(name: str) -> str:
    found = re.search(rf"^{name}_version := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found is not None, name
    return found[1]


_FOLDER = f"axe-core-{_version('axe')}-typescript-{_version('typescript')}"
_CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
MODULES = _CACHE / "boxwright" / _FOLDER / "node_modules"
