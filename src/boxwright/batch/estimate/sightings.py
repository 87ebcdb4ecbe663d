"""Which images of a sample are there, and how large they are, by questions that read none of them."""

from __future__ import annotations

import collections
import dataclasses
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

from google.rpc import code_pb2

from boxwright import errors, objects
from boxwright.batch.estimate import intervals
from boxwright.batch.segments import Item

AT_ONCE = 64
LOOKING_S = 15.0  # a store that takes longer for a thousand questions is asked fewer
POLL_S = 0.1
MAX_EXAMPLES = 3


@dataclasses.dataclass(frozen=True)
class Sighting:
    """What is known of one image: its size, or why it has none.

    Attributes:
        item: the image.
        size_bytes: of its file; None if it cannot be read.
        error: why not; None for rows that name no image.
    """

    item: Item
    size_bytes: int | None
    error: errors.ApiError | None = None


@dataclasses.dataclass
class Sightings:
    """What is known of a sample."""

    seen: list[Sighting] = dataclasses.field(default_factory=list)
    first_missing: list[str] = dataclasses.field(default_factory=list)

    @property
    def looked_at(self) -> list[Sighting]:
        """Those that name an image."""
        return [one for one in self.seen if one.item.failure is None]

    @property
    def missing(self) -> int:
        """How many images are not there."""
        return sum(one.error is not None and one.error.code == code_pb2.NOT_FOUND for one in self.seen)

    @property
    def mean_bytes(self) -> float:
        """Of all that was looked at; what cannot be read has none."""
        sizes = [one.size_bytes or 0 for one in self.seen]
        return sum(sizes) / max(1, len(sizes))

    def as_json(self, images: int) -> dict[str, Any]:
        """For the estimate's file; `images` is how many the job has."""
        looked_at = len(self.looked_at)
        is_all = len(self.seen) >= images
        share = self.missing / max(1, looked_at)
        low, high = (share, share) if is_all else intervals.wilson(self.missing, looked_at)
        trouble = collections.Counter(
            one.error.code_name for one in self.seen if one.error is not None and one.error.code != code_pb2.NOT_FOUND
        )
        return {
            "method": "all" if is_all else "sample",
            "looked_at": looked_at,
            "missing": self.missing,
            "missing_share": round(share, 6),
            "missing_share_low": round(low, 6),
            "missing_share_high": round(high, 6),
            "first_missing": self.first_missing,
            "trouble": dict(sorted(trouble.items())),
            "bytes": round(self.mean_bytes * images),
        }


def look(stores: objects.Stores, sample: Sequence[Item], should_stop: Callable[[], bool]) -> Sightings:
    """Looks for the images of a sample, many at once.

    Args:
        stores: where they are.
        sample: members of archives among them are not asked for.
        should_stop: asked ten times a second.
    """
    deadline_s = time.monotonic() + LOOKING_S
    found = Sightings()
    pool = futures.ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look")
    try:
        waiting = {pool.submit(_sighted, stores, item) for item in sample}
        while waiting and not should_stop() and time.monotonic() < deadline_s:
            done, waiting = futures.wait(waiting, POLL_S, futures.FIRST_COMPLETED)
            found.seen.extend(future.result() for future in done)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    order = {item.id: index for index, item in enumerate(sample)}
    found.seen.sort(key=lambda one: order[one.item.id])  # whatever the store answered first
    _explain(stores, found)
    return found


def _sighted(stores: objects.Stores, item: Item) -> Sighting:
    if item.failure is not None:
        return Sighting(item, None)
    if item.held is not None:
        return Sighting(item, item.held.length)
    try:
        return Sighting(item, stores.head(objects.ObjectUri.parse(item.id)).size_bytes)
    except errors.ApiError as error:
        return Sighting(item, None, error)


def _explain(stores: objects.Stores, found: Sightings) -> None:
    """Says of the first images that are not there what is there instead, if that can be told."""
    for one in found.seen:
        if isinstance(one.error, objects.ObjectNotFound) and len(found.first_missing) < MAX_EXAMPLES:
            error = objects.explained(stores, objects.ObjectUri.parse(one.item.id), one.error)
            found.first_missing.append(error.message)
