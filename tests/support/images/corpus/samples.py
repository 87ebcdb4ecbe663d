"""What a sample of the corpus is, the drawing that most of them show, and how far a decoded image may be from it."""

from __future__ import annotations

import dataclasses
import functools
import io
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

EXACT, LOSSY, FEW_COLOURS = 0.0, 4.0, 12.0  # mean absolute difference a channel; a wrong turn gives more than 40
FORMATS = "JPEG, PNG, GIF, BMP, ICO, WEBP, TIFF"
NOT_AN_IMAGE = f"Not an image: the content is none of {FORMATS}."


@dataclasses.dataclass(frozen=True)
class Picture:
    """What decoding must give.

    Attributes:
        pixels: (h, w, 3) uint8, upright.
        tolerance: greatest mean absolute difference.
    """

    pixels: Pixels
    tolerance: float


@dataclasses.dataclass(frozen=True)
class Sample:
    """One file with its expected outcome.

    Attributes:
        kind: its row in docs/images.md.
        name: file name, unique in the corpus.
        outcome: the picture, or the whole sentence of the refusal.
        code: of the error line in a batch, 0 where the picture is decoded.
        bomb: whether its pixels or texts would fill the memory if they were unpacked.
    """

    kind: str
    name: str
    content: bytes
    outcome: Picture | str
    bomb: bool = False

    @property
    def code(self) -> int:
        return 3 if isinstance(self.outcome, str) else 0


@functools.cache
def drawing(width: int = 64, height: int = 48) -> Pixels:
    """Smooth, and different in every corner: no turn or mirror image looks alike; (height, width, 3), read-only."""
    x = np.linspace(20, 235, width)[None, :].repeat(height, 0)
    y = np.linspace(20, 235, height)[:, None].repeat(width, 1)
    pixels = np.stack([x, y, 255 - (x + y) / 2], axis=-1).astype(np.uint8)
    pixels[: height // 4, : width // 4] = (240, 240, 20)
    pixels.setflags(write=False)
    return pixels


@functools.cache
def flood(head: bytes = b"") -> bytes:
    """`head` and 128 MiB of zeros, squeezed to less than 1 MiB."""
    return zlib.compress(head + bytes(128 << 20), 1)


def grey(pixels: Pixels) -> Pixels:
    """The grey picture as RGB."""
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


def stored_for(pixels: Pixels, orientation: int) -> Pixels:
    """How a camera would store an upright picture under an EXIF orientation (JEITA CP-3451, 4.6.4)."""
    if orientation in (2, 3):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4):
        pixels = pixels[::-1]
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)  # 5: row 0 is the left side, column 0 the top
        if orientation in (6, 7):
            pixels = pixels[::-1]
        if orientation in (7, 8):
            pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def saved(pixels: Pixels | Image.Image, format_name: str, **options: object) -> bytes:
    """Encodes with Pillow."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    target = io.BytesIO()
    image.save(target, format_name, **options)
    return target.getvalue()


def exact(pixels: Pixels) -> Picture:
    """A picture that decoding must give bit by bit."""
    return Picture(np.ascontiguousarray(pixels), EXACT)


def lossy(pixels: Pixels) -> Picture:
    """A picture as a lossy format keeps it."""
    return Picture(np.ascontiguousarray(pixels), LOSSY)
