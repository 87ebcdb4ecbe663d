"""Images for people: upright, small, or with boxes drawn into them."""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import pathlib
import warnings
from collections.abc import Iterable
from typing import cast

from PIL import Image, ImageDraw, ImageFont, ImageOps

from boxwright.contact_sheet.boxes import COLOURS, Box, Prediction

THUMBNAIL_PX = 480
JPEG_QUALITY, SAVED_QUALITY = 82, 92
FONTS = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "arial.ttf")
WIDE_MODES = ("I", "F")  # Pillow's for more than 8 bits, which it would cut off instead of scaling


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class PictureError(Exception):
    """An image cannot be shown; the message says why."""


def open_upright(source: pathlib.Path | bytes) -> Image.Image:
    """Opens an image as viewers show it: turned as EXIF says, transparency on white, as RGB with 8 bits.

    Args:
        source: a file's path, or its content.

    Raises:
        PictureError: it is not there or no image that can be shown.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks about odd files and large images
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as stored:
                image = ImageOps.exif_transpose(stored)
                return _as_rgb(image)
    except FileNotFoundError as error:
        raise PictureError("There is no such file.") from error
    except Image.DecompressionBombError as error:
        raise PictureError("The image is too large to be shown.") from error
    except (OSError, ValueError, SyntaxError, TypeError, EOFError, MemoryError) as error:
        raise PictureError(f"It cannot be shown: {error}.") from error


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(WIDE_MODES):
        low, high = cast("tuple[float, float]", image.getextrema())
        scale = 255 / (high - low) if high > low else 1.0
        return image.convert("F").point(lambda value: value * scale - low * scale).convert("L").convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        opaque = image.convert("RGBA")
        if opaque.getchannel("A").getextrema() != (0, 0):  # alpha that is 0 everywhere means nothing
            white = Image.new("RGBA", opaque.size, "white")
            opaque = Image.alpha_composite(white, opaque)
        return opaque.convert("RGB")
    return image.convert("RGB")


def thumbnail(source: pathlib.Path | bytes) -> tuple[str, tuple[int, int]]:
    """The image upright and small, as base64 JPEG, and its size (width, height) in pixels.

    Raises:
        PictureError: it cannot be shown.
    """
    image = open_upright(source)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode("ascii"), image.size


def draw(image: Image.Image, predictions: Iterable[Prediction], colour_of: dict[str, str]) -> None:
    """Draws what was found into an image, with score: boxes, the best one last; labels of the image in its corner.

    Args:
        image: RGB, upright; it is changed.
        colour_of: the labels' colours, ``#rrggbb``; labels that are not there are added.
    """
    drawn = sorted(predictions, key=lambda prediction: prediction.score)
    pen = ImageDraw.Draw(image)
    line_px = max(2, round(min(image.size) / 250))
    font = _font(max(11, round(min(image.size) / 40)))
    next_top: float = line_px
    for prediction in reversed(drawn):
        if prediction.box is None:  # the best at the top, as far as there is room
            text = f"{prediction.label} {prediction.score:.2f}"
            bottom = _write(pen, text, (line_px, next_top), line_px, font, _colour(prediction.label, colour_of))
            next_top = bottom + line_px
            if next_top >= image.height:
                break
    for prediction in drawn:
        if prediction.box is not None:
            _draw_box(image, pen, prediction, prediction.box, line_px, font, _colour(prediction.label, colour_of))


def _colour(label: str, colour_of: dict[str, str]) -> str:
    return colour_of.setdefault(label, COLOURS[len(colour_of) % len(COLOURS)])


def _draw_box(
    image: Image.Image,
    pen: ImageDraw.ImageDraw,
    prediction: Prediction,
    box: Box,
    line_px: int,
    font: _Font,
    colour: str,
) -> None:
    left, right = sorted((box.x_min * image.width, box.x_max * image.width))
    top, bottom = sorted((box.y_min * image.height, box.y_max * image.height))
    pen.rectangle((left, top, right, bottom), outline=colour, width=line_px)
    text = f"{box.label} {prediction.score:.2f}"
    _, _, text_width, text_height = pen.textbbox((0, 0), text, font=font)
    x = max(0, min(left, image.width - text_width - 2 * line_px))
    y = top - text_height - line_px if top >= text_height + line_px else top
    _write(pen, text, (x, y), line_px, font, colour)


def _write(
    pen: ImageDraw.ImageDraw, text: str, place: tuple[float, float], line_px: int, font: _Font, colour: str
) -> float:
    """Writes a text on its colour; returns where it ends at the bottom."""
    x, y = place
    _, _, text_width, text_height = pen.textbbox((0, 0), text, font=font)
    pen.rectangle((x, y, x + text_width + 2 * line_px, y + text_height + line_px), fill=colour)
    pen.text((x + line_px, y), text, fill="#111111", font=font)
    return y + text_height + line_px


@functools.cache
def _font(size_px: int) -> _Font:
    """A font of this machine with many scripts, or else Pillow's own, which has little more than ASCII."""
    for name in FONTS:
        with contextlib.suppress(OSError):
            return ImageFont.truetype(name, size_px)
    return ImageFont.load_default(size_px)


def save(image: Image.Image, path: pathlib.Path) -> None:
    """Saves an image as JPEG."""
    image.save(path, "JPEG", quality=SAVED_QUALITY)
