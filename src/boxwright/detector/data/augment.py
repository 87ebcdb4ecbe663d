"""Training batches: random views of cached images, a pure function of (seed, step).

    BatchSource.batch(step, view) -> Batch      the same arguments give the same batch, in any thread, in any order

A view is a crop at random scale and place, a horizontal flip, a colour gain, sometimes a mosaic of four images. Images are
flipped top to bottom only where the objects were seen to have no "up": it would teach that a 6 is a 9.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from boxwright.detector.data import dataset, sampling
from boxwright.learning import pixel_cache, views

SCALE_RANGE = (0.7, 1.35)  # relative to the size at which the image just fits
MOSAIC_SCALE_RANGE = (0.6, 1.2)
MOSAIC_CENTRE_RANGE = (0.3, 0.7)
ON_OBJECT = 0.7  # of the windows show an object that was drawn by chance; the others lie anywhere
MIN_SIDE_PX = 2.0  # boxes cut to less than this are dropped
MIN_VISIBLE = 0.25  # boxes that keep less of their area are dropped


@dataclasses.dataclass(frozen=True)
class View:
    """What a step looks at.

    Attributes:
        view_hw: in pixels.
        mosaic: how often one is made, in [0, 1].
        framed: how often an image that is in no mosaic just fits, as in prediction, in [0, 1].
        flips: half of the images are flipped top to bottom.
        scale_jitter: strength of the changes of scale, 0 for none.
        colour_jitter: strength of the changes of colour and brightness, 0 for none.
        input_hw: that images are scaled to, if the view is a window in it; None if the view shows all of it.
    """

    view_hw: tuple[int, int]
    mosaic: float
    framed: float = 0.0
    flips: bool = False
    scale_jitter: float = 1.0
    colour_jitter: float = 1.0
    input_hw: tuple[int, int] | None = None

    @property
    def scaled_to_hw(self) -> tuple[int, int]:
        """The size at which an image just fits."""
        return self.input_hw or self.view_hw


@dataclasses.dataclass(frozen=True)
class Batch:
    """Arrays of one step, padded to G boxes.

    Attributes:
        pixels: (B, H, W, 3) uint8.
        boxes_px: (B, G, 4) float32, xyxy in pixels of the view.
        label_indices: (B, G) int64.
        present: (B, G) bool.
    """

    pixels: npt.NDArray[np.uint8]
    boxes_px: npt.NDArray[np.float32]
    label_indices: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class _Sample:
    pixels: Image.Image
    boxes_px: npt.NDArray[np.float32]  # (N, 4) xyxy in pixels of `pixels`
    label_indices: npt.NDArray[np.int64]  # (N,)


class BatchSource:
    """Draws batches from a set of examples, every example in every epoch as often as its weight says."""

    def __init__(
        self,
        examples: Sequence[dataset.Example],
        cache: pixel_cache.PixelCache,
        *,
        seed: int,
        batch_size: int,
        warn: Callable[[str], None],
    ) -> None:
        self._images = views.ImageSequence(examples, sampling.weights(examples), cache, seed=seed, warn=warn)
        self.epoch_length = self._images.epoch_length
        self._seed = seed
        self._batch_size = batch_size

    def batch(self, step: int, view: View) -> Batch:
        """Makes the batch of a step.

        Raises:
            UnreadableImage: no image could be read at all.
        """
        samples = []
        for slot in range(self._batch_size):
            rng = np.random.default_rng((self._seed, step, slot))
            samples.append(self._sample(step * self._batch_size + slot, view, rng))
        height, width = view.view_hw
        most = max(1, *(len(one.label_indices) for one in samples))
        pixels = np.empty((len(samples), height, width, 3), np.uint8)
        boxes_px = np.zeros((len(samples), most, 4), np.float32)
        label_indices = np.zeros((len(samples), most), np.int64)
        present = np.zeros((len(samples), most), bool)
        for row, one in enumerate(samples):
            count = len(one.label_indices)
            pixels[row] = np.asarray(one.pixels, np.uint8)
            boxes_px[row, :count] = one.boxes_px
            label_indices[row, :count] = one.label_indices
            present[row, :count] = True
        return Batch(pixels, boxes_px, label_indices, present)

    def _sample(self, position: int, view: View, rng: np.random.Generator) -> _Sample:
        if rng.random() < view.mosaic:
            others = position + 1 + rng.choice(max(3, self.epoch_length - 1), 3, replace=False)
            sample = self._mosaic([position, *others.tolist()], view, rng)
        else:
            sample = self._crop(position, view, rng)
        pixels, boxes_px = sample.pixels, sample.boxes_px
        if rng.random() < 0.5:
            pixels = pixels.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            width = float(view.view_hw[1])
            boxes_px = np.stack(
                [width - boxes_px[:, 2], boxes_px[:, 1], width - boxes_px[:, 0], boxes_px[:, 3]], axis=1
            )
        table = views.colour_table(rng, view.colour_jitter)
        if view.flips and rng.random() < 0.5:
            pixels = pixels.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
            height = float(view.view_hw[0])
            boxes_px = np.stack(
                [boxes_px[:, 0], height - boxes_px[:, 3], boxes_px[:, 2], height - boxes_px[:, 1]], axis=1
            )
        return _Sample(pixels.point(table), boxes_px, sample.label_indices)

    def _crop(self, position: int, view: View, rng: np.random.Generator) -> _Sample:
        image, example = self._images.image(position)
        size_hw = height, width = view.view_hw
        jitter = 1.0 + view.scale_jitter * (rng.uniform(*SCALE_RANGE) - 1.0)
        if view.framed and rng.random() < view.framed:
            jitter = 1.0
        scale = _fitting(image, view.scaled_to_hw) * jitter
        left = (width - image.width * scale) * rng.random()
        top = (height - image.height * scale) * rng.random()
        if view.input_hw and len(example.boxes_norm) and rng.random() < ON_OBJECT:
            left, top = _onto(example, image, scale, size_hw, rng)
        pixels = views.place(image, size_hw, scale, left, top)
        return _Sample(pixels, *_boxes_in(example, image, scale, left, top, size_hw))

    def _mosaic(self, positions: list[int], view: View, rng: np.random.Generator) -> _Sample:
        height, width = view.view_hw
        centre_x = int(width * rng.uniform(*MOSAIC_CENTRE_RANGE))
        centre_y = int(height * rng.uniform(*MOSAIC_CENTRE_RANGE))
        canvas = Image.new("RGB", (width, height), views.FILL)
        boxes, labels = [], []
        for index, position in enumerate(positions):
            x, y = (centre_x if index % 2 else 0), (centre_y if index >= 2 else 0)
            tile_width = (width - centre_x) if index % 2 else centre_x
            tile_height = (height - centre_y) if index >= 2 else centre_y
            image, example = self._images.image(position)
            jitter = 1.0 + view.scale_jitter * (rng.uniform(*MOSAIC_SCALE_RANGE) - 1.0)
            scale = _fitting(image, view.scaled_to_hw) * jitter
            scale = max(scale, tile_width / image.width, tile_height / image.height)  # fill the tile
            left = -rng.uniform(0, max(0.0, image.width * scale - tile_width))
            top = -rng.uniform(0, max(0.0, image.height * scale - tile_height))
            canvas.paste(views.place(image, (tile_height, tile_width), scale, left, top), (x, y))
            tile_boxes, tile_labels = _boxes_in(example, image, scale, left, top, (tile_height, tile_width))
            boxes.append(tile_boxes + np.asarray([x, y, x, y], np.float32))
            labels.append(tile_labels)
        return _Sample(canvas, np.concatenate(boxes), np.concatenate(labels))


def _onto(
    example: dataset.Example, image: Image.Image, scale: float, size_hw: tuple[int, int], rng: np.random.Generator
) -> tuple[float, float]:
    """A corner of `place` that brings one of the example's objects into the frame, which leaves the image if it must."""
    x_min, y_min, x_max, y_max = example.boxes_norm[rng.integers(len(example.boxes_norm))].astype(float).tolist()
    corner = []
    for centre, side_px, frame_px in (
        ((x_min + x_max) / 2, image.width * scale, size_hw[1]),
        ((y_min + y_max) / 2, image.height * scale, size_hw[0]),
    ):
        lowest, highest = sorted((0.0, frame_px - side_px))
        corner.append(min(highest, max(lowest, frame_px * rng.random() - centre * side_px)))
    return corner[0], corner[1]


def _fitting(image: Image.Image, size_hw: tuple[int, int]) -> float:
    return min(size_hw[0] / image.height, size_hw[1] / image.width)


def _boxes_in(
    example: dataset.Example, image: Image.Image, scale: float, left: float, top: float, size_hw: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The example's boxes in the frame of `views.place`, clipped; those that are barely visible are dropped."""
    size = np.asarray([image.width, image.height] * 2, np.float32) * np.float32(scale)
    boxes_px = example.boxes_norm * size + np.asarray([left, top, left, top], np.float32)  # (N, 4)
    limits = np.asarray([size_hw[1], size_hw[0]] * 2, np.float32)
    clipped = np.clip(boxes_px, 0.0, limits)
    sides = clipped[:, 2:] - clipped[:, :2]  # (N, 2)
    full_area = (boxes_px[:, 2:] - boxes_px[:, :2]).prod(axis=1)
    keep = (sides >= MIN_SIDE_PX).all(axis=1) & (sides.prod(axis=1) > MIN_VISIBLE * full_area)
    return clipped[keep], example.label_indices[keep]
