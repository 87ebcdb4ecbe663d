"""What looks like a mistake: images of one colour, tiny ones, boxes over whole images, very many boxes, one box all over."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright.batch.output.candidates import SCALE
from boxwright.batch.output.selected_results import SelectedResults

EXAMPLES = 20
TINY_PX = 64
WHOLE_SHARE = 0.95  # of the image's area
MANY_BOXES = 100
SAME_IN_IMAGES = 50
MOST_SAME = 50  # boxes that are named
_GRID_BITS = 7  # a box is the same box if its corners are in the same 128th of the sides
_SLOTS = 1 << 20
_MIXERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)  # odd, as multiplicative hashing needs


@dataclasses.dataclass
class Oddity:
    """One kind of mistake: in how many images, and the first of them."""

    images: int = 0
    examples: list[str] = dataclasses.field(default_factory=list)

    def add(self, ids: list[str], is_odd: npt.NDArray[np.bool_]) -> None:
        """Takes images, in order."""
        rows = np.flatnonzero(is_odd)
        self.images += len(rows)
        self.examples += [ids[row] for row in rows[: EXAMPLES - len(self.examples)].tolist()]


class Oddities:
    """All kinds of them.

    Boxes that are the same in many images are counted in a table of fixed size (count-min sketch: Cormode and Muthukrishnan,
    2005), so their number may be a little too high.
    """

    def __init__(self) -> None:
        self.kinds = {name: Oddity() for name in ("one_colour", "tiny", "whole_image_box", "many_boxes")}
        self._counts = np.zeros((len(_MIXERS), _SLOTS), np.uint32)
        self._same: dict[int, int] = {}

    def add(self, results: SelectedResults) -> None:
        """Takes the images of a shard with their published results."""
        table = results.table
        ids, count = table.ids, len(table)
        self.kinds["one_colour"].add(ids, table.looks["sharpness"] == 0)
        self.kinds["tiny"].add(ids, np.minimum(table.width_px, table.height_px) < TINY_PX)
        if not results.has_boxes:
            return
        offsets = np.array(results.offsets)
        image = np.repeat(np.arange(count), np.diff(offsets))
        x_min, y_min, x_max, y_max = table.values[1:, results.rows].astype(np.int64)
        area = (x_max - x_min) * (y_max - y_min) / SCALE**2
        self.kinds["whole_image_box"].add(ids, np.bincount(image[area > WHOLE_SHARE], minlength=count) > 0)
        self.kinds["many_boxes"].add(ids, np.diff(offsets) > MANY_BOXES)
        keys = table.label_indices[results.rows].astype(np.int64)
        for corner in (x_min, y_min, x_max, y_max):
            keys = keys << _GRID_BITS | np.minimum(corner * (1 << _GRID_BITS) // SCALE, (1 << _GRID_BITS) - 1)
        self._count(np.unique(keys + (image.astype(np.int64) << 48)) & ((1 << 48) - 1))

    def _count(self, keys: npt.NDArray[np.int64]) -> None:
        """Counts boxes, each once for every image that has it."""
        boxes, times = np.unique(keys, return_counts=True)
        totals = np.full(len(boxes), np.iinfo(np.uint32).max, np.uint32)
        for counts, mixer in zip(self._counts, _MIXERS, strict=True):
            slots = (boxes.astype(np.uint64) * np.uint64(mixer)) >> np.uint64(44)
            np.add.at(counts, slots, times.astype(np.uint32))
            totals = np.minimum(totals, counts[slots])
        for key, total in zip(boxes[totals > SAME_IN_IMAGES].tolist(), totals[totals > SAME_IN_IMAGES], strict=True):
            if key in self._same or len(self._same) < MOST_SAME:
                self._same[key] = int(total)

    def same_boxes(self, names: list[str]) -> list[dict[str, Any]]:
        """Boxes that are in more than `SAME_IN_IMAGES` images, the most frequent first: label, corners, images."""
        found = []
        for key, images in sorted(self._same.items(), key=lambda entry: (-entry[1], entry[0])):
            corners = [(key >> (_GRID_BITS * place)) & ((1 << _GRID_BITS) - 1) for place in (3, 2, 1, 0)]
            label = names[key >> (4 * _GRID_BITS)]
            found.append(
                {"label": label, "box": [(corner + 0.5) / (1 << _GRID_BITS) for corner in corners], "images": images}
            )
        return found
