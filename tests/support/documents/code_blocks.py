"""The code blocks of the documents."""

from __future__ import annotations

import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: its page, from the repository's root.
        line: the first line of its code, from 1.
        language: the word behind its fence.
    """

    page: str
    line: int
    language: str
    code: str

    @property
    def label(self) -> str:
        """Page and line, as a test's name shows them."""
        return f"{self.page}:{self.line}"


def read(page: pathlib.Path, language: str) -> list[Block]:
    """The blocks of a page in a language, in order."""
    text, name = page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix()
    found = [Block(name, text.count("\n", 0, match.start(2)) + 1, match[1], match[2]) for match in BLOCK.finditer(text)]
    return [block for block in found if block.language == language]


def read_all(language: str) -> list[Block]:
    """The blocks of every page in a language."""
    return [block for page in PAGES for block in read(page, language)]
