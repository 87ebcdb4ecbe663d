"""A corpus of image files of every kind, each with the outcome that a user may count on.

    python -m tests.support.images.corpus FOLDER        writes the files, and listing.csv with kind, code and sentence

`all_samples` gives them in memory, always the same bytes.
"""

from __future__ import annotations

import functools
import re

from tests.support.images.corpus import jpeg, other, png, raster, tiff
from tests.support.images.corpus.samples import FORMATS, Sample


@functools.cache
def all_samples() -> tuple[Sample, ...]:
    """Every sample, in the order of the table."""
    found = [sample for module in (jpeg, png, raster, tiff, other) for sample in module.samples()]
    kinds = list(dict.fromkeys(sample.kind for sample in found))
    return tuple(sorted(found, key=lambda sample: kinds.index(sample.kind)))


def _shortened(sentence: str) -> str:
    """A sentence without what differs from file to file, and without the list of formats."""
    return re.sub(r"\d+ x \d+", "W x H", sentence).replace(FORMATS, "…")


def table() -> list[str]:
    """The lines of the table in docs/images.md: kind, how many files, what becomes of them."""
    lines = ["| kind | files | outcome |", "| --- | --- | --- |"]
    kinds = dict.fromkeys(sample.kind for sample in all_samples())
    for kind in kinds:
        outcomes = [sample.outcome for sample in all_samples() if sample.kind == kind]
        words = dict.fromkeys(
            f"refused: {_shortened(outcome)}" if isinstance(outcome, str) else "decoded" for outcome in outcomes
        )
        lines.append(f"| {kind} | {len(outcomes)} | {'<br>'.join(words)} |")
    return lines
