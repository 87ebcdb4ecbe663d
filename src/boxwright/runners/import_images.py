"""The images of an import: each is fetched, hashed, and decoded in a process without secrets.

What a row cannot know of its boxes is judged here: their edges in pixels.
"""

from __future__ import annotations

import concurrent.futures
import enum
import hashlib
import logging
import sqlite3
from collections.abc import Callable, Iterator
from typing import Self

from boxwright import boxes, errors, objects
from boxwright.batch.engine import convictions
from boxwright.images import decode, size_processes
from boxwright.operations.runner import Context

_Seen = tuple[str, int, int] | errors.ApiError  # (sha256, width, height) in pixels, or what is wrong
_IMAGES_A_THREAD = 16  # that are looked at between two looks at the time

log = logging.getLogger(__name__)


class BoxLimit(enum.Enum):
    """What happens to a box that is too small for a dataset, see `boxes.is_too_small`."""

    OF_ROWS = enum.auto()  # there is none: the rows were judged
    TELLS = enum.auto()  # it is left out, and counts as a row that failed
    DROPS = enum.auto()  # it is left out: a model has found it


class ImageLook:
    """Looks at the images that an import has staged.

    Args:
        stores: limited to what the caller may read.
        context: of the operation.
        threads: images fetched, and decoded, at the same time.
        image_timeout_s: for decoding one image.
    """

    def __init__(self, stores: objects.Stores, context: Context, threads: int, image_timeout_s: float) -> None:
        self._images = objects.Breaker(stores)
        self._sizes = size_processes.SizeProcesses(image_timeout_s)
        self._context = context
        self._threads = threads
        self._image_timeout_s = image_timeout_s

    def __enter__(self) -> Self:
        self._sizes.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._sizes.__exit__(*error)

    def over(self, staging: sqlite3.Connection, fail: Callable[..., None], limit: BoxLimit) -> Iterator[float]:
        """Completes the staged images, and yields the share that is done, 0 to 1.

        Args:
            staging: has the tables `images` and `annotations`.
            fail: hears of images that cannot be imported: place, reason, and how many rows.
            limit: of their boxes.

        Raises:
            StoreLost: a store is down.
            Stopped: the operation is to stop.
        """
        (total,) = staging.execute("SELECT count(*) FROM images").fetchone()
        done, last_id = 0, 0
        with concurrent.futures.ThreadPoolExecutor(self._threads) as pool:
            while batch := staging.execute(
                "SELECT id, uri, rows, place FROM images WHERE id > ? ORDER BY id LIMIT ?",
                (last_id, _IMAGES_A_THREAD * self._threads),
            ).fetchall():
                self._context.raise_if_stopped()
                last_id = batch[-1][0]
                staging.execute("BEGIN")
                for (image_id, uri, row_count, place), seen in zip(
                    batch, pool.map(lambda entry: self._look_at(entry[1]), batch), strict=True
                ):
                    if isinstance(seen, errors.ApiError):
                        reason = seen.message if uri in seen.message else f"{uri}: {seen.message}"
                        fail(place, reason, rows=row_count, code=seen.code)
                        continue
                    staging.execute(
                        "UPDATE images SET sha256 = ?, width_px = ?, height_px = ? WHERE id = ?", (*seen, image_id)
                    )
                    if limit is not BoxLimit.OF_ROWS:
                        count = _drop_too_small(staging, image_id, (seen[2], seen[1]))
                        if count and limit is BoxLimit.TELLS:
                            reason = f"{count} of its boxes have an edge below {boxes.MIN_EDGE_PX} pixels"
                            fail(place, f"{uri}: {reason}", rows=count)
                staging.execute("COMMIT")
                done += len(batch)
                yield done / total

    def _look_at(self, uri: str) -> _Seen:
        """Returns (sha256, width, height) of an image that decodes, or what is wrong with it; raises if a store is down."""
        try:
            data = self._images.get(objects.ObjectUri.parse(uri), max_bytes=decode.MAX_IMAGE_BYTES)
            height_px, width_px = self._sizes.size_hw(data, self._context.raise_if_stopped)
        except errors.ApiError as error:
            return error
        except decode.DecodeError as error:
            return errors.bad_request(f"{uri}: {error}")
        except size_processes.DecoderCrashError:
            log.warning("event=image_crashes_decoder operation=%s image=%s", self._context.name, uri)
            return errors.from_status(convictions.crashed(uri))
        except size_processes.DecoderOverdueError:
            return errors.from_status(convictions.hung(uri, self._image_timeout_s))
        return hashlib.sha256(data).hexdigest(), width_px, height_px


def _drop_too_small(staging: sqlite3.Connection, image_id: int, size_hw: tuple[int, int]) -> int:
    """Drops the staged boxes of an image that are smaller than a dataset's may be; returns how many."""
    staged = staging.execute(
        "SELECT rowid, x_min, y_min, x_max, y_max FROM annotations WHERE image_id = ? AND x_min IS NOT NULL",
        (image_id,),
    )
    small = [
        (number,)
        for number, x_min, y_min, x_max, y_max in staged.fetchall()
        if boxes.is_too_small((x_min, y_min, x_max, y_max), size_hw)
    ]
    staging.executemany("DELETE FROM annotations WHERE rowid = ?", small)
    return len(small)
