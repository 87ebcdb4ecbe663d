"""An image's bytes to a JPEG of a given size, upright, of the whole image or of a part.

    render(data, wanted) -> bytes      the picture
    look(data) -> ImageFacts          decodes the image, and says what it is

Pixels are the decoder's (`images.decode`), so that boxes lie where a model has seen them; nothing is enlarged.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import simplejpeg

from boxwright.images import decode, headers, resize

JPEG_QUALITY = 80
PROBE_HW = (32, 32)  # decoding is only a check here: at the smallest scale that the decoder offers
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "BMP": ".bmp", "ICO": ".ico", "WEBP": ".webp", "TIFF": ".tif"}
WHOLE = (0.0, 0.0, 1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class PictureRequest:
    """What is wanted of an image.

    Attributes:
        edge_px: the picture's longer side at most.
        region: left, top, width and height of the part, as fractions of the upright image's sides, in [0, 1].
    """

    edge_px: int
    region: tuple[float, float, float, float] = WHOLE


@dataclasses.dataclass(frozen=True)
class ImageFacts:
    """What an image is: its size in pixels, upright, and the suffix of files of its format."""

    height_px: int
    width_px: int
    suffix: str


def render(data: bytes, wanted: PictureRequest) -> bytes:
    """Makes the picture: upright RGB as a JPEG.

    Raises:
        DecodeError: the bytes are no usable image.
    """
    if wanted.region == WHOLE:
        decoded = decode.decode(data, (wanted.edge_px, wanted.edge_px))
        pixels = decoded.pixels
        size_hw = _within(*decoded.size_hw, wanted.edge_px)
    else:
        height_px, width_px = decode.upright_size(data)
        left, top, width, height = wanted.region
        size_hw = _within(height * height_px, width * width_px, wanted.edge_px)
        share = min(1.0, wanted.edge_px / max(height * height_px, width * width_px, 1.0))
        whole_hw = (max(1, math.ceil(height_px * share)), max(1, math.ceil(width_px * share)))
        pixels = _part(decode.decode(data, whole_hw).pixels, left, top, width, height)
    size_hw = (min(size_hw[0], pixels.shape[0]), min(size_hw[1], pixels.shape[1]))
    if pixels.shape[:2] != size_hw:
        pixels = resize.resized(np.ascontiguousarray(pixels), size_hw)
    return simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels), quality=JPEG_QUALITY, colorspace="RGB", colorsubsampling="420"
    )


def look(data: bytes) -> ImageFacts:
    """Decodes an image at the smallest scale.

    Raises:
        DecodeError: the bytes are no usable image.
    """
    height_px, width_px = decode.decode(data, PROBE_HW).size_hw
    found = headers.inspect(data).format
    return ImageFacts(height_px, width_px, SUFFIXES.get(found, ".img"))


def _within(height_px: float, width_px: float, edge_px: int) -> tuple[int, int]:
    """The size of a picture of so many pixels that is not longer than `edge_px`."""
    share = min(1.0, edge_px / max(height_px, width_px, 1.0))
    return max(1, round(height_px * share)), max(1, round(width_px * share))


def _part(pixels: npt.NDArray[np.uint8], left: float, top: float, width: float, height: float) -> npt.NDArray[np.uint8]:
    """The pixels of a part, at least one in each direction."""
    rows, columns = pixels.shape[:2]
    x, y = min(int(left * columns), columns - 1), min(int(top * rows), rows - 1)
    right = min(columns, max(x + 1, math.ceil((left + width) * columns)))
    bottom = min(rows, max(y + 1, math.ceil((top + height) * rows)))
    return pixels[y:bottom, x:right]
