"""What is published of a shard's table: which of its candidates, and their numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from boxwright.batch.output.candidates import SCALE, CandidateTable
from boxwright.predictions import Selection

IMAGES_PER_SHARD = 1_000_000  # at most; the ids in COCO and CVAT files are numbered by shards of this size


@dataclasses.dataclass(frozen=True)
class SelectedResults:
    """What is published of a table.

    Attributes:
        table: with the images.
        labels: (annotation spec id, display name) by label index.
        rows: (R,) which of the table's candidates, in its order.
        offsets: (N + 1,) where the rows of each image begin, and the last ones end.
    """

    table: CandidateTable
    labels: Sequence[Sequence[str]]
    rows: npt.NDArray[np.int64]
    offsets: list[int]

    @property
    def label_indices(self) -> list[int]:
        """(R,)."""
        found: list[int] = self.table.label_indices[self.rows].tolist()
        return found

    @property
    def numbers(self) -> npt.NDArray[np.float64]:
        """(V, R) as they are published: scores, and of boxes x_min, y_min, x_max, y_max."""
        numbers: npt.NDArray[np.float64] = self.table.values[:, self.rows] / SCALE
        return numbers

    @property
    def image_indices(self) -> list[int]:
        """(R,) the image of each row."""
        found: list[int] = np.repeat(np.arange(len(self.table)), np.diff(self.offsets)).tolist()
        return found

    @property
    def has_boxes(self) -> bool:
        """Whether these are boxes, and not labels of whole images."""
        return len(self.table.values) > 1


def selected(table: CandidateTable, selection: Selection, labels: Sequence[Sequence[str]]) -> SelectedResults:
    """What a selection leaves of a table."""
    mask = selection.mask(table.scores, table.label_indices, table.offsets)
    before = np.concatenate([[0], np.cumsum(mask)])
    return SelectedResults(table, labels, np.flatnonzero(mask), before[table.offsets].tolist())
