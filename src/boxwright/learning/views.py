"""What a step looks at, whatever is learned: images in the order of the passes, parts of them, colours, batches made ahead.

ImageSequence(…).image(position)             the readable example there in the endless shuffled sequence
place(image, size_hw, scale, left, top)      the part of an image that a frame shows
colour_table(rng, strength)                  a random change of brightness and white balance
Prefetcher                                   the next batches, made in the background
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from boxwright.learning import pixel_cache, sampling

FILL = (127, 127, 127)  # the letterbox's grey
GAIN_RANGE = (0.75, 1.25)  # brightness, all channels
CHANNEL_GAIN_RANGE = (0.9, 1.1)  # white balance
OFFSET_RANGE = (-15.0, 15.0)  # grey levels
MAX_ATTEMPTS = 20  # unreadable images in a row before training gives up
AHEAD = 4  # batches made in advance


class StoredExample(Protocol):
    """An example as far as this module knows it."""

    @property
    def uri(self) -> str: ...


E = TypeVar("E", bound=StoredExample)


class ImageSequence(Generic[E]):
    """Examples in the order in which passes show them, each as often as its weight says."""

    def __init__(
        self,
        examples: Sequence[E],
        weights: npt.NDArray[np.float64],
        cache: pixel_cache.PixelCache,
        *,
        seed: int,
        warn: Callable[[str], None],
    ) -> None:
        self._weights = weights
        self.epoch_length = sampling.pass_length(weights)
        self._examples = examples
        self._cache = cache
        self._seed = seed
        self._warn = warn
        self._warned: set[str] = set()
        self._orders: dict[int, npt.NDArray[np.int64]] = {}

    def image(self, position: int) -> tuple[Image.Image, E]:
        """The readable example at or after a position in the endless shuffled sequence.

        Raises:
            UnreadableImage: none of the next ones can be read.
        """
        reason = ""
        for attempt in range(MAX_ATTEMPTS):
            epoch, index = divmod(position + attempt, self.epoch_length)
            example = self._examples[self._order(epoch)[index]]
            try:
                return Image.fromarray(self._cache.get(example.uri)), example
            except pixel_cache.UnreadableImage as error:
                reason = str(error)
                if example.uri not in self._warned:
                    self._warned.add(example.uri)
                    self._warn(f"An image is left out of training. {reason}")
        raise pixel_cache.UnreadableImage(f"{MAX_ATTEMPTS} training images in a row cannot be read; the last: {reason}")

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        order = self._orders.get(epoch)
        if order is None:
            order = sampling.one_pass(self._weights, np.random.default_rng((self._seed, epoch, 1 << 32)))
            near = {number: kept for number, kept in self._orders.items() if abs(number - epoch) == 1}
            self._orders = {**near, epoch: order}  # a mosaic reaches into the next one
        return order


def place(image: Image.Image, size_hw: tuple[int, int], scale: float, left: float, top: float) -> Image.Image:
    """The part of an image that a frame shows when the image is scaled and its corner put at (left, top), in pixels."""
    height, width = size_hw
    x_first, x_last = max(0, round(left)), min(width, round(left + image.width * scale))
    y_first, y_last = max(0, round(top)), min(height, round(top + image.height * scale))
    if x_last <= x_first or y_last <= y_first:
        return Image.new("RGB", (width, height), FILL)
    box = (
        max(0.0, (x_first - left) / scale),
        max(0.0, (y_first - top) / scale),
        min(float(image.width), (x_last - left) / scale),
        min(float(image.height), (y_last - top) / scale),
    )
    part = image.resize((x_last - x_first, y_last - y_first), Image.Resampling.BILINEAR, box=box)
    if part.size == (width, height):
        return part
    canvas = Image.new("RGB", (width, height), FILL)
    canvas.paste(part, (x_first, y_first))
    return canvas


def colour_table(rng: np.random.Generator, strength: float) -> list[int]:
    """A table for `Image.point` of an RGB image, 3 x 256 levels; a strength of 0 changes nothing."""
    gains = rng.uniform(*CHANNEL_GAIN_RANGE, 3) * rng.uniform(*GAIN_RANGE)
    gains = 1.0 + strength * (gains - 1.0)
    levels = np.arange(256)[None] * gains[:, None] + strength * rng.uniform(*OFFSET_RANGE)  # (3, 256)
    return np.clip(levels, 0, 255).astype(np.uint8).reshape(-1).tolist()


class BatchBuilder(Protocol):
    """Makes the batch of a step with a view; safe for several threads."""

    def batch(self, step: int, view: Any, /) -> Any: ...


class Prefetcher:
    """Makes the batches of the next steps in background threads; `view_of` must be stable for the steps ahead."""

    def __init__(self, source: BatchBuilder, view_of: Callable[[int], Any], first_step: int, threads: int = 1) -> None:
        self._source = source
        self._view_of = view_of
        self._next = first_step
        self._pool = futures.ThreadPoolExecutor(threads, thread_name_prefix="batches")
        self._pending: list[futures.Future[Any]] = []
        self._lock = threading.Lock()

    def take(self) -> Any:
        """The next step's batch, in order."""
        with self._lock:
            while len(self._pending) < AHEAD:
                step = self._next
                self._pending.append(self._pool.submit(self._source.batch, step, self._view_of(step)))
                self._next += 1
            future = self._pending.pop(0)
        return future.result()

    def close(self) -> None:
        """Drops what was made ahead."""
        self._pool.shutdown(wait=True, cancel_futures=True)
