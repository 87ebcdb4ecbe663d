"""The annotations of many results as one array of bytes: the fast way to the text of `json_lines`.

Each result is a row of a matrix of bytes in which every part has the room of its longest text; what a row does not need is
taken out at once. Python's own formatting takes about three times as long.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

NUMBER_BYTES = 8  # "0.123456", or "9.9e-05"
_TINY = 100  # millionths below which Python writes an exponent


def rows_text(
    numbers: npt.NDArray[np.int32],
    scale: int,
    label_indices: npt.NDArray[np.integer],
    heads: Sequence[bytes],
    between: Sequence[bytes],
    tails: Sequence[bytes],
) -> tuple[bytes, npt.NDArray[np.int64]]:
    """The text of every row: head, number, what stands between, number, …, tail.

    Args:
        numbers: (V, R) whole multiples of 1 / scale, in [0, scale]; they are written as Python writes the fractions.
        scale: 1,000,000.
        label_indices: (R,) which head and tail.
        heads: what stands before the first number, by label.
        between: what stands between two numbers, V - 1 of them.
        tails: what stands behind the last number, by label.

    Returns:
        (the texts without anything between them, (R + 1,) where each begins, and the last one ends).
    """
    head_matrix, head_mask = _padded(heads)
    tail_matrix, tail_mask = _padded(tails)
    texts, masks = [head_matrix[label_indices]], [head_mask[label_indices]]
    number_texts, number_lengths = _numbers(scale)
    places = np.arange(NUMBER_BYTES, dtype=np.uint8)
    for index, column in enumerate(numbers):
        texts.append(number_texts[column])
        masks.append(places < number_lengths[column][:, None])
        if index < len(between):
            fixed = np.frombuffer(between[index], np.uint8)
            texts.append(np.broadcast_to(fixed, (len(column), len(fixed))))
            masks.append(np.ones((len(column), len(fixed)), bool))
    texts.append(tail_matrix[label_indices])
    masks.append(tail_mask[label_indices])
    mask = np.concatenate(masks, axis=1)
    ends = np.cumsum(np.count_nonzero(mask, axis=1))
    return np.concatenate(texts, axis=1)[mask].tobytes(), np.concatenate([[0], ends])


def _padded(texts: Sequence[bytes]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """(C, W) bytes and (C, W) which of them are the text's."""
    width = max(map(len, texts), default=0)
    matrix = np.frombuffer(b"".join(text.ljust(width) for text in texts), np.uint8).reshape(len(texts), width)
    return matrix, np.arange(width) < np.array([len(text) for text in texts])[:, None]


@functools.cache
def _numbers(scale: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """(S + 1, 8) the texts of all multiples, and (S + 1,) their lengths: 9 MB, made once in a process."""
    every = np.arange(scale + 1, dtype=np.int32)
    digits = len(str(scale)) - 1
    texts = np.empty((scale + 1, NUMBER_BYTES), np.uint8)
    lengths = np.full(scale + 1, 2 + digits, np.uint8)
    texts[:, 0], texts[:, 1] = ord("0"), ord(".")
    texts[-1, 0] = ord("1")
    for place in range(digits):
        power = 10 ** (digits - 1 - place)
        texts[:, 2 + place] = every // power % 10 + ord("0")
        if place:  # one digit stays, whatever it is
            lengths[every % (10 * power) == 0] = np.minimum(lengths[every % (10 * power) == 0], 2 + place)
    for tiny in range(1, min(_TINY, scale)):
        text = repr(tiny / scale).encode()
        texts[tiny, : len(text)] = np.frombuffer(text, np.uint8)
        lengths[tiny] = len(text)
    return texts, lengths
