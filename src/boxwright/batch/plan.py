"""The plan of a batch job: the inputs read as a stream and frozen, before any of its shards starts.

A second attempt splits the input exactly as the first did. The identity of every file is put once before the first row is
read: a list that changed under a running job fails it. Names that are listed are frozen themselves (`inputs.frozen_names`).
An image that is listed twice is planned once (`met_digests`). Rows that are no usable path are planned as failed images, and
fail the job as a whole when their share passes the limit, judged from the 1,000th row on and at the end (`row_judge`).

Lists of text are frozen as an index of places in them (`planner`, `plan_index`). What cannot be cut so is frozen as
segments, the images themselves, several written at a time; so is all of a plan of version 1 or 2.

A segment has as many images as the job says. The first few of a list that is not short have fewer, so that the first
results are there soon, and so have segments of large members of archives, which wait on this machine's disk.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import json
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from google.rpc import status_pb2

from boxwright import errors, faults, objects
from boxwright.batch import read_ahead
from boxwright.batch.inputs.job_inputs import JobInputs
from boxwright.batch.inputs.listed_members import ListedMembers
from boxwright.batch.inputs.member_files import SEGMENT_BYTES, MemberFiles
from boxwright.batch.inputs.sources import changed
from boxwright.batch.job import BatchSpec
from boxwright.batch.met_digests import MetDigests
from boxwright.batch.plan_checkpoints import PlanCheckpoints
from boxwright.batch.plan_index import BLOCK_CUTS, CutReader, PlanIndex, PlanPlace, PlanTotals
from boxwright.batch.planner import IndexPlanner
from boxwright.batch.row_judge import JUDGED_FROM_ROW, RowJudge
from boxwright.batch.segments import Item, Segment

PLAN_VERSION = 3  # 1: every segment had the same size; 2: every segment was stored
FIRST_SEGMENTS, FIRST_SEGMENT_IMAGES = 5, 100  # of lists with at least `JUDGED_FROM_ROW` rows: about a second each
SEGMENT_PUTS = 16  # segments that are stored at the same time


class Plan:
    """The frozen plan of one job. Iterate `segments()` once.

    Args:
        spec: the job's.
        stores: where everything is.
        notes: the job's folder of notes on this machine; empty for none.
        finished: yields the shards that are there and need not be predicted, in order.
        keeps: whether segments are put; a dry run reads them and puts none.
        begin: from where on the plan is needed, as `place_of` has given it to the last turn; None: all of it.
        is_counted: whether a shard is finished and known to be: its segment is left out.

    Attributes:
        opening_s: seconds for opening the inputs, the listing of folders included.
    """

    def __init__(
        self,
        spec: BatchSpec,
        stores: objects.Stores,
        notes: str = "",
        finished: Callable[[], Iterable[int]] = tuple,
        *,
        keeps: bool = True,
        begin: PlanPlace | None = None,
        is_counted: Callable[[int], bool] = lambda shard: False,
    ) -> None:
        self._spec = spec
        self._stores = stores
        self._files = MemberFiles(notes, self._finished_images)
        self._finished = finished
        self._keeps = keeps
        self._begin = begin
        self._is_counted = is_counted
        self._places: list[tuple[int, int]] = []  # first shard and number of the blocks that were asked for
        self._is_uncut = False
        self.opening_s = 0.0
        self._inputs: JobInputs | None = None
        self._scratch = objects.ObjectUri.parse(spec.scratch)
        self._index = PlanIndex(stores, self._scratch, ", ".join(spec.input_uris))
        self._planner: IndexPlanner | None = None
        self._shard_images = spec.shard_images
        self._has_small_start = spec.shard_images > FIRST_SEGMENT_IMAGES
        self._block_cuts = list(BLOCK_CUTS)
        self._judge = RowJudge(stores, spec.row_failure_limit)
        self._duplicates = 0
        self._images = 0
        self.total_bytes = 0
        self._met, self._met_bytes = 0, 0  # different images so far, and about where in the lists the last one was
        self._is_complete = False

    def segments(self) -> Iterator[Segment]:
        """Yields the segments in order, each frozen before it is yielded.

        Raises:
            ApiError: a list is missing, unreadable or empty, changed since the first attempt, or too many rows are unusable.
        """
        self._files.clear()
        began_s = time.monotonic()
        inputs = self._inputs = self._opened()
        self.opening_s = time.monotonic() - began_s
        self.total_bytes = inputs.total_bytes
        planned = 0
        if self._keeps and self._block_cuts and (lists := inputs.lists):
            planner = self._planner = IndexPlanner(
                lists,
                self._index,
                PlanCheckpoints(self._stores, self._scratch),
                self._judge,
                ListedMembers(self._stores.named(), self._files),
                sizes=self._block_cuts,
                shard_images=self._shard_images,
                small=(FIRST_SEGMENTS if self._has_small_start else 0, FIRST_SEGMENT_IMAGES),
                has_more=len(lists) < inputs.count,
            )
            reader = CutReader(dict(enumerate(lists)), self._judge.items)
            with contextlib.closing(planner):
                self._places = planner.places
                for block in planner.blocks(self._begin):
                    for planned, cut in enumerate(block.cuts, block.first_shard):
                        planner.raise_failure()
                        if not self._is_counted(planned):
                            yield reader.segment(planned, cut, block.forms)
            if not planner.is_uncut:
                return
            self._is_uncut = True
            self._planner = None  # what comes now cannot be cut by places in lists
            self._judge.begin()
        yield from self._stored(inputs, planned)

    def place_of(self, shard: int) -> PlanPlace:
        """From where on the plan is needed, if all shards before one are finished."""
        numbers = [number for first_shard, number in self._places if first_shard <= shard]
        block = numbers[-1] if numbers else 1 if self._begin is None else self._begin.block
        return PlanPlace(block, self._end, self._is_uncut)

    def stop(self) -> None:
        """Ends the wait of who iterates; no more segments come."""
        if self._planner is not None:
            self._planner.stop()

    def close(self) -> None:
        """Removes what was kept of archives' members. Nobody may be at work on the plan's images any more."""
        if self._planner is not None:
            self._planner.close()
        self._files.close()

    @property
    def rows_read(self) -> int:
        """How many rows were read so far."""
        return self._judge.rows_read if self._end is None else self._end.rows

    @property
    def rows_failed(self) -> int:
        """How many of them are unusable."""
        return self._judge.rows_failed if self._end is None else self._end.failed

    @property
    def row_failures(self) -> list[status_pb2.Status]:
        """Why the first of the unusable rows are so."""
        if self._end is None:
            return self._judge.row_failures
        return [status_pb2.Status(code=code, message=message) for code, message in self._end.row_failures]

    @property
    def images_planned(self) -> int:
        """How many images are in the plan so far."""
        if self._planner is None:
            return self._images
        return self._planner.met if self._end is None else self._end.images

    @property
    def duplicates(self) -> int:
        """How many rows were listed before."""
        if self._planner is None:
            return self._duplicates
        return self._planner.duplicates if self._end is None else self._end.rows - self._end.images

    @property
    def is_complete(self) -> bool:
        """Whether the inputs are read to their end, and all that is in them is frozen."""
        return self._is_complete if self._planner is None else self._end is not None

    @property
    def _end(self) -> PlanTotals | None:
        return None if self._planner is None else self._planner.end

    @property
    def left_out(self) -> dict[str, dict[str, int]]:
        """See `JobInputs.left_out`."""
        return {} if self._inputs is None else self._inputs.left_out

    def estimated_images(self) -> float | None:
        """How many images the whole job has: exact once the lists are read, before that by their share of bytes.

        None as long as no row has been read: nothing is known then.
        """
        if self.is_complete:
            return self.images_planned
        source = self._planner
        met, met_bytes = (self._met, self._met_bytes) if source is None else (source.met, source.met_bytes)
        return met * max(1.0, self.total_bytes / met_bytes) if met_bytes else None

    # ---- inside -------------------------------------------------------------------------------------------------

    def _opened(self) -> JobInputs:
        """The inputs as the first attempt has found them."""
        uri = self._scratch.child("plan/header.json")
        first = self._first_header(uri)
        inputs = JobInputs(self._spec, self._stores, self._files, first)
        if first is None:
            faults.point("plan.before_header")
            header = {"version": PLAN_VERSION, "block_cuts": BLOCK_CUTS, "shard_images": self._spec.shard_images}
            if not self._stores.put_once(uri, json.dumps(header | inputs.header).encode()):
                first = self._first_header(uri)
        if first is not None:
            self._shard_images = first["shard_images"]  # a setting may have changed since; the plan does not
            self._block_cuts = list(first.get("block_cuts", ()))  # none: every segment of a former version is stored
            self._has_small_start = first["version"] > 1 and self._shard_images > FIRST_SEGMENT_IMAGES
            inputs.check(first)
        return inputs

    def _first_header(self, uri: objects.ObjectUri) -> dict[str, Any] | None:
        try:
            header: dict[str, Any] = json.loads(self._stores.get(uri))
        except objects.ObjectNotFound:
            return None
        return header

    def _stored(self, inputs: JobInputs, planned: int) -> Iterator[Segment]:
        """Yields the segments behind those that the index has, each when it is stored."""
        held: list[Segment] = []
        segments = (segment for segment in self._split(inputs) if segment.shard > planned)
        for segment in self._frozen(segments):
            held.append(segment)
            if self._judge.rows_read < JUDGED_FROM_ROW:
                if _held_bytes(held) < SEGMENT_BYTES:
                    continue
                self._judge.judge()  # now: members that are not handed out would fill the disk
            yield from held
            held.clear()
        self._judge.judge()
        if self._judge.rows_read == 0:
            raise errors.bad_request(errors.EMPTY_BATCH_CSV)
        self._is_complete = True
        yield from held

    def _frozen(self, segments: Iterator[Segment]) -> Iterator[Segment]:
        """Yields segments in order, each when it and all before it are stored; some are stored at the same time."""
        waiting: collections.deque[tuple[concurrent.futures.Future[Segment], int]] = collections.deque()
        with concurrent.futures.ThreadPoolExecutor(SEGMENT_PUTS, "segments") as pool:
            waiting_bytes = 0
            for segment in segments:
                self._images += len(segment.items)
                if self._is_counted(segment.shard):
                    segment.release()
                    continue
                if not self._keeps:
                    yield segment
                    continue
                size = _held_bytes([segment])
                waiting.append((pool.submit(self._freeze, segment), size))
                waiting_bytes += size
                while waiting and (
                    len(waiting) >= SEGMENT_PUTS or waiting_bytes >= SEGMENT_BYTES or waiting[0][0].done()
                ):
                    stored, size = waiting.popleft()
                    waiting_bytes -= size
                    yield stored.result()
            for stored, _ in waiting:
                yield stored.result()

    def _split(self, inputs: JobInputs) -> Iterator[Segment]:
        """Yields segments while reading the inputs."""
        stream = self._items(inputs)
        start: list[Item] = []
        start_bytes = 0
        is_short = False
        while self._judge.rows_read < JUDGED_FROM_ROW and start_bytes < SEGMENT_BYTES:
            first = next(stream, None)
            if first is None:
                is_short = self._judge.rows_read < JUDGED_FROM_ROW
                break
            start.append(first)
            start_bytes += first.held_bytes
        small = FIRST_SEGMENTS if self._has_small_start and not is_short else 0
        items: list[Item] = []
        shard, held_bytes = 1, 0
        for item in itertools.chain(start, stream):
            items.append(item)
            held_bytes += item.held_bytes
            is_full = len(items) == (FIRST_SEGMENT_IMAGES if shard <= small else self._shard_images)
            if is_full or held_bytes >= SEGMENT_BYTES:
                yield Segment(shard, items, self._files)
                shard, items, held_bytes = shard + 1, [], 0
        if items:
            yield Segment(shard, items, self._files)

    def _items(self, inputs: JobInputs) -> Iterator[Item]:
        """Yields each image once; every row is counted."""
        finished_bytes = 0
        with contextlib.closing(MetDigests()) as met:
            for source in inputs.sources():
                self._files.begin_input(self._judge.rows_read)
                with contextlib.closing(source.entries()) as entries:
                    for entry in entries:
                        item = self._judge.counted(entry)
                        if met.add(item.id):
                            self._met, self._met_bytes = self._met + 1, finished_bytes + entry.end_bytes
                            yield item
                        else:
                            self._duplicates += 1
                            if item.held is not None:
                                self._files.drop(item.held)
                finished_bytes += source.total_bytes

    def _finished_images(self) -> int:
        """How many images are in the finished shards before the first one that is not."""
        count, finished = 0, iter(self._finished())
        with contextlib.closing(self._frozen_counts()) as frozen:
            for shard, images in frozen:
                if next(finished, None) != shard:
                    break
                count += images
        return count

    def _frozen_counts(self) -> Generator[tuple[int, int], None, None]:
        """Yields (shard, its images) of all that is frozen, in order."""
        shard = 1
        for number in itertools.count(1):
            block = self._index.get(number) if self._block_cuts else None
            if block is None:
                break
            for shard, cut in enumerate(block.cuts, block.first_shard):
                yield shard, cut.images
            shard += 1

        def count(stored: int) -> tuple[int, int]:
            return stored, len(read_segment(self._stores, self._scratch, stored).items)

        with contextlib.suppress(objects.ObjectNotFound):
            yield from read_ahead.in_order(count, itertools.count(shard))

    def _freeze(self, segment: Segment) -> Segment:
        """Puts the segment once; a later attempt must have read the same."""
        content = json.dumps([[item.id, item.failure] for item in segment.items], ensure_ascii=False).encode()
        uri = _segment_uri(self._scratch, segment.shard)
        if not self._stores.put_once(uri, content) and (first := self._stores.get(uri)) != content:
            segment = self._as_first_read(segment, first)
        faults.point("plan.after_segment")
        return segment

    def _as_first_read(self, segment: Segment, content: bytes) -> Segment:
        """The segment as the first attempt froze it: a newer version may word its failures otherwise, and no more."""
        first = _parsed(segment.shard, content)
        # it may name the row of a failed image otherwise, too
        if [item.failure is None and item.id for item in first.items] != [
            item.failure is None and item.id for item in segment.items
        ]:
            raise changed(", ".join(self._spec.input_uris))
        return Segment(segment.shard, _with_bytes(first.items, segment.items), segment.files)


def _with_bytes(first: list[Item], now: list[Item]) -> list[Item]:
    """Items as they were frozen, with the bytes that the present attempt holds."""
    return [dataclasses.replace(item, held=other.held) for item, other in zip(first, now, strict=True)]


def read_segment(stores: objects.Stores, scratch: objects.ObjectUri, shard: int) -> Segment:
    """The segment of a shard as it was stored; those of an index are read by `CutReader`.

    Args:
        stores: where the plan is.
        scratch: the job's scratch.
        shard: its number, from 1.

    Raises:
        ObjectNotFound: it is not stored.
    """
    return _parsed(shard, stores.get(_segment_uri(scratch, shard)))


def _segment_uri(scratch: objects.ObjectUri, shard: int) -> objects.ObjectUri:
    return scratch.child(f"plan/segment-{shard:07d}.json")


def _parsed(shard: int, content: bytes) -> Segment:
    return Segment(shard, [Item(image_id, failure) for image_id, failure in json.loads(content)])


def _held_bytes(segments: list[Segment]) -> int:
    return sum(item.held_bytes for segment in segments for item in segment.items)
