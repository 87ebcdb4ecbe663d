"""The few images of a job that are first by some number, each content once; ties are broken by the content."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from boxwright.batch.output.candidates import CandidateTable

MOST_RESULTS = 500  # of an image that are kept: what an image may have published


@dataclasses.dataclass(frozen=True)
class RankedImage:
    """One image with its candidates.

    Attributes:
        key: by which it is first.
        id: its address.
        sha256: of its content, the first 16 bytes.
        size_wh: upright, in pixels.
        dhash: see `appearance.RECORD`.
        label_indices: (K,) of its candidates, best score first, at most `MOST_RESULTS`.
        values: (V, K) int32 millionths, see `CandidateTable`.
    """

    key: float
    id: str
    sha256: bytes
    size_wh: tuple[int, int]
    dhash: int
    label_indices: npt.NDArray[np.uint16]
    values: npt.NDArray[np.int32]


class Leaders:
    """The `count` images with the highest keys; those whose key is not above `least` do not count."""

    def __init__(self, count: int, least: float = -np.inf) -> None:
        self._count = count
        self._least = least
        self._found: dict[bytes, RankedImage] = {}

    def add(self, table: CandidateTable, keys: npt.NDArray[np.float64]) -> None:
        """Takes the images of a table with their keys, (N,)."""
        rows = np.flatnonzero(keys > self._least)
        if len(rows) > self._count:  # those that are equal to the last one stay, so that ties are broken by content
            last = np.partition(keys[rows], len(rows) - self._count)[len(rows) - self._count]
            rows = rows[keys[rows] >= last]
            if len(rows) > self._count:
                order = sorted(rows.tolist(), key=lambda row: (-keys[row], table.sha256[row]))
                rows = np.array(order[: self._count])
        for row in rows.tolist():
            if table.sha256[row] not in self._found:
                self._found[table.sha256[row]] = _ranked_image(table, row, float(keys[row]))
        if len(self._found) > self._count:
            self._found = {one.sha256: one for one in self.ranked()}
            if len(self._found) == self._count:
                self._least = max(self._least, np.nextafter(min(one.key for one in self._found.values()), -np.inf))

    def ranked(self) -> list[RankedImage]:
        """The images, highest key first."""
        return sorted(self._found.values(), key=lambda one: (-one.key, one.sha256))[: self._count]


def _ranked_image(table: CandidateTable, row: int, key: float) -> RankedImage:
    first = int(table.offsets[row])
    part = slice(first, min(int(table.offsets[row + 1]), first + MOST_RESULTS))
    return RankedImage(
        key=key,
        id=table.ids[row],
        sha256=table.sha256[row],
        size_wh=(int(table.width_px[row]), int(table.height_px[row])),
        dhash=int(table.looks["dhash"][row]),
        label_indices=table.label_indices[part].copy(),
        values=table.values[:, part].copy(),
    )


def merged(lists: Sequence[Sequence[RankedImage]]) -> list[RankedImage]:
    """The images of several lists, each content once, in order."""
    found: dict[bytes, RankedImage] = {}
    for listed in lists:
        for one in listed:
            found.setdefault(one.sha256, one)
    return list(found.values())
