"""Training batches: random views of cached images, a pure function of (seed, step).

    BatchSource.batch(step, view) -> Batch      the same arguments give the same batch, in any thread, in any order

A view is a crop of random size, place and aspect, fitted into the network's frame like an image in prediction, flipped where
the labels allow it, with a colour gain. Where images have several labels, they are shown nearly whole, smaller or at another
place of the frame instead: a crop would lose what a label stands for. In the first part of a training with one label an
image, two views are mixed (Zhang et al., mixup, 2018).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from boxwright.classifier.data import dataset
from boxwright.learning import pixel_cache, views

CROP_AREA = (0.6, 1.0)  # of the image
CROP_ASPECT = (3 / 4, 4 / 3)  # relative to the image's
WHOLE_SCALE = (0.7, 1.08)  # relative to the size at which the image just fits, where it is shown nearly whole


@dataclasses.dataclass(frozen=True)
class View:
    """What a step looks at.

    Attributes:
        input_hw: in pixels.
        framed: how often an image is shown whole, as in prediction, in [0, 1].
        mirrored: half of the images are flipped left to right.
        flips: half of the images are flipped top to bottom.
        mixup: parameter of the beta distribution that the shares of two mixed images are drawn from, 0 for none.
        keeps_whole: images are shown nearly whole: each of their labels has to be there.
        crop_jitter: strength of the changes of size, place and aspect, 0 for none.
        colour_jitter: strength of the changes of colour and brightness, 0 for none.
    """

    input_hw: tuple[int, int]
    framed: float = 0.0
    mirrored: bool = True
    flips: bool = False
    mixup: float = 0.0
    keeps_whole: bool = False
    crop_jitter: float = 1.0
    colour_jitter: float = 0.5


@dataclasses.dataclass(frozen=True)
class Batch:
    """Arrays of one step.

    Attributes:
        pixels: (B, H, W, 3) uint8.
        targets: (B, C) float32 in [0, 1].
    """

    pixels: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.float32]


class BatchSource:
    """Draws batches from a set of examples, every example in every pass as often as its weight says."""

    def __init__(
        self,
        examples: Sequence[dataset.Example],
        cache: pixel_cache.PixelCache,
        weights: npt.NDArray[np.float64],
        *,
        label_count: int,
        seed: int,
        batch_size: int,
        warn: Callable[[str], None],
    ) -> None:
        self._images = views.ImageSequence(examples, weights, cache, seed=seed, warn=warn)
        self.epoch_length = self._images.epoch_length
        self._label_count = label_count
        self._seed = seed
        self._batch_size = batch_size

    def batch(self, step: int, view: View) -> Batch:
        """Makes the batch of a step.

        Raises:
            UnreadableImage: no image could be read at all.
        """
        height, width = view.input_hw
        pixels = np.empty((self._batch_size, height, width, 3), np.uint8)
        examples = []
        for slot in range(self._batch_size):
            rng = np.random.default_rng((self._seed, step, slot))
            image, example = self._images.image(step * self._batch_size + slot)
            pixels[slot] = np.asarray(_shown(image, view, rng), np.uint8)
            examples.append(example)
        targets = dataset.targets(examples, self._label_count)
        if view.mixup > 0.0:
            share = float(np.random.default_rng((self._seed, step, 1 << 33)).beta(view.mixup, view.mixup))
            share = max(share, 1.0 - share)  # the first of two images is the one that is seen best
            mixed = share * pixels.astype(np.float32) + (1.0 - share) * pixels[::-1].astype(np.float32)
            pixels = np.round(mixed).astype(np.uint8)
            targets = (share * targets + (1.0 - share) * targets[::-1]).astype(np.float32)
        return Batch(pixels, targets)


def _shown(image: Image.Image, view: View, rng: np.random.Generator) -> Image.Image:
    shown = _moved(image, view, rng) if view.keeps_whole else _cropped(image, view, rng)
    mirrors, turns = rng.random(2) < 0.5
    if view.mirrored and mirrors:
        shown = shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if view.flips and turns:
        shown = shown.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return shown.point(views.colour_table(rng, view.colour_jitter))


def _moved(image: Image.Image, view: View, rng: np.random.Generator) -> Image.Image:
    """The image at another size and place; a few hundredths of it may be cut off."""
    height, width = view.input_hw
    jitter = 1.0 + view.crop_jitter * (rng.uniform(*WHOLE_SCALE) - 1.0)
    across, down = rng.random(2)
    if rng.random() < view.framed or not view.crop_jitter:
        jitter, across, down = 1.0, 0.5, 0.5
    scale = jitter * min(height / image.height, width / image.width)
    left, top = (width - image.width * scale) * across, (height - image.height * scale) * down
    return views.place(image, view.input_hw, scale, left, top)


def _cropped(image: Image.Image, view: View, rng: np.random.Generator) -> Image.Image:
    """A part of the image, fitted into the frame."""
    area = 1.0 - view.crop_jitter * (1.0 - rng.uniform(*CROP_AREA))
    aspect = math.exp(view.crop_jitter * rng.uniform(math.log(CROP_ASPECT[0]), math.log(CROP_ASPECT[1])))
    across, down, left, top = min(1.0, math.sqrt(area * aspect)), min(1.0, math.sqrt(area / aspect)), *rng.random(2)
    if rng.random() < view.framed:
        across = down = 1.0
    width, height = image.width * across, image.height * down
    x, y = left * (image.width - width), top * (image.height - height)
    box = (x, y, x + width, y + height)
    return _fitted(image, box, view.input_hw)


def _fitted(image: Image.Image, box: tuple[float, float, float, float], input_hw: tuple[int, int]) -> Image.Image:
    """A part of an image, scaled to fit into the frame, its aspect kept, centred on grey: see `images.letterbox`."""
    height, width = input_hw
    part_width, part_height = box[2] - box[0], box[3] - box[1]
    scale = min(width / part_width, height / part_height)
    size = (min(width, max(1, round(part_width * scale))), min(height, max(1, round(part_height * scale))))
    part = image.resize(size, Image.Resampling.BILINEAR, box=box)
    if size == (width, height):
        return part
    frame = Image.new("RGB", (width, height), views.FILL)
    frame.paste(part, ((width - size[0]) // 2, (height - size[1]) // 2))
    return frame
