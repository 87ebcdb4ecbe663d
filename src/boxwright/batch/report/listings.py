"""The CSV files of a report: images to label next, the same with the boxes found in them, and duplicates."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

import numpy as np

from boxwright.batch.output.candidates import SCALE
from boxwright.batch.report.label_next import UncertainImage
from boxwright.batch.report.leaders import RankedImage

MOST_DUPLICATES = 100_000  # rows
LEAST_EDGE = SCALE // 100  # of a box that an import takes, in millionths of the side
_MEMBER = re.compile(r"\.(tar|tar\.gz|tgz)#", re.IGNORECASE)


def label_next(uncertain: Sequence[UncertainImage], names: Sequence[str]) -> bytes:
    """A row an image, most useful first: its address, rank, uncertainty and rarest unsure label.

    BatchPredict reads it as a list of images. ImportData refuses it, because it says nothing of what is in the images: a row
    without a box would mean that there is nothing in them.
    """
    rows = (
        [one.image.id, rank, f"{one.uncertainty:.6f}", names[one.rarest] if one.rarest >= 0 else ""]
        for rank, one in enumerate(uncertain, 1)
    )
    return _csv(rows)


def prelabels(images: Sequence[RankedImage], names: Sequence[str], threshold: float) -> tuple[bytes, int]:
    """An import CSV of the same images with what was found in them, and how many of them an import cannot read.

    Args:
        images: in order; members of archives are left out, since imports read single objects.
        names: display names of the labels.
        threshold: least score of a box or label.
    """
    rows: list[list[object]] = []
    left_out = 0
    for image in images:
        if _MEMBER.search(image.id):
            left_out += 1
            continue
        kept = np.flatnonzero(image.values[0] >= round(threshold * SCALE))
        labels = [names[label] for label in image.label_indices[kept].tolist()]
        if len(image.values) == 1:
            rows.append(["UNASSIGNED", image.id, *labels])
            continue
        found = []
        for label, (x_min, y_min, x_max, y_max) in zip(labels, image.values[1:, kept].T.tolist(), strict=True):
            if min(x_max - x_min, y_max - y_min) >= LEAST_EDGE:
                corners = [x_min / SCALE, y_min / SCALE, "", "", x_max / SCALE, y_max / SCALE, "", ""]
                found.append(["UNASSIGNED", image.id, label, *corners])
        rows += found or [["UNASSIGNED", image.id, *[""] * 9]]
    return _csv(rows), left_out


def duplicates(rows: Iterable[tuple[int, str, str]]) -> bytes:
    """A header, and a row an image: number of its group, ``equal`` or ``near``, and its address."""
    return _csv([["group", "kind", "id"], *rows])


def _csv(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "replace")
