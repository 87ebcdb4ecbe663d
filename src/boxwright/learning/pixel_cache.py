"""The pixels of a training's images, decoded once and kept small in memory.

PixelCache(read_bytes, frame_hw, limit_bytes).get(uri) -> pixels      upright, near network scale, within a byte limit
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from boxwright import errors
from boxwright.images import decode

CACHE_SCALE = 1.25  # cached images are this much larger than the network's view: room to zoom in without blur


class UnreadableImage(Exception):
    """An image cannot be used; the text names it and says why."""


class PixelCache:
    """Upright images at a fixed scale, decoded once while they fit into the byte limit. Safe for several threads."""

    def __init__(self, read_bytes: Callable[[str], bytes], frame_hw: tuple[int, int], limit_bytes: int) -> None:
        """Nothing is decoded yet.

        Args:
            read_bytes: from a URI to the encoded image; OSError, LookupError or ApiError mean that it is not there.
            frame_hw: the network's input; images are kept to fit `CACHE_SCALE` times this.
            limit_bytes: of pixels in memory; images beyond it are decoded again each time.
        """
        self._read_bytes = read_bytes
        self._frame_hw = (round(frame_hw[0] * CACHE_SCALE), round(frame_hw[1] * CACHE_SCALE))
        self._limit_bytes = limit_bytes
        self._pixels: dict[str, npt.NDArray[np.uint8]] = {}
        self._used_bytes = 0
        self.one_colour: set[str] = set()  # URIs of images met so far in which nothing can be seen
        self._lock = threading.Lock()

    def get(self, uri: str) -> npt.NDArray[np.uint8]:
        """Returns (h, w, 3) uint8, upright; do not write to it.

        Raises:
            UnreadableImage: the bytes are absent or no image.
        """
        found = self._pixels.get(uri)
        if found is not None:
            return found
        try:
            image = decode.decode(self._read_bytes(uri), self._frame_hw)
        except (OSError, LookupError, errors.ApiError) as error:
            raise UnreadableImage(f"{uri}: the image cannot be read: {error}") from error
        except decode.DecodeError as error:
            raise UnreadableImage(f"{uri}: {error.reason}") from error
        pixels = self._shrunk(image.pixels)
        is_one_colour = decode.is_one_colour(pixels)
        with self._lock:
            if is_one_colour:
                self.one_colour.add(uri)
            if uri not in self._pixels and self._used_bytes + pixels.nbytes <= self._limit_bytes:
                self._pixels[uri] = pixels
                self._used_bytes += pixels.nbytes
        return pixels

    @property
    def is_full(self) -> bool:
        """Whether another image of average size would not fit."""
        with self._lock:
            return self._used_bytes + self._used_bytes // max(1, len(self._pixels)) >= self._limit_bytes

    def warm(self, uri: str) -> int:
        """Loads an image ahead of its use; 1 if it could be read. Who uses it reports what is wrong with it."""
        try:
            self.get(uri)
        except UnreadableImage:
            return 0
        return 1

    def _shrunk(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        height, width = pixels.shape[:2]
        scale = min(self._frame_hw[0] / height, self._frame_hw[1] / width)
        if scale >= 1.0:
            return pixels
        size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
        return np.asarray(Image.fromarray(pixels).resize(size_wh, Image.Resampling.BILINEAR), np.uint8)
