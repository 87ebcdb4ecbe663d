"""Labelled images: which there are, which split each is in, and their pixels, kept small in memory.

    read_examples(path) -> [Example]
    resolve_splits(examples) -> Splits          fills what the user left open, deterministically
    PixelCache                                  upright images near network scale, within a byte limit

A split is a property of an image's content: the same picture lands in the same split in every training.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import threading
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from boxwright import errors
from boxwright.images import decode

CACHE_SCALE = 1.25  # cached images are this much larger than the network's view: room to zoom in without blur
SPLITS = ("TRAIN", "VALIDATION", "TEST")


@dataclasses.dataclass(frozen=True)
class Example:
    """A labelled image.

    Attributes:
        uri: where its bytes are.
        sha256: of the bytes, hexadecimal.
        ml_use: TRAIN, VALIDATION, TEST or UNASSIGNED.
        boxes_norm: (N, 4) float32, xyxy in [0, 1].
        label_indices: (N,) int64.
    """

    uri: str
    sha256: str
    ml_use: str
    boxes_norm: npt.NDArray[np.float32]
    label_indices: npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Splits:
    """The three sets and what had to be decided to get them (`notes`, sentences for the user)."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    notes: tuple[str, ...]


def read_examples(path: pathlib.Path) -> list[Example]:
    """Reads examples.jsonl.

    Raises:
        ValueError: a line is not what it should be; the message has its number.
    """
    examples = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                table = np.asarray(row["boxes"], np.float64).reshape(-1, 5)
                boxes_norm = np.clip(table[:, 1:], 0.0, 1.0).astype(np.float32)
                usable = (boxes_norm[:, 2:] > boxes_norm[:, :2]).all(axis=1)  # a box without area teaches nothing
                examples.append(
                    Example(
                        row["uri"],
                        row["sha256"],
                        row["ml_use"],
                        boxes_norm[usable],
                        table[usable, 0].astype(np.int64),
                    )
                )
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path.name} line {number} is unreadable: {error}") from error
    return examples


def split_bucket(example: Example) -> int:
    """0 to 9, a function of the content: 0-7 train, 8 validate, 9 test."""
    return int(hashlib.sha256((example.sha256 or example.uri).encode()).hexdigest()[:12], 16) % 10


def resolve_splits(examples: Sequence[Example]) -> Splits:
    """Assigns every example to one split.

    Unassigned images are dealt 80/10/10 by their content. A validation or test set that is empty after that is taken from
    the training set by the same rule, at least one image each while there are two or more.
    """
    chosen = {name: [one for one in examples if one.ml_use == name] for name in SPLITS}
    for one in examples:
        if one.ml_use not in SPLITS:
            chosen[{8: "VALIDATION", 9: "TEST"}.get(split_bucket(one), "TRAIN")].append(one)
    notes = []
    for name, bucket in (("VALIDATION", 8), ("TEST", 9)):
        if chosen[name] or len(chosen["TRAIN"]) < 2:
            continue
        taken = [one for one in chosen["TRAIN"] if split_bucket(one) == bucket]
        if not taken or len(taken) == len(chosen["TRAIN"]):
            taken = [min(chosen["TRAIN"], key=lambda one: (one.sha256, one.uri))]
        moved = {id(one) for one in taken}
        chosen["TRAIN"] = [one for one in chosen["TRAIN"] if id(one) not in moved]
        chosen[name] = taken
        notes.append(f"No image was assigned to {name}: {len(taken)} of the TRAIN images were moved there.")
    ordered = {name: tuple(sorted(chosen[name], key=lambda one: (one.sha256, one.uri))) for name in SPLITS}
    return Splits(ordered["TRAIN"], ordered["VALIDATION"], ordered["TEST"], tuple(notes))


class UnreadableImage(Exception):
    """An image cannot be used; the text names it and says why."""


class PixelCache:
    """Upright images at a fixed scale, decoded once while they fit into the byte limit. Safe for several threads."""

    def __init__(self, read_bytes: Callable[[str], bytes], frame_hw: tuple[int, int], limit_bytes: int) -> None:
        """Nothing is decoded yet.

        Args:
            read_bytes: from a URI to the encoded image; OSError, LookupError or ApiError mean that it is not there.
            frame_hw: the network's input; images are kept to fit `CACHE_SCALE` times this.
            limit_bytes: of pixels in memory; images beyond it are decoded again each time.
        """
        self._read_bytes = read_bytes
        self._frame_hw = (round(frame_hw[0] * CACHE_SCALE), round(frame_hw[1] * CACHE_SCALE))
        self._limit_bytes = limit_bytes
        self._pixels: dict[str, npt.NDArray[np.uint8]] = {}
        self._used_bytes = 0
        self.one_colour: set[str] = set()  # URIs of images met so far in which nothing can be seen
        self._lock = threading.Lock()

    def get(self, uri: str) -> npt.NDArray[np.uint8]:
        """Returns (h, w, 3) uint8, upright; do not write to it.

        Raises:
            UnreadableImage: the bytes are absent or no image.
        """
        found = self._pixels.get(uri)
        if found is not None:
            return found
        try:
            image = decode.decode(self._read_bytes(uri), self._frame_hw)
        except (OSError, LookupError, errors.ApiError) as error:
            raise UnreadableImage(f"{uri}: the image cannot be read: {error}") from error
        except decode.DecodeError as error:
            raise UnreadableImage(f"{uri}: {error.reason}") from error
        pixels = self._shrunk(image.pixels)
        is_one_colour = decode.is_one_colour(pixels)
        with self._lock:
            if is_one_colour:
                self.one_colour.add(uri)
            if uri not in self._pixels and self._used_bytes + pixels.nbytes <= self._limit_bytes:
                self._pixels[uri] = pixels
                self._used_bytes += pixels.nbytes
        return pixels

    @property
    def is_full(self) -> bool:
        """Whether another image of average size would not fit."""
        with self._lock:
            return self._used_bytes + self._used_bytes // max(1, len(self._pixels)) >= self._limit_bytes

    def warm(self, uri: str) -> int:
        """Loads an image ahead of its use; 1 if it could be read. Who uses it reports what is wrong with it."""
        try:
            self.get(uri)
        except UnreadableImage:
            return 0
        return 1

    def _shrunk(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        height, width = pixels.shape[:2]
        scale = min(self._frame_hw[0] / height, self._frame_hw[1] / width)
        if scale >= 1.0:
            return pixels
        size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
        return np.asarray(Image.fromarray(pixels).resize(size_wh, Image.Resampling.BILINEAR), np.uint8)
