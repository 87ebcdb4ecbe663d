"""The table of docs/images.md is the corpus: kind, files, outcome."""

from __future__ import annotations

import pathlib

from tests.support.images import corpus

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "images.md"


def test_the_table_of_images_says_what_the_corpus_shows() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    wanted = corpus.table()
    start = lines.index(wanted[0])
    end = next((number for number in range(start, len(lines)) if not lines[number].startswith("|")), len(lines))
    assert lines[start:end] == wanted, "run: python -m tests.support.images.corpus --table"
