"""What an image looks like, in sixteen bytes: a hash that similar images share, its brightness, its sharpness.

    of(prepared) -> bytes       one record of `RECORD`, from the pixels that the network gets
    distances(a, b) -> (…,)     in how many bits two hashes differ

All is whole numbers until the last division, so that equal pixels have equal bytes on every machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # who reads candidates needs no decoders
    from boxwright.images.letterbox import Prepared

# dhash: bit 8 * row + column (from the highest) says whether a cell of 8 x 9 is darker than its right neighbour;
# luma: mean brightness, 0 to 255 (ITU-R BT.601); sharpness: mean absolute second difference along rows, in grey levels.
RECORD = np.dtype([("dhash", "<u8"), ("luma", "<f4"), ("sharpness", "<f4")])
UNKNOWN = np.array([(0, np.nan, np.nan)], RECORD).tobytes()  # of images that were predicted before there was this
HASH_BITS = 64
_ROWS, _COLUMNS, _CELL_ROWS, _CELL_COLUMNS = 8, 9, 4, 8  # cells of the hash, and samples that are averaged in each
_WEIGHTS = np.array([299, 587, 114], np.int64)


def of(prepared: Prepared) -> bytes:
    """The record of one image, without the grey beside it; see `RECORD`. Takes about 60 microseconds.

    The hash is the difference hash of N. Krawetz ("Kind of Like That", 2013), of means over 32 samples a cell.
    """
    (left, top), (width, height) = prepared.offset_xy, prepared.scaled_wh
    pixels = prepared.pixels[0, top : top + height, left : left + width]
    rows, columns = _ROWS * _CELL_ROWS, _COLUMNS * _CELL_COLUMNS
    lines = pixels.take((np.arange(rows) * 2 + 1) * height // (2 * rows), axis=0)
    samples = lines.take((np.arange(columns) * 2 + 1) * width // (2 * columns), axis=1)
    by_row = np.add.reduce(samples.reshape(_ROWS, _CELL_ROWS, columns * 3), axis=1, dtype=np.int64)
    grey = by_row.reshape(_ROWS, _COLUMNS, _CELL_COLUMNS, 3).sum(axis=2) @ _WEIGHTS  # (8, 9)
    bits = np.packbits(grey[:, 1:] > grey[:, :-1])
    luma = int(grey.sum()) / (1000 * rows * columns)
    green = lines[::_CELL_ROWS, :, 1].astype(np.int16)
    bends = np.abs(2 * green[:, 1:-1] - green[:, 2:] - green[:, :-2])
    sharpness = int(bends.sum(dtype=np.int64)) / max(1, bends.size)
    return np.array([(int.from_bytes(bits.tobytes(), "big"), luma, sharpness)], RECORD).tobytes()


def distances(a: npt.NDArray[np.uint64], b: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """How many of the 64 bits differ, for each pair."""
    return np.bitwise_count(a ^ b)
