"""The plan of a batch job: the input list read as a stream and frozen, segment by segment.

A segment is one shard's images. Segments are put once, in order, each before its shard starts, so that a second attempt
splits the input exactly as the first did. The identity of every list is put once before the first row is read: a list that
changed under a running job fails it. An image that is listed twice is planned once; what was seen is remembered in a
temporary database that spills to disk. Rows that are no usable path are planned as failed images, and fail the job as a
whole when their share passes the limit, judged from the 1,000th row on and at the end.

A segment has as many images as the job says; only the first few of a list that is not short are smaller, so that the first
results are there soon.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from google.rpc import code_pb2, status_pb2

from boxwright import errors, faults, objects, row_hints, rows
from boxwright.batch import image_list
from boxwright.batch.job import BatchSpec

JUDGED_FROM_ROW = 1000
PLAN_VERSION = 2  # 1: every segment had the same size
FIRST_SEGMENTS, FIRST_SEGMENT_IMAGES = 5, 100  # of lists with at least `JUDGED_FROM_ROW` rows: about a second each
SEEN_CACHE_KIB = 4 * 1024  # of the ids met, this much is held in memory and the rest on disk; more is hardly faster


@dataclasses.dataclass(frozen=True)
class Item:
    """One image of the plan; `failure` says why its row is unusable, None if it is fine."""

    id: str
    failure: str | None = None


@dataclasses.dataclass(frozen=True)
class Segment:
    """One shard's images, in input order.

    Attributes:
        shard: the shard's number, from 1.
        items: its images.
    """

    shard: int
    items: list[Item]


class Plan:
    """The frozen plan of one job. Iterate `segments()` once."""

    def __init__(self, spec: BatchSpec, stores: objects.Stores) -> None:
        self._spec = spec
        self._stores = stores
        self._named = stores.named()  # for the lists
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
        lists = [objects.ObjectUri.parse(uri) for uri in self._spec.input_uris]
        self._freeze_identities(lists)
        held: list[Segment] = []
        for segment in self._split(lists):
            held.append(segment)
            if self.rows_read >= JUDGED_FROM_ROW:
                yield from held
                held.clear()
        self._judge()
        if self.rows_read == 0:
            raise errors.bad_request(errors.EMPTY_BATCH_CSV)
        self.is_complete = True
        yield from held

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

    def _freeze_identities(self, lists: list[objects.ObjectUri]) -> None:
        infos = [self._head(uri) for uri in lists]
        self.total_bytes = sum(info.size_bytes for info in infos)
        header: dict[str, Any] = {
            "version": PLAN_VERSION,
            "shard_images": self._spec.shard_images,
            "lists": [[str(info.uri), info.size_bytes, info.e_tag] for info in infos],
        }
        uri = self._scratch.child("plan/header.json")
        faults.point("plan.before_header")
        if not self._stores.put_once(uri, json.dumps(header).encode()):
            first = json.loads(self._stores.get(uri))
            self._shard_images = first["shard_images"]  # a setting may have changed since; the plan does not
            self._has_small_start = first["version"] > 1 and self._shard_images > FIRST_SEGMENT_IMAGES
            for (list_uri, *identity), (_, *identity_now) in zip(first["lists"], header["lists"], strict=True):
                if identity != identity_now:
                    raise _changed(list_uri)

    def _head(self, uri: objects.ObjectUri) -> objects.ObjectInfo:
        try:
            return self._named.head(uri)
        except objects.ObjectNotFound as error:
            raise objects.explained(self._named, uri, error, asks_for_folder=True) from error

    def _split(self, lists: list[objects.ObjectUri]) -> Iterator[Segment]:
        """Yields frozen segments while reading the lists."""
        stream = self._items(lists)
        start: list[Item] = []
        while self.rows_read < JUDGED_FROM_ROW and (first := next(stream, None)) is not None:
            start.append(first)
        is_short = self.rows_read < JUDGED_FROM_ROW
        small = FIRST_SEGMENTS if self._has_small_start and not is_short else 0
        items: list[Item] = []
        shard = 1
        for item in itertools.chain(start, stream):
            items.append(item)
            if len(items) == (FIRST_SEGMENT_IMAGES if shard <= small else self._shard_images):
                yield self._freeze(Segment(shard, items))
                shard, items = shard + 1, []
        if items:
            yield self._freeze(Segment(shard, items))

    def _items(self, lists: list[objects.ObjectUri]) -> Iterator[Item]:
        """Yields each image once; every row is counted."""
        finished_bytes = 0
        with contextlib.closing(_Seen()) as seen:
            for uri in lists:
                before = self._named.head(uri)
                for row in image_list.read(self._named, uri):
                    item = self._item(row)
                    is_new = seen.add(item.id)
                    if self.rows_read % JUDGED_FROM_ROW == 0:
                        self._judge()
                    if is_new:
                        self._met, self._met_bytes = self._met + 1, finished_bytes + row.end_bytes
                        yield item
                    else:
                        self.duplicates += 1
                if self._named.head(uri) != before:
                    raise _changed(str(uri))
                finished_bytes += before.size_bytes

    def _item(self, row: rows.Row) -> Item:
        self.rows_read += 1
        text = row.cells[0]
        try:
            self._named.note_readable(objects.caller_uri(text, self._stores.schemes))
        except objects.BadUri as error:
            self.rows_failed += 1
            hint = row_hints.of_image_list(row.cells, self._stores.schemes, is_first=row.line == 1)
            shown = f"{error.about(rows.quoted(text))}."
            reason = f"{row.uri}, line {row.line}: {shown}{_sentence(hint)}"
            if not rows.is_shown(text):
                text = f"{row.uri}, line {row.line}"  # names the row; its text may be a secret of another file
            if len(self.row_failures) < errors.MAX_PARTIAL_FAILURES:
                self.row_failures.append(status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=reason))
            return Item(text, reason)
        return Item(text)

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
            raise _changed(", ".join(self._spec.input_uris))
        return first


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


def _changed(uri: str) -> errors.ApiError:
    return errors.aborted(f"{uri} changed while the job was running; start a new job to predict the list as it is now.")
