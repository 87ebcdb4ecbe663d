"""A small, varied data set, drawn, of boxes or of labels: the same seed gives the same images.

Varied means: five kinds of object, many sizes, any rotation, overlaps and cut-off edges, five kinds of background,
slanted light, colour casts, noise, blur, clutter that is no object, empty images, JPEG of several qualities, PNG, and
photographs "taken" with a turned camera (EXIF orientation).
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from boxwright.demo import dataset, shapes

Pixels = npt.NDArray[np.float32]
PixelBox = tuple[int, int, int, int]

SIZES_WH = ((480, 360), (360, 480), (420, 420), (640, 480))
EMPTY_EVERY = 16  # one image in so many shows nothing
MAX_OBJECTS = 5
SMALLEST, LARGEST = 0.2, 0.6  # an object's longer side, as a share of the image's shorter side
LABELLED_SMALLEST, LABELLED_LARGEST = 0.4, 0.9  # of the one object that gives an image its label
MAX_HIDDEN = 0.3  # share of an object's box that another may cover
MIN_SHOWN = 0.75  # share of an object's box that must lie inside the image
PNG_SHARE, TURNED_SHARE = 0.12, 0.08
PLACING_ATTEMPTS = 25

EXIF_ORIENTATION = 0x0112
# How the stored pixels are turned for each orientation, so that a reader who applies the tag sees the upright image.
STORED_TURNS = {
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How many images each set gets."""

    train: int = 260
    validation: int = 30
    test: int = 60

    @property
    def total(self) -> int:
        """All images."""
        return self.train + self.validation + self.test


LABELLED_SIZES = Sizes(train=150, validation=30, test=60)


def draw_dataset(
    folder: pathlib.Path, seed: int = 1, sizes: Sizes | None = None, drew: Callable[[int], None] = lambda count: None
) -> dataset.DataSet:
    """Draws the images into `folder`, the demo's bucket, and adds two broken entries for the batch list.

    Args:
        drew: told after each image how many are done.
    """

    def draw(rng: np.random.Generator, index: int) -> tuple[Image.Image, dict[str, Any]]:
        image, boxes = compose(rng, is_empty=index % EMPTY_EVERY == EMPTY_EVERY // 2)
        return image, {"boxes": boxes}

    return _draw(folder, seed, sizes or Sizes(), drew, draw)


def draw_labelled_dataset(
    folder: pathlib.Path, seed: int = 1, sizes: Sizes | None = None, drew: Callable[[int], None] = lambda count: None
) -> dataset.DataSet:
    """The same with one object an image, which gives the image its label.

    Args:
        drew: told after each image how many are done.
    """

    def draw(rng: np.random.Generator, index: int) -> tuple[Image.Image, dict[str, Any]]:
        kind = shapes.KINDS[index % len(shapes.KINDS)]
        return compose_labelled(rng, kind), {"labels": (kind,)}

    return _draw(folder, seed, sizes or LABELLED_SIZES, drew, draw)


def _draw(
    folder: pathlib.Path,
    seed: int,
    sizes: Sizes,
    drew: Callable[[int], None],
    draw: Callable[[np.random.Generator, int], tuple[Image.Image, dict[str, Any]]],
) -> dataset.DataSet:
    """Draws a data set; `draw` makes the image of a number, and says what is in it."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    uses = ["TRAIN"] * sizes.train + ["VALIDATION"] * sizes.validation + ["TEST"] * sizes.test
    pictures: list[dataset.DemoImage] = []
    for index, ml_use in enumerate(uses):
        # A generator per image: an image depends on the seed and its place, not on its neighbours.
        rng = np.random.default_rng((seed, index))
        image, content = draw(rng, index)
        key = _store(image, folder, f"images/{ml_use.lower()}_{index:04d}", rng)
        pictures.append(dataset.DemoImage(ml_use, key, **content))
        drew(index + 1)
    return dataset.DataSet(folder, tuple(pictures), _bad_entries(folder, pictures))


def compose_labelled(rng: np.random.Generator, kind: str) -> Image.Image:
    """One image with one large object of a kind, anywhere in it."""
    canvas = _canvas(rng)
    share = float(np.exp(rng.uniform(np.log(LABELLED_SMALLEST), np.log(LABELLED_LARGEST))))
    specimen = shapes.draw(kind, rng, round(share * min(canvas.size)))
    corner = (
        int(rng.integers(max(1, canvas.width - specimen.width))),
        int(rng.integers(max(1, canvas.height - specimen.height))),
    )
    _paste(canvas, specimen, corner, rng)
    return _photograph(canvas, rng)


def compose(rng: np.random.Generator, is_empty: bool = False) -> tuple[Image.Image, tuple[dataset.Box, ...]]:
    """One image and the boxes of the objects in it."""
    canvas = _canvas(rng)
    width, height = canvas.size
    count = 0 if is_empty else int(rng.integers(1, MAX_OBJECTS + 1))
    placed: list[tuple[str, PixelBox]] = []
    for _ in range(count):
        kind = shapes.KINDS[int(rng.integers(len(shapes.KINDS)))]
        share = float(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST))))
        specimen = shapes.draw(kind, rng, round(share * min(width, height)))
        corner = _find_place(rng, specimen.size, canvas.size, [box for _, box in placed])
        if corner is not None:
            _paste(canvas, specimen, corner, rng)
            placed.append((kind, _shown_box(specimen, corner, canvas.size)))
    finished = _photograph(canvas, rng)
    return finished, tuple(
        dataset.Box(kind, left / width, top / height, right / width, bottom / height)
        for kind, (left, top, right, bottom) in placed
    )


def _canvas(rng: np.random.Generator) -> Image.Image:
    """A surface with clutter on it."""
    width, height = SIZES_WH[int(rng.choice(len(SIZES_WH), p=(0.6, 0.1, 0.1, 0.2)))]
    canvas = Image.fromarray(_background(rng, height, width).astype(np.uint8))
    _clutter(canvas, rng)
    return canvas


def _find_place(
    rng: np.random.Generator, size_wh: tuple[int, int], canvas_wh: tuple[int, int], taken: list[PixelBox]
) -> tuple[int, int] | None:
    """A top left corner where the object shows well and hides no other; None when there is no room."""
    width, height = size_wh
    for _ in range(PLACING_ATTEMPTS):
        left = int(rng.integers(-width // 5, canvas_wh[0] - 4 * width // 5 + 1))
        top = int(rng.integers(-height // 5, canvas_wh[1] - 4 * height // 5 + 1))
        box = _clip((left, top), size_wh, canvas_wh)
        if _area(box) < MIN_SHOWN * width * height:
            continue
        if all(_shared(box, other) <= MAX_HIDDEN * min(_area(box), _area(other)) for other in taken):
            return left, top
    return None


def _clip(corner: tuple[int, int], size_wh: tuple[int, int], canvas_wh: tuple[int, int]) -> PixelBox:
    left, top = corner
    return max(0, left), max(0, top), min(canvas_wh[0], left + size_wh[0]), min(canvas_wh[1], top + size_wh[1])


def _shown_box(specimen: Image.Image, corner: tuple[int, int], canvas_wh: tuple[int, int]) -> PixelBox:
    """The tight box of what the image shows of the object: a cut-off object may be smaller in both directions."""
    left, top, right, bottom = _clip(corner, specimen.size, canvas_wh)
    inside = specimen.crop((left - corner[0], top - corner[1], right - corner[0], bottom - corner[1]))
    tight = shapes.visible_box(inside)
    return left + tight[0], top + tight[1], left + tight[2], top + tight[3]


def _area(box: PixelBox) -> int:
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])


def _shared(one: PixelBox, other: PixelBox) -> int:
    return _area((max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])))


def _paste(canvas: Image.Image, specimen: Image.Image, corner: tuple[int, int], rng: np.random.Generator) -> None:
    """Lays the object down with a soft shadow beside it."""
    drop = max(2, max(specimen.size) // 18)
    alpha = specimen.getchannel("A")
    shadow = Image.new("L", (specimen.width + 4 * drop, specimen.height + 4 * drop))
    shadow.paste(alpha, (2 * drop, 2 * drop))
    strength = float(rng.uniform(0.25, 0.6))
    shadow = shadow.filter(ImageFilter.GaussianBlur(drop)).point(lambda value: int(value * strength))
    canvas.paste((12, 12, 18), (corner[0] - drop, corner[1] - drop), shadow)
    canvas.paste(specimen.convert("RGB"), corner, alpha)


def _smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> Pixels:
    """Values in [-1, 1] that change over about a `cells`-th of the image; shape (height, width)."""
    coarse = rng.uniform(-1, 1, (cells + 1, cells + 1)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), np.float32)


def _background(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """A textured surface; (height, width, 3) in [0, 255]."""
    base = rng.uniform(60, 205, 3).astype(np.float32)
    base = 0.5 * base + 0.5 * base.mean()  # muted: surfaces are seldom vivid
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    kind = int(rng.integers(5))
    if kind == 0:  # cloth: a weave of fine threads
        pattern = 0.5 * np.sin(rows * 1.1) + 0.5 * np.sin(columns * 1.1)
    elif kind == 1:  # wood: wavy grain
        pattern = np.sin(rows / 6 + 5 * _smooth_noise(rng, height, width, 4))
    elif kind == 2:  # tiles with joints
        side = int(rng.integers(50, 110))
        pattern = np.where((rows % side < 3) | (columns % side < 3), -2.5, 0).astype(np.float32)
    elif kind == 3:  # gravel
        pattern = 1.6 * _smooth_noise(rng, height, width, 60)
    else:  # a plain sheet
        pattern = np.zeros((height, width), np.float32)
    pattern = pattern + 1.5 * _smooth_noise(rng, height, width, 5) + 0.7 * _smooth_noise(rng, height, width, 25)
    return np.clip(base + 13 * pattern[..., None], 0, 255)


def _clutter(canvas: Image.Image, rng: np.random.Generator) -> None:
    """Scratches, rings and scraps: things that look like something and are no object."""
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(0, 6))):
        x, y = float(rng.uniform(0, canvas.width)), float(rng.uniform(0, canvas.height))
        reach = float(rng.uniform(8, 60))
        colour = tuple(int(value) for value in rng.integers(30, 225, 3))
        turn = float(rng.uniform(0, 360))
        form = int(rng.integers(3))
        if form == 0:
            end = (x + float(rng.uniform(-150, 150)), y + float(rng.uniform(-150, 150)))
            pen.line([(x, y), end], fill=colour, width=int(rng.integers(1, 4)))
        elif form == 1:
            pen.arc((x - reach, y - reach, x + reach, y + reach), turn, turn + 200, fill=colour, width=2)
        else:
            pen.regular_polygon((x, y, reach / 3), 4, rotation=turn, fill=colour)


def _photograph(canvas: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Light from one side, a colour cast, exposure, blur and sensor noise."""
    if rng.random() < 0.3:
        canvas = canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 1.5))))
    pixels = np.asarray(canvas, np.float32)
    height, width, _ = pixels.shape
    rows, columns = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j].astype(np.float32)
    angle = float(rng.uniform(0, 2 * np.pi))
    light = 1 + float(rng.uniform(0, 0.7)) * (np.cos(angle) * columns + np.sin(angle) * rows)
    cast = rng.uniform(0.9, 1.1, 3).astype(np.float32) * float(rng.uniform(0.65, 1.2))
    pixels = pixels * light[..., None] * cast
    pixels = pixels + rng.normal(0, float(rng.uniform(1, 9)), pixels.shape).astype(np.float32)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _store(image: Image.Image, folder: pathlib.Path, stem: str, rng: np.random.Generator) -> str:
    """Writes the image in one of the formats and returns its key."""
    if rng.random() < PNG_SHARE:
        image.save(folder / f"{stem}.png", compress_level=1)
        return f"{stem}.png"
    exif = Image.Exif()
    if rng.random() < TURNED_SHARE / (1 - PNG_SHARE):
        orientation = int(rng.choice(list(STORED_TURNS)))
        exif[EXIF_ORIENTATION] = orientation
        image = image.transpose(STORED_TURNS[orientation])
    image.save(folder / f"{stem}.jpg", quality=int(rng.integers(70, 96)), exif=exif)
    return f"{stem}.jpg"


def _bad_entries(folder: pathlib.Path, pictures: list[dataset.DemoImage]) -> tuple[str, ...]:
    """A path with nothing behind it, and an image that breaks off in the middle."""
    whole = next(_jpeg_keys(pictures), None)
    if whole is None:
        return ("images/missing.jpg",)
    content = (folder / whole).read_bytes()
    (folder / "images/truncated.jpg").write_bytes(content[: len(content) // 3])
    return "images/missing.jpg", "images/truncated.jpg"


def _jpeg_keys(pictures: list[dataset.DemoImage]) -> Iterator[str]:
    return (picture.key for picture in pictures if picture.key.endswith(".jpg"))
