"""Pages of results in the order of the files: images with a prediction by shard, then those that failed.

A call reads a bounded number of files, for about a second. A page that has found too little by then is short and says where
the next one begins.
"""

from __future__ import annotations

import bisect
import dataclasses
import time
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import NamedTuple, TypeAlias

from boxwright import objects
from boxwright.batch.output.selected_results import SelectedResults
from boxwright.batch.results import shard
from boxwright.batch.results.folder import ResultFile, ResultFolder
from boxwright.batch.results.shard import FailedImage, ShardTable
from boxwright.batch.results.wanted import ResultSelection

MOST_SHARDS = 200  # that one call reads
MOST_S = 1.0  # for which one call goes on reading: somebody waits, and a machine under load reads slowly
MOST_ERROR_LINES = 100_000  # that one call reads
READERS = 8


class Place(NamedTuple):
    """Before which image a page begins: it stays the same while a job goes on.

    Attributes:
        is_error: whether it is a failed image.
        file: number of its file.
        row: in the file, from 0.
        skip: how many images that pass are left out from there on.
    """

    is_error: bool = False
    file: int = 1
    row: int = 0
    skip: int = 0


@dataclasses.dataclass(frozen=True)
class FoundImage:
    """An image with a prediction.

    Attributes:
        shard: that it is in.
        results: what counts as found in the shard.
        row: its place there, from 0.
    """

    shard: ShardTable
    results: SelectedResults
    row: int


Found: TypeAlias = FoundImage | FailedImage


class Source(NamedTuple):
    """Where results are read.

    Attributes:
        stores: limited to what the caller may read.
        folder: with the results.
        kind: of the model, as `kinds` names it.
    """

    stores: objects.Stores
    folder: ResultFolder
    kind: str

    def read(self, file: ResultFile) -> ShardTable:
        """Reads a shard; raises as `shard.read`."""
        return shard.read(self.stores, self.folder, file, self.kind)

    def read_all(self, files: Sequence[ResultFile]) -> Iterator[ShardTable]:
        """Reads shards, in their order; several at once from a distant store."""
        if self.stores.is_folder(self.folder.uri):
            yield from map(self.read, files)
            return
        with futures.ThreadPoolExecutor(READERS, "results") as pool:
            yield from pool.map(self.read, files)


def page(source: Source, wanted: ResultSelection, start: Place, size: int) -> tuple[list[Found], Place | None]:
    """Returns up to `size` results, beginning at a place, and the place of the next page; None if there is no next page.

    Raises:
        ApiError: as `shard.read`.
    """
    found: list[Found] = []
    place: Place | None = start
    if not start.is_error:
        place = _predicted(source, wanted, start, size, found) if wanted.takes_results else Place(True, skip=start.skip)
    if place is not None and place.is_error:
        place = _failed(source, wanted, place, size, found) if wanted.takes_errors else None
    return found, place


def files_before(source: Source, wanted: ResultSelection, place: Place | None) -> tuple[int, int]:
    """How many files are read, or passed over, before a place, and how many there are; None: the end of the list."""
    shards = [one.number for one in source.folder.shards] if wanted.takes_results else []
    failed = [one.number for one in source.folder.errors_files] if wanted.takes_errors else []
    if place is None:
        return len(shards) + len(failed), len(shards) + len(failed)
    before = (
        len(shards) + bisect.bisect_left(failed, place.file)
        if place.is_error
        else bisect.bisect_left(shards, place.file)
    )
    return before, len(shards) + len(failed)


def _predicted(source: Source, wanted: ResultSelection, start: Place, size: int, found: list[Found]) -> Place | None:
    """Adds images with a prediction; returns where to go on. One shard is read at least."""
    deadline_s = time.monotonic() + MOST_S
    read, row, skip = 0, start.row, start.skip
    for file in source.folder.shards:
        if file.number < start.file:
            continue
        row = row if file.number == start.file else 0
        if wanted.is_all and file.images >= 0 and skip >= max(0, file.images - row):
            skip -= max(0, file.images - row)
            continue
        if read >= MOST_SHARDS or len(found) >= size or (read and time.monotonic() >= deadline_s):
            return Place(False, file.number, row, skip)
        read += 1
        table = source.read(file)
        results = wanted.results(table)
        rows = wanted.rows(results)
        rows = rows[rows >= row]
        left_out = min(skip, len(rows))
        skip -= left_out
        taken = rows[left_out : left_out + size - len(found)].tolist()
        found += [FoundImage(table, results, one) for one in taken]
        if left_out + len(taken) < len(rows):
            return Place(False, file.number, taken[-1] + 1, 0)
    return Place(True, skip=skip) if source.folder.errors_files and wanted.takes_errors else None


def _failed(source: Source, wanted: ResultSelection, start: Place, size: int, found: list[Found]) -> Place | None:
    """Adds failed images; returns where to go on."""
    read, row, skip = 0, start.row, start.skip
    for file in source.folder.errors_files:
        if file.number < start.file:
            continue
        row = row if file.number == start.file else 0
        if wanted.is_all and file.images >= 0 and skip >= max(0, file.images - row):
            skip -= max(0, file.images - row)
            continue
        for image in shard.failed(source.stores, source.folder, file, row):
            if len(found) >= size or read >= MOST_ERROR_LINES:
                return Place(True, file.number, image.row, skip)
            read += 1
            if not wanted.takes(image):
                continue
            if skip:
                skip -= 1
            else:
                found.append(image)
    return None


def image_at(source: Source, wanted: ResultSelection, place: Place) -> Found | None:
    """The image at a place; None if there is none.

    Raises:
        ApiError: as `shard.read`.
    """
    file = (source.folder.errors_file if place.is_error else source.folder.shard)(place.file)
    if file is None:
        return None
    if place.is_error:
        return next(shard.failed(source.stores, source.folder, file, place.row), None)
    table = source.read(file)
    return FoundImage(table, wanted.results(table), place.row) if place.row < len(table.table) else None
