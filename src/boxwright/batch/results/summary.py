"""Counts of a folder: those of its report, or summed from the ends of its files of candidates, or from their rows.

A job that has ended with a report has counted its candidates: one file is read instead of thousands. A folder that grows,
has no report, or a report that is not as the manifest says, is counted by its files.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
from collections.abc import Iterable
from concurrent import futures
from typing import IO, Any, cast

from boxwright import errors, objects
from boxwright.batch.output import candidates
from boxwright.batch.output.candidates import SCALE
from boxwright.batch.output.score_counts import ScoreCounts
from boxwright.batch.report.failures import FailureGroups
from boxwright.batch.results import shard
from boxwright.batch.results.folder import REPORT_FILE, ResultFile, ResultFolder

READERS = 8  # files that are read at once
TAIL_BYTES = 16 << 10  # of a file that are read first; the metadata of a few labels are in them
MOST_REPORT_BYTES = 64 << 20
MOST_LINE_IMAGES = 200_000  # that are counted where there are no candidates: lines take long to read
MOST_ERROR_LINES = 200_000  # that are looked at for their words
MOST_ERRORS, MOST_FILES = 50, 1000


@dataclasses.dataclass(frozen=True)
class FolderSummary:
    """What is in a folder.

    Attributes:
        counts: of the results.
        floor: the least score that a result may have; 0 if it is not known.
        reason: what is missing, in sentences; empty if nothing is.
        failures: see `FailureGroups.listed`, the largest first.
        failed: failed images.
        files: (name, bytes), at most `MOST_FILES`: first those that there are one of.
    """

    counts: ScoreCounts
    floor: float
    reason: str
    failures: list[dict[str, Any]]
    failed: int
    files: list[tuple[str, int]]

    @property
    def weight_bytes(self) -> int:
        """About what it takes in memory."""
        return 20_000 + 2_000 * len(self.counts.found) + 200 * len(self.files)


def summarized(stores: objects.Stores, folder: ResultFolder, kind: str) -> FolderSummary:
    """Counts a folder, which was opened with the sizes of its files.

    Raises:
        ApiError: from the store; DATA_LOSS: a file is damaged.
    """
    told = _told(stores, folder)
    if told is not None:
        return _summary(stores, folder, *told, [folder.reason])
    counts, floor, reasons = ScoreCounts(), 0.0, [folder.reason]

    def count(file: ResultFile) -> tuple[ScoreCounts, float]:
        return _counts(stores, folder, file, kind)

    shards = list(folder.shards)
    if not folder.has_candidates:
        shards = list(_first(shards))
        if len(shards) < len(folder.shards):
            reasons.append(f"Only the first {len(shards)} of {len(folder.shards)} result files are counted.")
    with futures.ThreadPoolExecutor(READERS, "summary") as pool:
        local = stores.is_folder(folder.uri)  # looks at files of this machine hold each other up
        for one, least in map(count, shards) if local else pool.map(count, shards):
            counts.add(one)
            floor = max(floor, least)
    return _summary(stores, folder, counts, floor, reasons)


def _told(stores: objects.Stores, folder: ResultFolder) -> tuple[ScoreCounts, float] | None:
    """The counts that the report has, and the floor; None if it has none that are sure."""
    if not (folder.has_candidates and folder.report_sha256):
        return None
    try:
        content = stores.get(folder.uri.child(REPORT_FILE), max_bytes=MOST_REPORT_BYTES)
        if candidates.digest_of(content) != folder.report_sha256:
            return None
        document = json.loads(content)
        counts = ScoreCounts.from_values(document["score_counts"])
        return (counts, float(document["candidate_floor"])) if counts.images == folder.images else None
    except (errors.ApiError, ValueError, KeyError, TypeError, AttributeError):
        return None  # gone, or of an older version: the candidates say it too


def _summary(
    stores: objects.Stores, folder: ResultFolder, counts: ScoreCounts, floor: float, reasons: list[str]
) -> FolderSummary:
    failures, reason = _failures(stores, folder)
    reasons = [*reasons, reason]
    named = sorted(folder.sizes.items(), key=lambda item: _place(item[0]))
    said = " ".join(filter(None, reasons))
    return FolderSummary(counts, floor, said, failures, folder.failed, named[:MOST_FILES])


def _first(shards: Iterable[ResultFile]) -> Iterable[ResultFile]:
    """Those whose lines are counted; a file whose lines are not known counts as of 500."""
    seen = 0
    for one in shards:
        if seen >= MOST_LINE_IMAGES:
            return
        seen += one.images if one.images >= 0 else 500
        yield one


def _counts(stores: objects.Stores, folder: ResultFolder, file: ResultFile, kind: str) -> tuple[ScoreCounts, float]:
    """The counts of a shard, and the floor of its candidates."""
    if folder.has_candidates and (metadata := _metadata(stores, folder, file)) and "score_counts" in metadata:
        try:
            return ScoreCounts.from_values(metadata["score_counts"]), float(metadata["score_floor"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise errors.data_loss(f"{folder.uri.child(file.name)} has counts that cannot be read: {error}.") from error
    found = shard.read(stores, folder, file, kind)
    names = [name for _, name in found.labels]
    table = found.table
    return ScoreCounts.of(table.values[0], SCALE, table.label_indices, table.offsets, names), 0.0


def _metadata(stores: objects.Stores, folder: ResultFolder, file: ResultFile) -> dict[str, Any] | None:
    """What the end of a file says; None if it is to be read as a whole."""
    uri = folder.uri.child(file.name)
    size = folder.sizes.get(file.name, 0)
    if size < candidates.LEAST_BYTES:
        return None
    tail = stores.range(uri, max(0, size - TAIL_BYTES), min(size, TAIL_BYTES))
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if TAIL_BYTES < length <= size:
        tail = stores.range(uri, size - length, length)
    try:
        return candidates.metadata_of(cast(IO[bytes], _TailFile(size, tail)))
    except ValueError:
        return None


class _TailFile(io.RawIOBase):
    """A file of which only the end is there."""

    def __init__(self, size_bytes: int, tail: bytes) -> None:
        super().__init__()
        self._size, self._tail, self._at = size_bytes, tail, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        start = self._at - (self._size - len(self._tail))
        if start < 0:
            raise ValueError("what is wanted is not at the end of the file")
        part = self._tail[start:] if size < 0 else self._tail[start : start + size]
        self._at += len(part)
        return part


def _failures(stores: objects.Stores, folder: ResultFolder) -> tuple[list[dict[str, Any]], str]:
    """The errors by their words, and what is missing there."""
    groups = FailureGroups()
    lines = itertools.chain.from_iterable(
        shard.error_lines(stores.stream(folder.uri.child(file.name))) for file in folder.errors_files
    )
    try:
        groups.add(itertools.islice(lines, MOST_ERROR_LINES))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.data_loss(f"An errors file of {folder.uri} cannot be read ({type(error).__name__}).") from error
    reason = f"Errors are grouped by the first {MOST_ERROR_LINES} only." if folder.failed > MOST_ERROR_LINES else ""
    return groups.listed()[:MOST_ERRORS], reason


def _place(name: str) -> tuple[bool, str, int, str]:
    """Files of which there may be thousands come last; numbers in their order."""
    stem, _, number = name.rpartition(".")[0].rpartition("_")
    is_numbered = number.isascii() and number.isdecimal() and len(number) < 12
    is_many = is_numbered and not name.startswith("errors_")
    return is_many, stem if is_numbered else name, int(number) if is_numbered else 0, name
