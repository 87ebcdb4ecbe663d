"""Writes the corpus: ``python -m tests.support.images.corpus FOLDER``; ``--table`` prints the table of docs/images.md."""

from __future__ import annotations

import csv
import pathlib
import sys

from tests.support.images import corpus


def write(folder: pathlib.Path) -> int:
    """Writes every file and listing.csv (name, kind, code, sentence); returns how many files there are."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "listing.csv").open("w", newline="", encoding="utf-8") as target:
        listing = csv.writer(target)
        for sample in corpus.all_samples():
            (folder / sample.name).write_bytes(sample.content)
            sentence = sample.outcome if isinstance(sample.outcome, str) else ""
            listing.writerow([sample.name, sample.kind, sample.code, sentence])
    return len(corpus.all_samples())


if __name__ == "__main__":
    if sys.argv[1:] == ["--table"]:
        print("\n".join(corpus.table()))
    else:
        print(write(pathlib.Path(sys.argv[1])), "files")
