"""Five kinds of object, drawn: each call gives another specimen as an RGBA picture, cropped to what is visible."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Point = tuple[float, float]

DRAWING_PX = 256  # every specimen is drawn at this size, turned, and only then reduced: smooth edges
VISIBLE_ALPHA = 128  # a pixel belongs to the object from here on; boxes are measured on it

_METALS: tuple[Colour, ...] = ((198, 160, 74), (150, 156, 164), (176, 110, 66), (96, 112, 138), (74, 74, 80))
_LEAVES: tuple[Colour, ...] = ((72, 128, 52), (118, 150, 48), (176, 132, 40), (168, 70, 38), (44, 98, 62))
_PAINTS: tuple[Colour, ...] = ((206, 52, 60), (236, 186, 44), (62, 104, 196), (146, 70, 168), (236, 232, 222))


def draw(kind: str, rng: np.random.Generator, longest_px: int) -> Image.Image:
    """Draws a specimen of `kind`, turned at random, whose longer visible side is about `longest_px`."""
    canvas = Image.new("RGBA", (DRAWING_PX, DRAWING_PX))
    _PAINTERS[kind](ImageDraw.Draw(canvas), rng)
    canvas = _textured(canvas, rng)
    canvas = canvas.rotate(float(rng.uniform(0, 360)), Image.Resampling.BICUBIC, expand=True)
    canvas = canvas.crop(visible_box(canvas))
    scale = longest_px / max(canvas.size)
    size = (max(1, round(canvas.width * scale)), max(1, round(canvas.height * scale)))
    return canvas.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BICUBIC)


def visible_box(picture: Image.Image) -> tuple[int, int, int, int]:
    """The pixel box of what is visible in an RGBA picture."""
    box = picture.getchannel("A").point(lambda alpha: 255 if alpha >= VISIBLE_ALPHA else 0).getbbox()
    if box is None:
        raise ValueError("nothing is visible in this picture")
    return box


def _textured(canvas: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Grain and a bevelled edge, so that no surface is one flat colour."""
    alpha = canvas.getchannel("A")
    relief = np.asarray(alpha.filter(ImageFilter.GaussianBlur(6)), np.float32) / 255  # (S, S), 1 well inside
    grain = rng.normal(0, 0.05, (DRAWING_PX // 4, DRAWING_PX // 4)).astype(np.float32)
    grain = np.asarray(Image.fromarray(grain).resize(canvas.size, Image.Resampling.BILINEAR))
    slope = np.gradient(relief, axis=0) + np.gradient(relief, axis=1)
    factor = np.clip(1 + grain + 4 * slope, 0.45, 1.5)[..., None]
    colours = np.clip(np.asarray(canvas.convert("RGB"), np.float32) * factor, 0, 255).astype(np.uint8)
    textured = Image.fromarray(colours)
    textured.putalpha(alpha)
    return textured


def _pick(colours: Sequence[Colour], rng: np.random.Generator) -> Colour:
    """One of `colours`, slightly off."""
    red, green, blue = colours[int(rng.integers(len(colours)))]
    shift = rng.integers(-14, 15, 3)
    return tuple(int(np.clip(value + off, 0, 255)) for value, off in zip((red, green, blue), shift, strict=True))  # type: ignore[return-value]


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, round(value * factor)) for value in colour)
    return red, green, blue


def _polar(radius: float, angle: float) -> Point:
    """A point of the drawing, `radius` in halves of its side, from the middle."""
    half = DRAWING_PX / 2
    return half + half * radius * math.cos(angle), half + half * radius * math.sin(angle)


def _disc(radius: float, centre: Point = (0.5, 0.5)) -> tuple[float, float, float, float]:
    x, y = centre[0] * DRAWING_PX, centre[1] * DRAWING_PX
    reach = radius * DRAWING_PX / 2
    return x - reach, y - reach, x + reach, y + reach


def _gear(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    colour, teeth = _pick(_METALS, rng), int(rng.integers(7, 13))
    root, step = float(rng.uniform(0.68, 0.76)), 2 * math.pi / teeth
    outline: list[Point] = []
    for tooth in range(teeth):
        middle = tooth * step
        outline += [_polar(root, middle - 0.32 * step), _polar(0.94, middle - 0.17 * step)]
        outline += [_polar(0.94, middle + 0.17 * step), _polar(root, middle + 0.32 * step)]
    pen.polygon(outline, fill=colour)
    pen.ellipse(_disc(0.52), outline=_shade(colour, 0.7), width=5)
    for spoke in range(int(rng.integers(3, 6))):
        x, y = _polar(0.42, spoke * 2 * math.pi / 5)
        pen.ellipse((x - 10, y - 10, x + 10, y + 10), fill=_shade(colour, 0.55))
    pen.ellipse(_disc(float(rng.uniform(0.14, 0.22))), fill=(0, 0, 0, 0))


def _leaf(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    colour, width = _pick(_LEAVES, rng), float(rng.uniform(0.3, 0.5))
    along = np.linspace(0, 1, 40)
    half_width = width * np.sin(np.pi * along**0.8) * (1 + 0.06 * np.sin(along * 60))  # a toothed rim
    spine = -0.72 + 1.64 * along
    upper = [(128 + 128 * x, 128 - 128 * w) for x, w in zip(spine, half_width, strict=True)]
    lower = [(128 + 128 * x, 128 + 128 * w) for x, w in zip(spine, half_width, strict=True)]
    pen.line([(6, 128), (60, 128)], fill=_shade(colour, 0.65), width=9)
    pen.polygon([*upper, *reversed(lower)], fill=colour)
    vein = _shade(colour, 1.35)
    pen.line([(30, 128), (240, 128)], fill=vein, width=4)
    for index in range(6, 34, 6):
        x, reach = 128 + 128 * float(spine[index]), 128 * float(half_width[index])
        pen.line([(x, 128), (x + 0.6 * reach, 128 - 0.8 * reach)], fill=vein, width=3)
        pen.line([(x, 128), (x + 0.6 * reach, 128 + 0.8 * reach)], fill=vein, width=3)


def _key(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    colour, bow = _pick(_METALS, rng), float(rng.uniform(0.36, 0.46))
    centre = (0.05 + bow / 2, 0.5)
    pen.rectangle((centre[0] * DRAWING_PX, 118, 246, 138), fill=colour)
    pen.ellipse(_disc(bow, centre), fill=colour)
    pen.ellipse(_disc(bow * float(rng.uniform(0.45, 0.62)), centre), fill=(0, 0, 0, 0))
    for bit in range(int(rng.integers(2, 5))):
        right = 244 - 22 * bit
        pen.rectangle((right - 13, 136, right, 150 + int(rng.integers(4, 26))), fill=colour)
    pen.line([(centre[0] * DRAWING_PX + bow * 140, 126), (240, 126)], fill=_shade(colour, 1.3), width=3)


def _coin(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    colour, corners = _pick(_METALS[:3], rng), int(rng.integers(3, 7))
    pen.ellipse(_disc(0.95), fill=_shade(colour, 0.75))
    pen.ellipse(_disc(0.9), fill=_shade(colour, 1.15))
    pen.ellipse(_disc(0.76), fill=colour)
    for bead in range(24):
        x, y = _polar(0.83, bead * math.pi / 12)
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=_shade(colour, 0.7))
    emblem = [_polar(0.46, corner * 2 * math.pi / corners) for corner in range(corners)]
    pen.polygon(emblem, fill=_shade(colour, 1.25), outline=_shade(colour, 0.6), width=4)


def _star(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    colour, points = _pick(_PAINTS, rng), int(rng.integers(5, 8))
    inner, step = float(rng.uniform(0.36, 0.5)), math.pi / points
    corners = [_polar(0.95 if corner % 2 == 0 else inner, corner * step) for corner in range(2 * points)]
    pen.polygon(corners, fill=colour)
    for corner in range(0, 2 * points, 2):  # one side of every point lies in the shade: a faceted star
        pen.polygon([_polar(0, 0), corners[corner], corners[corner + 1]], fill=_shade(colour, 0.72))


_PAINTERS: dict[str, Callable[[ImageDraw.ImageDraw, np.random.Generator], None]] = {
    "coin": _coin,
    "gear": _gear,
    "key": _key,
    "leaf": _leaf,
    "star": _star,
}
KINDS = tuple(_PAINTERS)
