"""Tables of candidates for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from boxwright import boxes, kinds
from boxwright.batch.output import candidates
from boxwright.batch.output.candidates import CandidateTable
from boxwright.images import appearance


def detections(rows: Sequence[tuple[float, float, float, float, float, int]]) -> boxes.Detections:
    """Detections of (x_min, y_min, x_max, y_max, score, label), in any order."""
    table = np.array(sorted(rows, key=lambda row: -row[4]), np.float64).reshape(-1, 6)
    corners, scores = table[:, :4].astype(np.float32), table[:, 4].astype(np.float32)
    return boxes.Detections(corners, scores, table[:, 5].astype(np.int64))


def table_of(
    looks: Sequence[bytes] | None = None,
    found: Sequence[boxes.Detections] | None = None,
    *,
    first: int = 0,
    contents: Sequence[bytes] | None = None,
    widths: Sequence[int] | None = None,
) -> CandidateTable:
    """A table of images ``gs://b/NUMBER.jpg``, by default 64 x 48 pixels, of different contents, with nothing in them."""
    count = len(looks or found or ())
    looks = looks or [appearance.UNKNOWN] * count
    found = found or [boxes.Detections.none()] * count
    rows = []
    for number in range(count):
        content = contents[number] if contents else b"image %d" % (first + number)
        size_hw = (48, widths[number] if widths else 64)
        row = candidates.of_image(content, size_hw, found[number], 0.0, looks[number])
        rows.append((f"gs://b/{first + number}.jpg", row))
    return CandidateTable.of(kinds.OBJECT_DETECTION.name, rows)
