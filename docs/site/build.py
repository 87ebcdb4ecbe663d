"""Builds the documentation site: `make docs`, or `python docs/site/build.py OUT`.

Sphinx wants its sources in one folder, so they are put together first: the files of docs/, the pages of the repository's
root, and the reference of the REST methods. Links between files of the repository become links between pages; a link to a
file that is no page becomes its text. A warning is an error.
"""

from __future__ import annotations

import argparse
import pathlib
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile

import rest_reference

HERE = pathlib.Path(__file__).resolve().parent
DOCS = HERE.parent
ROOT = DOCS.parent
REFERENCE = "reference/rest.md"
ROOT_PAGES = {  # file of the root → page
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "README.md",  # the list of documents stands for it
    "SECURITY.md": "reporting-vulnerabilities.md",
}
NAVIGATION = {  # caption → pages; what is not named here stands under "More", and a page that is not there is left out
    "Tutorial": ["getting-started", "console", "id/getting-started"],
    "How-to guides": [
        "import", "convert", "batch-prediction", "clients/README", "clients/python", "clients/node", "clients/go",
        "clients/java", "clients/csharp", "clients/ruby", "clients/php", "clients/curl", "clients/powershell",
        "access", "storage", "backup", "browsers-and-limits",
    ],
    "Reference": [
        "reference/rest", "commands", "configuration", "compatibility", "wire", "images", "operations", "models",
        "evaluation", "glossary",
    ],
    "Explanation": ["architecture", "training", "crash-safety", "security", "benchmarks"],
    "Project": ["contributing", "reporting-vulnerabilities", "changelog"],
}  # fmt: skip
FENCE = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def main() -> int:
    """Puts the sources together and runs Sphinx; returns its status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=pathlib.Path, help="the folder of the site, emptied before")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder)
        put_together(source)
        flags = ["-b", "html", "-W", "--keep-going", "-q", "-c", str(HERE), "-d", str(source / ".doctrees")]
        command = [sys.executable, "-m", "sphinx", *flags, str(source), str(options.out)]
        return subprocess.run(command, check=False).returncode


def put_together(source: pathlib.Path) -> None:
    """Writes every page of the site, and the pictures, into a folder."""
    pages = {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))}
    of_root = {page: ROOT / name for name, page in ROOT_PAGES.items() if name != "README.md"}
    if taken := pages.keys() & of_root:
        raise SystemExit(f"Pages of docs/ and of the root have one name in the site: {', '.join(sorted(taken))}")
    pages |= of_root
    for page, path in pages.items():
        text = led(path.read_text(encoding="utf-8"), path, page, {*pages, REFERENCE})
        _write(source / page, text + (_navigation({*pages, REFERENCE}) if page == "README.md" else ""))
    _write(source / REFERENCE, rest_reference.rest_reference())
    for path in DOCS.rglob("*.jpg"):
        (source / path.relative_to(DOCS)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, source / path.relative_to(DOCS))


def led(text: str, path: pathlib.Path, page: str, pages: set[str]) -> str:
    """A page's text, its links between files of the repository led to pages."""

    def lead(link: re.Match[str]) -> str:
        words, target = link.groups()
        place, _, anchor = target.partition("#")
        if "://" in target or not place:
            return link[0]
        uri = _page_of(path.parent / place)
        if uri not in pages:
            return words
        relative = posixpath.relpath(uri, posixpath.dirname(page) or ".")
        return f"[{words}]({relative}{'#' + anchor if anchor else ''})"

    return "".join(part if part.startswith("```") else LINK.sub(lead, part) for part in FENCE.split(text))


def _page_of(path: pathlib.Path) -> str:
    """The page that a file of the repository is shown as; empty if it is none."""
    path = path.resolve()
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    return ROOT_PAGES.get(path.relative_to(ROOT).as_posix(), "") if path.is_relative_to(ROOT) else ""


def _navigation(pages: set[str]) -> str:
    """Hidden tables of contents, which become the sidebar."""
    names = sorted(page.removesuffix(".md") for page in pages - {"README.md"})
    listed = {name for group in NAVIGATION.values() for name in group}
    groups = {caption: [name for name in group if name in names] for caption, group in NAVIGATION.items()}
    groups["More"] = [name for name in names if name not in listed and not name.startswith(("adr/", "experiments/"))]
    for caption, folder in (("Experiments", "experiments/"), ("Decisions", "adr/")):
        groups[caption] = [name for name in names if name.startswith(folder)]
    return "".join(
        "\n".join(["", "```{toctree}", ":hidden:", ":maxdepth: 1", f":caption: {caption}", "", *group, "```", ""])
        for caption, group in groups.items()
        if group
    )


def _write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
