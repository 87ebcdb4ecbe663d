"""The ids that a plan has met, as 16-byte digests in bounded memory: whether an id is new is known at once.

    filter   three bits a digest: most new ids are told from all earlier ones by it alone
    tiers    sorted arrays in memory, merged when two are of like size
    runs     sorted arrays of some 300,000 digests in a temporary file, looked at only for what the filter lets through

The answer is exact up to a collision of 128-bit digests. The filter is Bloom's (Communications of the ACM 13(7), 1970);
tiers and runs are a log-structured merge tree without deletion.
"""

from __future__ import annotations

import hashlib
import mmap
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from boxwright import errors

DIGEST_BYTES = 16
RUN_DIGESTS = 1 << 18  # 4 MiB; more in memory takes as long
FIRST_FILTER_BITS = 1 << 20
MAX_FILTER_BITS = 1 << 29  # 64 MiB
BITS_PER_DIGEST = 16  # the filter grows when it has fewer
PROBES = 3
RECENT_DIGESTS = 4096  # of ids added one by one, before they are sorted

Words = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]


class _Sorted(NamedTuple):
    """Digests as two words each, in the order of the first."""

    high: Words
    low: Words
    mapped: mmap.mmap | None = None  # the file's pages, which are let go after each look


def digest(content: bytes) -> bytes:
    """The 16 bytes by which an id is remembered."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


class MetDigests:
    """The ids met so far. One thread at a time.

    Args:
        run_digests: how many are held in memory before they are written to the temporary file.
    """

    def __init__(self, run_digests: int = RUN_DIGESTS) -> None:
        self._run_digests = run_digests
        self._bits = np.zeros(FIRST_FILTER_BITS // 8, np.uint8)
        self._tiers: list[_Sorted] = []
        self._runs: list[_Sorted] = []
        self._recent: dict[bytes, None] = {}
        self._file: Any = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, text: str) -> bool:
        """Remembers an id; returns whether it is new.

        Raises:
            ApiError: RESOURCE_EXHAUSTED if the temporary file cannot grow.
        """
        found = digest(text.encode())
        if found in self._recent:
            return False
        if self._may_have(found) and not self._are_new(*_words(found))[0]:
            return False
        self._recent[found] = None
        self._count += 1
        if len(self._recent) >= RECENT_DIGESTS:
            self._sort_recent()
        return True

    def add_all(self, digests: Sequence[bytes]) -> Flags:
        """Remembers ids by their digests; returns for each whether it is new, (n,), the first of equal ones.

        Raises:
            ApiError: RESOURCE_EXHAUSTED if the temporary file cannot grow.
        """
        if self._recent:
            self._sort_recent()
        high, low = _words(b"".join(digests))
        is_new = _are_first(high, low, digests)
        maybe = np.flatnonzero(is_new & self._pass(high, low))
        if len(maybe):
            is_new[maybe] = self._are_new(high[maybe], low[maybe])
        self._keep(high[is_new], low[is_new])
        self._count += int(is_new.sum())
        return is_new

    def take(self, digests: bytes) -> None:
        """Remembers ids that are new, by their digests behind each other. Raises as `add_all`."""
        if self._recent:
            self._sort_recent()
        self._keep(*_words(digests))
        self._count += len(digests) // DIGEST_BYTES

    def close(self) -> None:
        """Lets the temporary file go."""
        self._tiers, self._runs = [], []
        if self._file is not None:
            self._file.close()
            self._file = None

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _sort_recent(self) -> None:
        high, low = _words(b"".join(self._recent))
        self._recent = {}
        self._keep(high, low)

    def _keep(self, high: Words, low: Words) -> None:
        """Adds new digests to the filter and the tiers."""
        if not len(high):
            return
        order = np.argsort(high, kind="stable")
        self._tiers.append(_Sorted(high[order], low[order]))
        while len(self._tiers) > 1 and 2 * len(self._tiers[-1].high) >= len(self._tiers[-2].high):
            self._tiers[-2:] = [_merged(*self._tiers[-2:])]
        known = sum(len(kept.high) for kept in (*self._tiers, *self._runs))
        wanted = min(MAX_FILTER_BITS, BITS_PER_DIGEST * known)
        if wanted > 8 * len(self._bits):
            self._bits = np.zeros(len(self._bits) * 4, np.uint8)
            for kept in (*self._tiers, *self._runs):
                self._set(kept.high, kept.low)
                _let_go(kept)
        else:
            self._set(high, low)
        if len(self._tiers[0].high) >= self._run_digests:
            self._runs.append(self._written(self._tiers.pop(0)))

    def _written(self, kept: _Sorted) -> _Sorted:
        """The same in the temporary file."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by `close`
            start = self._file.seek(0, 2)
            start += -start % mmap.ALLOCATIONGRANULARITY
            self._file.seek(start)
            for words in (kept.high, kept.low):
                left = memoryview(words.data).cast("B")
                while left:
                    left = left[self._file.write(left) :]
            mapped = mmap.mmap(self._file.fileno(), len(kept.high) * DIGEST_BYTES, prot=mmap.PROT_READ, offset=start)
        except OSError as error:
            raise errors.resource_exhausted(
                f"The temporary file that finds rows listed twice cannot be written ({error.strerror}); make room on this "
                "machine's disk for temporary files (about 16 bytes a row), or name another one by TMPDIR."
            ) from error
        words = np.frombuffer(mapped, np.uint64)
        return _Sorted(words[: len(kept.high)], words[len(kept.high) :], mapped)

    def _places(self, high: Words, low: Words, probe: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """Returns (index of a byte of the filter, bit in it) of each digest."""
        place = (high + np.uint64(probe) * (low | np.uint64(1))) & np.uint64(8 * len(self._bits) - 1)
        return (place >> np.uint64(3)).astype(np.int64), np.uint8(1) << (place & np.uint64(7)).astype(np.uint8)

    def _set(self, high: Words, low: Words) -> None:
        for probe in range(PROBES):
            np.bitwise_or.at(self._bits, *self._places(high, low, probe))

    def _pass(self, high: Words, low: Words) -> Flags:
        """Which the filter lets through: those that it has, and a few others."""
        passed = np.ones(len(high), np.bool_)
        for probe in range(PROBES):
            index, bit = self._places(high, low, probe)
            passed &= (self._bits[index] & bit) != 0
        return passed

    def _may_have(self, found: bytes) -> bool:
        high, low = int.from_bytes(found[:8], "little"), int.from_bytes(found[8:], "little")
        mask = 8 * len(self._bits) - 1
        for probe in range(PROBES):
            place = (high + probe * (low | 1)) & mask
            if not self._bits.item(place >> 3) >> (place & 7) & 1:
                return False
        return True

    def _are_new(self, high: Words, low: Words) -> Flags:
        """Which are in no tier and no run."""
        order = np.argsort(high, kind="stable")  # neighbours are looked up in the same pages
        high, low = high[order], low[order]
        met = np.zeros(len(high), np.bool_)
        for kept in (*self._tiers, *self._runs):
            met |= _are_in(kept, high, low)
            _let_go(kept)
        is_new = np.empty(len(high), np.bool_)
        is_new[order] = ~met
        return is_new


def _words(content: bytes) -> tuple[Words, Words]:
    """Returns (the first words, the second words) of digests behind each other."""
    pairs = np.frombuffer(content, "<u8").reshape(-1, 2)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def _are_first(high: Words, low: Words, digests: Sequence[bytes]) -> Flags:
    """Which are the first of equal ones among themselves."""
    is_first = np.ones(len(high), np.bool_)
    order = np.argsort(high, kind="stable")
    same = high[order][1:] == high[order][:-1]
    if same.any():
        if (low[order][1:][same] != low[order][:-1][same]).any():  # the first words alone collide
            met: set[bytes] = set()
            return np.array([not (one in met or met.add(one)) for one in digests], np.bool_)  # type: ignore[func-returns-value]
        is_first[order[1:][same]] = False
    return is_first


def _are_in(kept: _Sorted, high: Words, low: Words) -> Flags:
    """Which of some digests are among the sorted ones."""
    place = np.searchsorted(kept.high, high)
    there = np.minimum(place, len(kept.high) - 1)
    is_near = (place < len(kept.high)) & (kept.high[there] == high)
    is_in = is_near & (kept.low[there] == low)
    for index in np.flatnonzero(is_near & ~is_in):  # the first words alone collide: its neighbours have the same
        at = int(place[index]) + 1
        while at < len(kept.high) and kept.high[at] == high[index]:
            is_in[index] |= kept.low[at] == low[index]
            at += 1
    return is_in


def _merged(first: _Sorted, second: _Sorted) -> _Sorted:
    high = np.concatenate((first.high, second.high))
    order = np.argsort(high, kind="stable")  # which merges what is sorted already
    return _Sorted(high[order], np.concatenate((first.low, second.low))[order])


def _let_go(kept: _Sorted) -> None:
    """Gives the memory of a run back; the file keeps it."""
    if kept.mapped is not None:
        kept.mapped.madvise(mmap.MADV_DONTNEED)
