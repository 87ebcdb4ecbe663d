"""Results in another order than that of the files: ranked a part at a time, and kept for later pages.

The most uncertain images come in the order of the report's ``label_next.csv``: first those that it chooses, rare labels
first and no two alike, then the others by their uncertainty.
"""

from __future__ import annotations

import dataclasses
import threading
import time

import numpy as np
import numpy.typing as npt

from boxwright.batch.output.selected_results import SelectedResults
from boxwright.batch.report import label_next
from boxwright.batch.results import listing
from boxwright.batch.results.listing import FoundImage, Source
from boxwright.batch.results.shard import ShardTable
from boxwright.batch.results.wanted import ResultSelection

ORDERS = ("score", "boxes", "uncertainty")
MOST_RANKED = 100_000  # images of one order that are kept
MOST_SHARDS = 300  # that one call reads to rank them
MOST_SHARDS_OF_PAGE = 200
_ROW_BITS = 32


class Ranking:
    """The first images of one order. Safe to use from several threads.

    Args:
        wanted: what is asked for.
        order: one of `ORDERS`.
        is_turned: whether the largest come first.
    """

    def __init__(self, wanted: ResultSelection, order: str, *, is_turned: bool) -> None:
        self._wanted = wanted
        self._order = order
        self._is_turned = is_turned
        self._lock = threading.Lock()
        self._pool: label_next.Pool | None = None
        self._candidates: npt.NDArray[np.int64] | None = None  # of each label
        self._keys = np.zeros(0, np.float64)
        self._places = np.zeros(0, np.int64)
        self.shards_read = 0
        self.is_complete = False

    def extend(self, source: Source) -> None:
        """Ranks the images of some more shards, for about `listing.MOST_S`. Raises as `shard.read`."""
        deadline_s = time.monotonic() + listing.MOST_S
        with self._lock:
            if self.is_complete:
                return
            shards = source.folder.shards if self._wanted.takes_results else []
            end = min(self.shards_read + MOST_SHARDS, len(shards))
            while self.shards_read < end:  # in parts: what is begun with several readers is read to its end
                for found in source.read_all(shards[self.shards_read : min(self.shards_read + listing.READERS, end)]):
                    self._add(found)
                    self.shards_read += 1
                if time.monotonic() >= deadline_s:
                    break
            self._keep_first()
            if not self._wanted.takes_results or self.shards_read >= len(source.folder.shards):
                self._end()

    def files(self, source: Source) -> tuple[int, int]:
        """How many shards are ranked, and how many there are to rank."""
        count = len(source.folder.shards) if self._wanted.takes_results else 0
        return (count if self.is_complete else min(self.shards_read, count)), count

    @property
    def weight_bytes(self) -> int:
        """About what it takes in memory, at most."""
        return 3_000_000 if self._order == "uncertainty" else 2_000_000

    def page(self, source: Source, start: int, size: int) -> tuple[list[FoundImage], int]:
        """Returns at most so many images from a place in the order on, and how many places were passed.

        Raises:
            ApiError: as `shard.read`.
        """
        places = [divmod(place, 1 << _ROW_BITS) for place in self._places[start : start + size].tolist()]
        wanted: dict[int, None] = {}
        for passed, (number, _) in enumerate(places):
            wanted.setdefault(number)
            if len(wanted) > MOST_SHARDS_OF_PAGE:
                wanted.popitem()
                places = places[:passed]
                break
        files = [file for number in wanted if (file := source.folder.shard(number)) is not None]
        shards = {table.number: (table, self._wanted.results(table)) for table in source.read_all(files)}
        found = [FoundImage(*shards[number], row) for number, row in places if number in shards]
        return found, len(places)

    def __len__(self) -> int:
        return len(self._places)

    # ---- inside -------------------------------------------------------------------------------------------------

    def _add(self, found: ShardTable) -> None:
        results = self._wanted.results(found)
        rows = self._wanted.rows(results)
        places = (found.number << _ROW_BITS) + rows
        keys = self._keys_of(results)[rows]
        if self._order == "uncertainty" and self._is_turned and self._wanted.is_all:
            if self._pool is None or self._candidates is None:
                self._pool = label_next.Pool(len(found.labels))
                self._candidates = np.zeros(len(found.labels), np.int64)
            # by its place instead of its address: what is chosen is found again
            self._pool.add(dataclasses.replace(found.table, ids=list(map(str, places.tolist()))))
            self._candidates += np.bincount(found.table.label_indices, minlength=len(found.labels))
        self._keys = np.concatenate([self._keys, keys])
        self._places = np.concatenate([self._places, places])
        if len(self._keys) > 2 * MOST_RANKED:
            self._keep_first()

    def _keys_of(self, results: SelectedResults) -> npt.NDArray[np.float64]:
        """(N,) smallest first."""
        if self._order == "uncertainty":
            keys = label_next.uncertainties(results.table)
        elif self._order == "boxes":
            keys = np.diff(results.offsets).astype(np.float64)
        else:
            return _best(results, -1.0 if self._is_turned else 1.0)
        return -keys if self._is_turned else keys

    def _keep_first(self) -> None:
        order = np.lexsort((self._places, self._keys))[:MOST_RANKED]
        self._keys, self._places = self._keys[order], self._places[order]

    def _end(self) -> None:
        if self._pool is not None and self._candidates is not None:
            first = np.array([int(one.image.id) for one in self._pool.chosen(self._candidates)], np.int64)
            self._places = np.concatenate([first, self._places[~np.isin(self._places, first)]])
            self._pool = None
        self._keys = np.zeros(0, np.float64)
        self.is_complete = True


def _best(results: SelectedResults, sign: float) -> npt.NDArray[np.float64]:
    """(N,) the best score of each image, by its sign; images without any come last."""
    best = np.full(len(results.table), 2.0)
    offsets = np.asarray(results.offsets)
    has_any = np.diff(offsets) > 0
    best[has_any] = sign * results.table.scores[results.rows[offsets[:-1][has_any]]]
    return best


def reason_of(image: FoundImage) -> tuple[float, str]:
    """How uncertain an image is, 0 to 1, and why in words; empty if it is not."""
    table = image.shard.table
    start, end = table.offsets[image.row : image.row + 2].tolist()
    scores = table.scores[start:end]
    unsure = np.flatnonzero((scores >= label_next.UNSURE[0]) & (scores <= label_next.UNSURE[1]))
    if not len(unsure):
        return 0.0, ""
    doubt = 4 * scores[unsure] * (1 - scores[unsure])
    most = unsure[int(doubt.argmax())]
    name = image.shard.labels[int(table.label_indices[start + most])][1]
    others = f" and {len(unsure) - 1} more" if len(unsure) > 1 else ""
    return float(1 - np.prod(1 - doubt)), f"unsure of {name} ({scores[most]:.2f}){others}"
