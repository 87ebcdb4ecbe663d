"""The per-label table: what the model's evaluations say, one row a label and one for all, for either kind of model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from rich import table as rich_table

ALL_LABELS = "all labels"
SHOWN_CONFIDENCE = 0.5
GRID_TOLERANCE = 0.001  # the thresholds travel as 32-bit floats


@dataclasses.dataclass(frozen=True)
class EvaluationRow:
    """One evaluation in short.

    Attributes:
        images: test images evaluated; of a label: those that carry it.
        figures: what follows, as text, in the order of the kind's headings.
    """

    label: str
    images: int
    figures: tuple[str, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        return (self.label, str(self.images), *self.figures)


def in_order(made: Iterable[EvaluationRow]) -> list[EvaluationRow]:
    """The labels in alphabetical order, then the row for all."""
    return sorted(made, key=lambda row: (row.label == ALL_LABELS, row.label))


def render(headings: Sequence[str], made: Iterable[EvaluationRow]) -> rich_table.Table:
    """The rows as a table for the terminal."""
    shown = rich_table.Table(box=None, pad_edge=False, padding=(0, 2))
    shown.add_column(headings[0])
    for heading in headings[1:]:
        shown.add_column(heading, justify="right")
    for row in made:
        shown.add_row(*row.cells, style="bold" if row.label == ALL_LABELS else None)
    return shown


def is_close(value: float, wanted: float) -> bool:
    """Whether two thresholds are the same one of a grid."""
    return abs(value - wanted) < GRID_TOLERANCE
