"""An image in the network's frame: scaled to fit, its aspect kept, centred on grey."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from boxwright.images import decode, resize

FILL = 127  # grey that becomes zero after the network's normalisation


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An image in the network's frame.

    Attributes:
        pixels: (1, H, W, 3) uint8, letterboxed.
        offset_xy: where the image starts in the frame, in pixels.
        scaled_wh: width and height that the image occupies in the frame, in pixels.
        size_hw: upright original, in pixels.
    """

    pixels: npt.NDArray[np.uint8]
    offset_xy: tuple[int, int]
    scaled_wh: tuple[int, int]
    size_hw: tuple[int, int]

    @property
    def is_one_colour(self) -> bool:
        """Whether the image, as the network sees it, has a single colour."""
        (left, top), (width, height) = self.offset_xy, self.scaled_wh
        return decode.is_one_colour(self.pixels[0, top : top + height, left : left + width])


def letterbox(image: decode.DecodedImage, input_hw: tuple[int, int]) -> Prepared:
    """Scales an image to fit into the frame, keeps its aspect, centres it on grey."""
    height, width = input_hw
    original_height, original_width = image.size_hw
    scale = min(height / original_height, width / original_width)
    scaled_width = min(width, max(1, round(original_width * scale)))
    scaled_height = min(height, max(1, round(original_height * scale)))
    pixels = image.pixels
    if pixels.shape[:2] != (scaled_height, scaled_width):
        pixels = resize.resized(pixels, (scaled_height, scaled_width))
    left, top = (width - scaled_width) // 2, (height - scaled_height) // 2
    frame = np.full((1, height, width, 3), FILL, np.uint8)
    frame[0, top : top + scaled_height, left : left + scaled_width] = pixels
    return Prepared(frame, (left, top), (scaled_width, scaled_height), image.size_hw)
