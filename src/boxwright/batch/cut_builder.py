"""Makes cuts of rows: which rows of which list are the next shard's images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from boxwright.batch.plan_index import Cut, Part

MAX_GAP_BYTES = 64 << 10  # of rows listed before; a longer stretch of them is left out of what a shard reads

Offsets = npt.NDArray[np.int64]


class CutBuilder:
    """Collects images until a shard is full.

    Args:
        shard_images: images of a shard.
        small_shards: how many shards at the beginning are smaller.
        small_images: images of one of these.

    Attributes:
        made: full cuts that nobody has taken yet.
    """

    def __init__(self, shard_images: int, small_shards: int, small_images: int) -> None:
        self._shard_images = shard_images
        self._small = (small_shards, small_images)
        self._shards = 0
        self._images = 0
        self._failed = 0
        self._parts: list[Part] = []
        self._next_row = 0  # of the last part, counted from 0 in it
        self._first_row = 0  # of the last part, counted in its list
        self.made: list[Cut] = []

    def add(
        self,
        number: int,
        first_row: int,
        starts: Offsets,
        ends: Offsets,
        lines: Offsets,
        is_new: npt.NDArray[np.bool_],
        is_failed: npt.NDArray[np.bool_],
    ) -> None:
        """Takes the next rows of a list.

        Args:
            number: of the list.
            first_row: how many rows of it came before.
            starts: where each row begins in the list, (n,) bytes.
            ends: where each ends, (n,) bytes.
            lines: the number of each row's line, (n,).
            is_new: which rows name an image that was not listed before, (n,).
            is_failed: which are unusable, (n,).
        """
        new = np.flatnonzero(is_new)
        at = 0
        while at < len(new):
            taken = new[at : at + self._wanted - self._images]
            gaps = np.flatnonzero(np.diff(taken) > 1) + 1
            for run in np.split(taken, gaps):
                self._add_run(number, first_row, starts, ends, lines, int(run[0]), int(run[-1]))
            at += len(taken)
            self._images += len(taken)
            self._failed += int(is_failed[taken].sum())
            if self._images == self._wanted:
                self.finish()

    def finish(self) -> None:
        """Ends the shard that is being made, if it has images."""
        if self._images:
            self.made.append(Cut(self._images, self._failed, self._parts))
            self._shards += 1
            self._images, self._failed, self._parts = 0, 0, []

    def state(self) -> dict[str, Any]:
        """What it holds, as JSON data; see `restore`."""
        counts = [self._shards, self._images, self._failed, self._next_row, self._first_row]
        return {"counts": counts, "parts": self._parts, "made": self.made}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Takes what `state` has given."""
        self._shards, self._images, self._failed, self._next_row, self._first_row = values["counts"]
        self._parts = list(map(Part.of_values, values["parts"]))
        self.made = list(map(Cut.of_values, values["made"]))

    @property
    def _wanted(self) -> int:
        return self._small[1] if self._shards < self._small[0] else self._shard_images

    def _add_run(
        self, number: int, before: int, starts: Offsets, ends: Offsets, lines: Offsets, first: int, last: int
    ) -> None:
        """Adds rows behind each other; rows between them and the last ones are dropped."""
        start, end, row = int(starts[first]), int(ends[last]), before + first
        if self._parts and self._parts[-1].number == number:
            part = self._parts[-1]
            dropped = row - self._first_row - self._next_row
            if start - part.first_byte - part.size_bytes <= MAX_GAP_BYTES:
                if dropped:
                    part.dropped.append((self._next_row, dropped))
                self._parts[-1] = part._replace(size_bytes=end - part.first_byte)
                self._next_row += dropped + last - first + 1
                return
        self._parts.append(Part(number, start, end - start, int(lines[first]), []))
        self._first_row, self._next_row = row, last - first + 1
