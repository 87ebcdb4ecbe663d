"""An image in the network's frame: scaled to fit and its aspect kept, or stretched, beside grey where it does not reach."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from boxwright.images import decode, resize

FILL = 127  # grey that becomes zero after the network's normalisation
LETTERBOX, LETTERBOX_TOP_LEFT, STRETCH = "letterbox", "letterbox-topleft", "stretch"
RESIZES = (LETTERBOX, LETTERBOX_TOP_LEFT, STRETCH)  # aspect kept and centred, or in the corner; aspect not kept


@dataclasses.dataclass(frozen=True)
class Framing:
    """How an image fills the frame.

    Attributes:
        resize: one of `RESIZES`.
        fill: grey of what it leaves free, 0 to 255.
    """

    resize: str = LETTERBOX
    fill: int = FILL


CENTRED = Framing()


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


def letterbox(image: decode.DecodedImage, input_hw: tuple[int, int], framing: Framing = CENTRED) -> Prepared:
    """Scales an image to fit into the frame, keeps its aspect, centres it on grey; or as `framing` says."""
    height, width = input_hw
    original_height, original_width = image.size_hw
    scale = min(height / original_height, width / original_width)
    scaled_width = min(width, max(1, round(original_width * scale)))
    scaled_height = min(height, max(1, round(original_height * scale)))
    if framing.resize == STRETCH:
        scaled_width, scaled_height = width, height
    pixels = image.pixels
    if pixels.shape[:2] != (scaled_height, scaled_width):
        pixels = resize.resized(pixels, (scaled_height, scaled_width))
    left, top = (width - scaled_width) // 2, (height - scaled_height) // 2
    if framing.resize == LETTERBOX_TOP_LEFT:
        left = top = 0
    frame = np.full((1, height, width, 3), framing.fill, np.uint8)
    frame[0, top : top + scaled_height, left : left + scaled_width] = pixels
    return Prepared(frame, (left, top), (scaled_width, scaled_height), image.size_hw)


def decoded_hw(size_hw: tuple[int, int], input_hw: tuple[int, int]) -> tuple[int, int]:
    """The frame for which an image is decoded that is stretched to `input_hw`: so large that neither side lacks pixels.

    Args:
        size_hw: of the upright image, in pixels.
        input_hw: the network's frame, in pixels.
    """
    factor = min(side / target for side, target in zip(size_hw, input_hw, strict=True))
    if factor <= 1:
        return (max(size_hw[0], input_hw[0]), max(size_hw[1], input_hw[1]))
    return (math.ceil(size_hw[0] / factor), math.ceil(size_hw[1] / factor))
