"""The inputs of a job, read as the job reads them, and a sample of what they name."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import math
import pathlib
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from google.rpc import status_pb2

from boxwright import objects
from boxwright.batch.inputs.member_files import MemberFiles
from boxwright.batch.job import BatchJob
from boxwright.batch.plan import Plan
from boxwright.batch.segments import Item, Segment

SAMPLE_IMAGES = 1000  # a share of a half is known to 3 points then
READING_S = 40.0  # what is not read by then is extrapolated
KEPT_BYTES = 64 << 20  # of archives' members, on this machine's disk, until they are predicted
MAX_REASONS, MAX_EXAMPLES, MAX_SUFFIXES = 20, 3, 30
OTHER = "other"
_PLACE = re.compile(r"^\S+, line \d+: ")
_CELL = re.compile(r"'.*?' is not |^the text there is not ")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,15}")


@dataclasses.dataclass
class Reason:
    """Why rows are unusable: how many, and the first of them in full."""

    rows: int = 0
    first: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Survey:
    """What the inputs of a job name.

    Attributes:
        rows: that were read.
        unusable: of these, the ones that name no image.
        duplicates: rows that name an image again.
        images: different images of the whole job, unusable rows among them; estimated if not all was read.
        read_share: of the inputs, (0, 1]; 1: all was read.
        reasons: of unusable rows, by the reason in words.
        suffixes: images by the suffix of their names, with its full stop and in small letters.
        left_out: names in folders and archives that are no images, by address and suffix.
        opening_s: seconds until the first row, names of folders listed by then.
        sample: images that were chosen at random.
        row_failures: of the first unusable rows.
    """

    rows: int = 0
    unusable: int = 0
    duplicates: int = 0
    images: int = 0
    read_share: float = 1.0
    reasons: dict[str, Reason] = dataclasses.field(default_factory=dict)
    suffixes: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    left_out: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    opening_s: float = 0.0
    sample: list[Item] = dataclasses.field(default_factory=list)
    row_failures: list[status_pb2.Status] = dataclasses.field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For the estimate's file."""
        reasons = sorted(self.reasons.items(), key=lambda entry: -entry[1].rows)
        return {
            "rows": self.rows,
            "images": self.images,
            "duplicates": self.duplicates,
            "unusable": self.unusable,
            "reasons": [{"reason": why, **dataclasses.asdict(reason)} for why, reason in reasons],
            "left_out": self.left_out,
            "suffixes": dict(self.suffixes.most_common()),
            "read_share": round(self.read_share, 4),
        }


class Sample:
    """So many of a stream of unknown length, each with the same chance, always the same for the same stream.

    Source: K.-H. Li, Reservoir-sampling algorithms of time complexity O(n(1 + log(N/n))), ACM TOMS 20 (1994), algorithm L.

    Args:
        size: how many.
    """

    def __init__(self, size: int) -> None:
        self.items: list[Item] = []
        self._size = size
        self._rng = np.random.default_rng(0)
        self._seen = 0
        self._next = 0
        self._weight = 1.0

    def offer(self, item: Item) -> Item | None:
        """Takes an item of the stream; returns the one that is not in the sample now, which may be this one."""
        self._seen += 1
        if len(self.items) < self._size:
            self.items.append(item)
            if len(self.items) == self._size:
                self._skip()
            return None
        if self._seen < self._next:
            return item
        index = int(self._rng.integers(self._size))
        item, self.items[index] = self.items[index], item
        self._skip()
        return item

    def _skip(self) -> None:
        self._weight *= math.exp(math.log(1 - self._rng.random()) / self._size)
        left_out = math.floor(math.log(1 - self._rng.random()) / math.log1p(-self._weight)) if self._weight < 1 else 0
        self._next = self._seen + left_out + 1


@contextlib.contextmanager
def taken(
    job: BatchJob, stores: objects.Stores, should_stop: Callable[[], bool], note_rows: Callable[[int], None]
) -> Iterator[Survey]:
    """Reads the inputs, for a while; the sample's members of archives are kept as long as the context lasts.

    Args:
        job: whose inputs they are; only its scratch is written to.
        stores: where everything is.
        should_stop: asked now and then; once it is true, what was read by then is all.
        note_rows: told now and then how many rows were read.

    Raises:
        ApiError: with which the job itself would fail because of its inputs.
    """
    found, began_s = Survey(), time.monotonic()
    plan = Plan(job.spec, stores, job.folders.notes, keeps=False)
    with contextlib.closing(plan):
        collector = _Collector(found)
        for segment in plan.segments():
            collector.take(segment)
            note_rows(plan.rows_read)
            if should_stop() or time.monotonic() - began_s > READING_S:
                break
        found.opening_s = plan.opening_s
        found.rows, found.unusable, found.duplicates = plan.rows_read, plan.rows_failed, plan.duplicates
        found.left_out, found.row_failures = plan.left_out, plan.row_failures
        found.sample = collector.sample.items
        estimated = plan.estimated_images() or 0
        found.images = round(estimated)
        if not plan.is_complete and estimated:
            found.read_share = min(1.0, plan.images_planned / estimated)
        yield found


class _Collector:
    """Takes the segments of a plan one by one."""

    def __init__(self, found: Survey) -> None:
        self.sample = Sample(SAMPLE_IMAGES)
        self._found = found
        self._kept_bytes = 0

    def take(self, segment: Segment) -> None:
        for item in segment.items:
            if item.failure is not None:
                self._note_unusable(item.failure)
            else:
                self._note_suffix(item.id)
            if item.held is not None and self._kept_bytes + item.held_bytes > KEPT_BYTES:
                self._drop(segment.files, item)  # its size still counts
                item = dataclasses.replace(item, held=item.held._replace(path=""))
            else:
                self._kept_bytes += item.held_bytes
            left = self.sample.offer(item)
            if left is not None and left.held is not None and left.held.path:
                self._kept_bytes -= left.held_bytes
                self._drop(segment.files, left)

    def _drop(self, files: MemberFiles | None, item: Item) -> None:
        if files is not None and item.held is not None:
            files.drop(item.held)

    def _note_unusable(self, failure: str) -> None:
        why = _CELL.sub("it is not ", _PLACE.sub("", failure))
        reasons = self._found.reasons
        reason = reasons.setdefault(why if why in reasons or len(reasons) < MAX_REASONS else OTHER, Reason())
        reason.rows += 1
        if len(reason.first) < MAX_EXAMPLES:
            reason.first.append(failure)

    def _note_suffix(self, image_id: str) -> None:
        suffix = pathlib.PurePosixPath(image_id).suffix.lower() if "." in image_id[-17:] else ""
        if not _SUFFIX.fullmatch(suffix):
            suffix = OTHER
        suffixes = self._found.suffixes
        suffixes[suffix if suffix in suffixes or len(suffixes) < MAX_SUFFIXES else OTHER] += 1
