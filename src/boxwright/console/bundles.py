"""Modules of the console put together: what is loaded together is sent as one file, which is smaller and asks for less.

A module becomes a function that returns what it exports, under its path:

    "parts/table.js": async ($) => { const { html } = await $("vendor/ui.js"); …; return { Table }; }

``$`` runs a module once and returns its exports. `FIRST` holds the modules that the first page needs, `LATER` those of pages
that are opened later, and a file for each language their sentences. The addresses of single modules still work, and give
the same exports.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping

FIRST = "app/main.js"
LATER = "app/later.js"
_VENDOR = "vendor/ui.js"
_IMPORT = re.compile(r'^import (?:\* as (\w+)|\{([^}]*)\}) from "(\.[^"]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:const|class|function|async function) (\w+))", re.MULTILINE)
_EXPORTED = re.compile(r"^export \{([^}]*)\};$", re.MULTILINE)
_DEFAULT = re.compile(r"^export default (?=\{)", re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)
_FETCHED = re.compile(r'\bimport\("(\.[^"]+)"\)')
_SPOKEN = re.compile(r"\bimport\(`\.\./(text/.+)`\)")

RUNTIME = """import * as vendor from "../vendor/ui.js";
const modules = { "vendor/ui.js": async () => vendor }, begun = {};
const textFile = (path) => `../${path.slice(0, 7)}${path[7] === "_" ? "_later" : ""}.js`;
const file = (path) => path.startsWith("text/") ? textFile(path) : "./later.js";
export const load = async (path) => {
  if (!(path in modules)) Object.assign(modules, (await import(file(path))).default);
  return begun[path] ??= modules[path](load).catch((error) => { delete begun[path]; throw error; });
};
"""


class UnknownForm(ValueError):
    """A module imports or exports in a form that is not put together; the text names it."""


def bundled(modules: Mapping[str, str]) -> dict[str, str]:
    """What is sent under the path of each module, and of the files that hold many.

    Args:
        modules: text by path, with slashes; without the vendored library.

    Raises:
        UnknownForm: naming the module and the line.
    """
    first = needed(modules, FIRST)
    texts = {path for path in modules if path.startswith("text/")}
    found = {path: facade(path, text) for path, text in modules.items() if path not in texts}
    found[FIRST] = f"{RUNTIME}Object.assign(modules, {_functions(modules, first)});\nawait load({_quoted(FIRST)});\n"
    found[LATER] = (
        f"export default {_functions(modules, [path for path in modules if path not in {*first, *texts}])};\n"
    )
    for language in sorted({path[5:7] for path in texts}):
        later = [path for path in sorted(texts) if path.startswith(f"text/{language}_")]
        found[f"text/{language}.js"] = f"export default {_functions(modules, [f'text/{language}.js'])};\n"
        found[f"text/{language}_later.js"] = f"export default {_functions(modules, later)};\n"
    return found


def needed(modules: Mapping[str, str], path: str) -> list[str]:
    """The modules that one needs at once, in the order of their names, itself included."""
    found: set[str] = set()
    left = [path]
    while left:
        one = left.pop()
        if one not in found and one in modules:
            found.add(one)
            left += [_resolved(one, name) for _, _, name in _IMPORT.findall(modules[one])]
    return sorted(found)


def function(path: str, text: str) -> str:
    """A module as a function that returns its exports.

    Raises:
        UnknownForm: an import or export that is none of: ``import { a, b as c } from``, ``import * as a from``, ``export``
            of a const, class or function with a name, ``export { a };``, ``export default {``.
    """
    text = _IMPORT.sub(lambda found: _imported(path, found), text)
    names = _exports(text)
    text = _EXPORT.sub("", _EXPORTED.sub("", text))
    text = _DEFAULT.sub("const $default = ", text)
    text = _FETCHED.sub(lambda found: f"$({_quoted(_resolved(path, found[1]))})", text)
    text = _SPOKEN.sub(r"$(`\1`)", text)
    if left := _LEFT.search(text):
        raise UnknownForm(f"{path}: {left[0][:120]}")
    returned = ", ".join("default: $default" if name == "default" else name for name in names)
    return f"async ($) => {{\n{text.strip()}\nreturn {{ {returned} }};\n}}"


def facade(path: str, text: str) -> str:
    """What is sent under a module's own address: the exports of the one module that runs."""
    names = ", ".join(_exports(text))
    root = posixpath.relpath(FIRST, posixpath.dirname(path))
    root = root if root.startswith(".") else f"./{root}"
    return f"import {{ load }} from {_quoted(root)};\nexport const {{ {names} }} = await load({_quoted(path)});\n"


def _functions(modules: Mapping[str, str], paths: Iterable[str]) -> str:
    return "{\n" + ",\n".join(f"{_quoted(path)}: {function(path, modules[path])}" for path in paths) + "\n}"


def _imported(path: str, found: re.Match[str]) -> str:
    name = found[1] or f"{{{found[2].replace(' as ', ': ')}}}"
    return f"const {name} = await $({_quoted(_resolved(path, found[3]))});"


def _exports(text: str) -> list[str]:
    named = [name for found in _EXPORTED.findall(text) for name in re.findall(r"\w+", found)]
    return [*_EXPORT.findall(text), *named, *(["default"] if _DEFAULT.search(text) else [])]


def _resolved(path: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), name))


def _quoted(path: str) -> str:
    return f'"{path}"'
