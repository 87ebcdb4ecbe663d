"""The shape of a network's input: that of the images, so that a letterbox wastes few of its pixels.

upright_sizes(examples, read_bytes, threads) -> [(height, width) or None]
closest_hw(area_px, sizes_hw, multiple_px) -> (height, width)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Protocol

from boxwright import errors
from boxwright.images import decode

MAX_ASPECT = 2.0  # longer frames waste pixels on images of the other orientation


class _Addressed(Protocol):
    @property
    def uri(self) -> str: ...


def upright_sizes(
    examples: Sequence[_Addressed], read_bytes: Callable[[str], bytes], threads: int
) -> list[tuple[int, int] | None]:
    """Height and width in pixels of each image, turned as EXIF says; None for one that cannot be read."""

    def size_hw(example: _Addressed) -> tuple[int, int] | None:
        try:
            return decode.upright_size(read_bytes(example.uri))
        except (OSError, LookupError, errors.ApiError, decode.DecodeError):
            return None  # reported when it is needed for training

    with futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(size_hw, examples))


def closest_hw(area_px: int, sizes_hw: Sequence[tuple[int, int]], multiple_px: int) -> tuple[int, int]:
    """Frame of about `area_px` pixels with the median aspect of the images; its sides are multiples of `multiple_px`."""
    aspects = sorted(width / height for height, width in sizes_hw) or [1.0]
    aspect = min(MAX_ASPECT, max(1 / MAX_ASPECT, aspects[len(aspects) // 2]))
    sides = range(multiple_px, 2 * math.isqrt(area_px) + multiple_px, multiple_px)

    def misfit(frame_hw: tuple[int, int]) -> float:
        height, width = frame_hw
        return abs(math.log(height * width / area_px)) + abs(math.log(width / height / aspect))

    return min(((height, width) for height in sides for width in sides), key=misfit)
