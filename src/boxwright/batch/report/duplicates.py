"""Images that a job has more than once: with equal bytes, or nearly equal pixels.

Nearly equal are images whose hashes differ in at most `NEAR_BITS` bits, that have about the same shape and brightness, and
in which the model sees the same: where it is sure of the best result in both, label and place agree. Hashes alone take two
photos of different things in the same pose for one.

Of the eight bytes of two such hashes at least two are equal (the pigeonhole principle: Norouzi, Punjani and Fleet, "Fast
Search in Hamming Space with Multi-Index Hashing", 2012), so only images that share two bytes are compared.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from boxwright.batch.output.candidates import SCALE, CandidateTable
from boxwright.images import appearance

WINDOW = 2_000_000  # images that are compared with each other; about 60 bytes of memory each
NEAR_BITS = 6
BYTES = 8  # of a hash; NEAR_BITS + 2
LEAST_SHARPNESS = 0.5  # grey levels: what has no structure has no hash that tells it from others
SHAPE_TOLERANCE, LUMA_TOLERANCE = 0.03, 16.0
SURE = SCALE // 2  # from this score on the best result counts
LEAST_IOU = 0.5  # of the best boxes
MOST_STEPS = 4_096  # of images that share two bytes, each is compared with so many that follow
MOST_COMPARED = 50_000_000  # pairs, for each choice of two bytes: a camera that never moves gives far more
MOST_JOINED = 2_000_000  # pairs of a window; by then, what belongs together is nearly always connected


@dataclasses.dataclass(frozen=True)
class Group:
    """At least two images that belong together: their numbers in the job, from 0, and whether their bytes are equal."""

    rows: list[int]
    is_equal: bool


class Duplicates:
    """The images of a job as far as they are needed to find duplicates."""

    def __init__(self) -> None:
        self._first = 0  # number of the first image that is held
        self._digests: list[npt.NDArray[np.uint64]] = []
        self._looks: list[npt.NDArray[np.void]] = []
        self._shapes: list[npt.NDArray[np.float32]] = []
        self._best: list[npt.NDArray[np.float32]] = []
        self._held = 0
        self._groups: list[Group] = []
        self.windows = 1

    def add(self, table: CandidateTable) -> None:
        """Takes the images of a table."""
        if self._held and self._held + len(table) > WINDOW:
            self._search()
            self.windows += 1
        digests = np.frombuffer(b"".join(table.sha256), "<u8").reshape(-1, 2)[:, 0]
        self._digests.append(digests)
        self._looks.append(table.looks)
        self._shapes.append((table.width_px / np.maximum(table.height_px, 1)).astype(np.float32))
        self._best.append(_best_results(table))
        self._held += len(table)

    def groups(self) -> list[Group]:
        """All groups, the largest first; of equal ones, by the number of the first image."""
        if self._held:
            self._search()
        return sorted(self._groups, key=lambda group: (-len(group.rows), group.rows[0]))

    def _search(self) -> None:
        digests, looks = np.concatenate(self._digests), np.concatenate(self._looks)
        shapes, best = np.concatenate(self._shapes), np.concatenate(self._best)
        self._digests, self._looks, self._shapes, self._best = [], [], [], []
        order = np.argsort(digests, kind="stable")
        starts = np.flatnonzero(np.concatenate([[True], digests[order][1:] != digests[order][:-1]]))
        firsts = np.sort(order[starts])  # the first image of every content
        sizes = np.diff(np.append(starts, len(order)))
        for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
            self._groups.append(Group([self._first + row for row in order[start : start + size].tolist()], True))
        usable = firsts[looks["sharpness"][firsts] > LEAST_SHARPNESS]  # false where it is not known
        for rows in _near(looks["dhash"][usable], looks["luma"][usable], shapes[usable], best[usable]):
            self._groups.append(Group([self._first + int(usable[row]) for row in rows], False))
        self._first += self._held
        self._held = 0


def _best_results(table: CandidateTable) -> npt.NDArray[np.float32]:
    """(N, 5) label and corners of each image's best result; label -1 where the model is not sure of it."""
    found = np.full((len(table), 5), -1, np.float32)
    rows = np.flatnonzero(np.diff(table.offsets) > 0)
    firsts = table.offsets[:-1][rows]
    is_sure = table.values[0][firsts] >= SURE
    rows, firsts = rows[is_sure], firsts[is_sure]
    found[rows, 0] = table.label_indices[firsts]
    found[rows, 1:] = table.values[1:, firsts].T / SCALE if len(table.values) > 1 else (0, 0, 1, 1)
    return found


def _agree(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Whether the best results of each pair agree; what is not sure agrees with all."""
    is_open = (one[:, 0] < 0) | (other[:, 0] < 0)
    sides = np.minimum(one[:, 3:], other[:, 3:]) - np.maximum(one[:, 1:3], other[:, 1:3])
    overlap = np.clip(sides, 0, None).prod(axis=1)
    areas = [(box[:, 3:] - box[:, 1:3]).prod(axis=1) for box in (one, other)]
    is_same: npt.NDArray[np.bool_] = overlap >= LEAST_IOU * (areas[0] + areas[1] - overlap)
    return is_open | ((one[:, 0] == other[:, 0]) & is_same)


def _near(
    hashes: npt.NDArray[np.uint64],
    luma: npt.NDArray[np.float32],
    shapes: npt.NDArray[np.float32],
    best: npt.NDArray[np.float32],
) -> Iterator[list[int]]:
    """Yields the groups of images that are connected by nearly equal pairs."""
    parent: dict[int, int] = {}
    joined = 0

    def root(row: int) -> int:
        while (above := parent.get(row, row)) != row:
            parent[row] = parent.get(above, above)
            row = above
        return row

    parts = hashes.astype("<u8").view(np.uint8).reshape(-1, BYTES).astype(np.int64)
    for one_byte, other_byte in itertools.combinations(range(BYTES), BYTES - NEAR_BITS):
        key = parts[:, one_byte] << 8 | parts[:, other_byte]
        order = np.argsort(key, kind="stable")
        for first, second in _pairs(hashes, key, order):
            if joined > MOST_JOINED:
                break
            joined += len(first)
            is_alike = np.abs(luma[first] - luma[second]) <= LUMA_TOLERANCE
            is_alike &= _agree(best[first], best[second])
            is_alike &= np.abs(shapes[first] - shapes[second]) <= SHAPE_TOLERANCE * shapes[first]
            for one, other in zip(first[is_alike].tolist(), second[is_alike].tolist(), strict=True):
                a, b = root(one), root(other)
                if a != b:
                    parent[max(a, b)] = min(a, b)
                    parent.setdefault(min(a, b), min(a, b))
    found: dict[int, list[int]] = {}
    for row in sorted(parent):
        found.setdefault(root(row), []).append(row)
    yield from found.values()


def _pairs(
    hashes: npt.NDArray[np.uint64], key: npt.NDArray[np.int64], order: npt.NDArray[np.int64]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yields pairs of images with one key whose hashes are near, in steps of one place further in the order."""
    ordered, keys = hashes[order], key[order]
    ends = np.searchsorted(keys, keys, "right")
    left = np.arange(len(order))
    compared = 0
    for step in range(1, MOST_STEPS):
        left = left[left + step < ends[left]]
        compared += len(left)
        if not len(left) or compared > MOST_COMPARED:
            return
        is_near = appearance.distances(ordered[left], ordered[left + step]) <= NEAR_BITS
        if is_near.any():
            hits = left[is_near]
            yield order[hits], order[hits + step]
