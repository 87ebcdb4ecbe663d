"""The plan of a batch job: the inputs read as a stream and frozen, segment by segment.

A segment is one shard's images. Segments are put once, in order, each before its shard starts, so that a second attempt
splits the input exactly as the first did. The identity of every file is put once before the first row is read: a list that
changed under a running job fails it. Names that are listed are frozen themselves (`inputs.frozen_names`). An image that is
listed twice is planned once; what was seen is remembered in a temporary database that spills to disk. Rows that are no
usable path are planned as failed images, and fail the job as a whole when their share passes the limit, judged from the
1,000th row on and at the end.

A segment has as many images as the job says. The first few of a list that is not short have fewer, so that the first
results are there soon, and so have segments of large members of archives, which wait on this machine's disk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any

from google.rpc import code_pb2, status_pb2

from boxwright import errors, faults, objects, row_hints, rows
from boxwright.batch.entry import Entry, HeldBytes
from boxwright.batch.inputs.job_inputs import JobInputs
from boxwright.batch.inputs.member_files import SEGMENT_BYTES, MemberFiles
from boxwright.batch.inputs.sources import changed
from boxwright.batch.job import BatchSpec

JUDGED_FROM_ROW = 1000
PLAN_VERSION = 2  # 1: every segment had the same size
FIRST_SEGMENTS, FIRST_SEGMENT_IMAGES = 5, 100  # of lists with at least `JUDGED_FROM_ROW` rows: about a second each
SEEN_CACHE_KIB = 4 * 1024  # of the ids met, this much is held in memory and the rest on disk; more is hardly faster


@dataclasses.dataclass(frozen=True)
class Item:
    """One image of the plan.

    Attributes:
        id: its address, or what stands in the place of one.
        failure: why its row is unusable; None if it is fine.
        held: where the bytes of an archive's member are; None if it is no member.
    """

    id: str
    failure: str | None = None
    held: HeldBytes | None = dataclasses.field(default=None, compare=False)

    @property
    def held_bytes(self) -> int:
        """How many bytes of it wait on this machine's disk."""
        return 0 if self.held is None else self.held.length


@dataclasses.dataclass(frozen=True)
class Segment:
    """One shard's images, in input order.

    Attributes:
        shard: the shard's number, from 1.
        items: its images.
        files: keeps those that are members of archives; None if there are none.
    """

    shard: int
    items: list[Item]
    files: MemberFiles | None = dataclasses.field(default=None, compare=False)

    def release(self, first: int = 0, count: int | None = None) -> None:
        """Says that images, from an index on, are predicted or need not be: what was kept of them is removed."""
        if self.files is not None:
            for item in self.items[first : None if count is None else first + count]:
                if item.held is not None:
                    self.files.drop(item.held)


class Plan:
    """The frozen plan of one job. Iterate `segments()` once.

    Args:
        spec: the job's.
        stores: where everything is.
        notes: the job's folder of notes on this machine; empty for none.
        is_finished: whether a shard is there and need not be predicted.
        keeps: whether segments are put; a dry run reads them and puts none.

    Attributes:
        opening_s: seconds for opening the inputs, the listing of folders included.
    """

    def __init__(
        self,
        spec: BatchSpec,
        stores: objects.Stores,
        notes: str = "",
        is_finished: Callable[[int], bool] = lambda shard: False,
        *,
        keeps: bool = True,
    ) -> None:
        self._spec = spec
        self._stores = stores
        self._named = stores.named()
        self._files = MemberFiles(notes, self._finished_images)
        self._is_finished = is_finished
        self._keeps = keeps
        self.opening_s = 0.0
        self._inputs: JobInputs | None = None
        self._scratch = objects.ObjectUri.parse(spec.scratch)
        self._shard_images = spec.shard_images
        self._has_small_start = spec.shard_images > FIRST_SEGMENT_IMAGES
        self.rows_read = 0
        self.rows_failed = 0
        self.duplicates = 0
        self.images_planned = 0
        self.total_bytes = 0
        self._met, self._met_bytes = 0, 0  # different images so far, and about where in the lists the last one was
        self.is_complete = False
        self.row_failures: list[status_pb2.Status] = []

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
        held: list[Segment] = []
        for segment in self._split(inputs):
            held.append(segment)
            if self.rows_read < JUDGED_FROM_ROW:
                if self._held_bytes(held) < SEGMENT_BYTES:
                    continue
                self._judge()  # now: members that are not handed out would fill the disk
            yield from held
            held.clear()
        self._judge()
        if self.rows_read == 0:
            raise errors.bad_request(errors.EMPTY_BATCH_CSV)
        self.is_complete = True
        yield from held

    def close(self) -> None:
        """Removes what was kept of archives' members. Nobody may be at work on the plan's images any more."""
        self._files.close()

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
        if self._met_bytes == 0:
            return None
        return self._met * max(1.0, self.total_bytes / self._met_bytes)

    # ---- inside -------------------------------------------------------------------------------------------------

    def _opened(self) -> JobInputs:
        """The inputs as the first attempt has found them."""
        uri = self._scratch.child("plan/header.json")
        first = self._first_header(uri)
        inputs = JobInputs(self._spec, self._stores, self._files, first)
        if first is None:
            faults.point("plan.before_header")
            header = {"version": PLAN_VERSION, "shard_images": self._spec.shard_images, **inputs.header}
            if not self._stores.put_once(uri, json.dumps(header).encode()):
                first = self._first_header(uri)
        if first is not None:
            self._shard_images = first["shard_images"]  # a setting may have changed since; the plan does not
            self._has_small_start = first["version"] > 1 and self._shard_images > FIRST_SEGMENT_IMAGES
            inputs.check(first)
        return inputs

    def _first_header(self, uri: objects.ObjectUri) -> dict[str, Any] | None:
        try:
            header: dict[str, Any] = json.loads(self._stores.get(uri))
        except objects.ObjectNotFound:
            return None
        return header

    def _split(self, inputs: JobInputs) -> Iterator[Segment]:
        """Yields frozen segments while reading the inputs."""
        stream = self._items(inputs)
        start: list[Item] = []
        start_bytes = 0
        is_short = False
        while self.rows_read < JUDGED_FROM_ROW and start_bytes < SEGMENT_BYTES:
            first = next(stream, None)
            if first is None:
                is_short = self.rows_read < JUDGED_FROM_ROW
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
                yield self._freeze(Segment(shard, items, self._files))
                shard, items, held_bytes = shard + 1, [], 0
        if items:
            yield self._freeze(Segment(shard, items, self._files))

    def _items(self, inputs: JobInputs) -> Iterator[Item]:
        """Yields each image once; every row is counted."""
        finished_bytes = 0
        with contextlib.closing(_Seen()) as seen:
            for source in inputs.sources():
                self._files.begin_input(self.rows_read)
                with contextlib.closing(source.entries()) as entries:
                    for entry in entries:
                        item = self._item(entry)
                        is_new = seen.add(item.id)
                        if self.rows_read % JUDGED_FROM_ROW == 0:
                            self._judge()
                        if is_new:
                            self._met, self._met_bytes = self._met + 1, finished_bytes + entry.end_bytes
                            yield item
                        else:
                            self.duplicates += 1
                            if item.held is not None:
                                self._files.drop(item.held)
                finished_bytes += source.total_bytes

    def _item(self, entry: Entry) -> Item:
        self.rows_read += 1
        text, reason = entry.text, None if entry.failure is None else f"{entry.place}: {entry.failure}."
        if reason is None and entry.held is None:
            try:
                self._named.note_readable(objects.caller_uri(text, self._stores.schemes))
            except objects.BadUri as error:
                reason = error.message if entry.is_name else self._explained(entry, error)
        if reason is None:
            return Item(text, held=entry.held)
        self.rows_failed += 1
        if not entry.is_name and not rows.is_shown(text):
            text = entry.place  # names the row; its text may be a secret of another file
        if len(self.row_failures) < errors.MAX_PARTIAL_FAILURES:
            self.row_failures.append(status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=reason))
        return Item(text, reason)

    def _explained(self, entry: Entry, error: objects.BadUri) -> str:
        """Why a row is unusable, with its place, and what is typical of such rows."""
        shown = f"{error.about(rows.quoted(entry.text))}."
        hint = row_hints.of_image_list(entry.cells or [entry.text], self._stores.schemes, is_first=entry.is_first)
        return f"{entry.place}: {shown}{_sentence(hint)}"

    def _finished_images(self) -> int:
        """How many images are in the finished shards before the first one that is not."""
        count = 0
        for shard in itertools.count(1):
            try:
                segment = read_segment(self._stores, self._scratch, shard)
            except objects.ObjectNotFound:
                break
            if not self._is_finished(shard):
                break
            count += len(segment.items)
        return count

    @staticmethod
    def _held_bytes(segments: list[Segment]) -> int:
        return sum(item.held_bytes for segment in segments for item in segment.items)

    def _judge(self) -> None:
        share = self.rows_failed / max(1, self.rows_read)
        if share > self._spec.row_failure_limit:
            raise errors.bad_request(
                f"{self.rows_failed} of {self.rows_read} rows are not usable paths of images, more than the limit of "
                f"{self._spec.row_failure_limit:.0%}; the first: {self.row_failures[0].message}"
            )

    def _freeze(self, segment: Segment) -> Segment:
        """Puts the segment once; a later attempt must have read the same."""
        self.images_planned += len(segment.items)
        if not self._keeps:
            return segment
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
        return dataclasses.replace(segment, items=_with_bytes(first.items, segment.items))


def _with_bytes(first: list[Item], now: list[Item]) -> list[Item]:
    """Items as they were frozen, with the bytes that the present attempt holds."""
    return [dataclasses.replace(item, held=other.held) for item, other in zip(first, now, strict=True)]


def read_segment(stores: objects.Stores, scratch: objects.ObjectUri, shard: int) -> Segment:
    """The segment of a shard as it was frozen: what a process without the lists needs.

    Args:
        stores: where the plan is.
        scratch: the job's scratch.
        shard: its number, from 1.

    Raises:
        ObjectNotFound: it is not frozen yet.
    """
    return _parsed(shard, stores.get(_segment_uri(scratch, shard)))


def _segment_uri(scratch: objects.ObjectUri, shard: int) -> objects.ObjectUri:
    return scratch.child(f"plan/segment-{shard:07d}.json")


def _parsed(shard: int, content: bytes) -> Segment:
    return Segment(shard, [Item(image_id, failure) for image_id, failure in json.loads(content)])


class _Seen:
    """The ids met so far, as 16-byte digests in a temporary database that spills to disk."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(
            "", isolation_level=None, check_same_thread=False
        )  # a private temporary file
        self._connection.execute(f"PRAGMA cache_size=-{SEEN_CACHE_KIB}")  # negative: in KiB
        self._connection.execute("PRAGMA journal_mode=OFF")
        self._connection.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        self._connection.execute("BEGIN")  # never committed: at each commit SQLite would walk every page that it holds

    def add(self, text: str) -> bool:
        """Remembers an id; returns whether it is new.

        Raises:
            ApiError: RESOURCE_EXHAUSTED if the temporary file cannot grow.
        """
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        try:
            return self._connection.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,)).rowcount == 1
        except sqlite3.Error as error:
            raise errors.resource_exhausted(
                f"The temporary file that finds rows listed twice cannot be written ({error}); make room on this machine's "
                "disk for temporary files (about 30 bytes a row), or name another one by TMPDIR."
            ) from error

    def close(self) -> None:
        self._connection.close()


def _sentence(hint: str | None) -> str:
    return f" {hint[0].upper()}{hint[1:]}." if hint else ""
