"""The annotations of many results as one array of bytes: the fast way to the text of `json_lines`.

Each result is a row of a matrix of bytes in which every part has the room of its longest text; what a row does not need is
taken out at once. Python's own formatting takes about ten times as long.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

NUMBER_BYTES = 8  # "0.123456", or "9.9e-05"
_TINY = 100  # millionths below which Python writes an exponent
_MANY = 8  # one byte of so many is room: going from one to the next is no faster than looking at all
_ROOM = b"\xff"  # a byte that no text in UTF-8 has


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
    rows, room = _rows(heads, between, tails)
    number_texts, number_lengths = _numbers(scale)
    matrix = rows[label_indices]
    lengths = np.array([len(head) + len(tail) for head, tail in zip(heads, tails, strict=True)], np.int64)[
        label_indices
    ]
    lengths += sum(map(len, between))
    for name, column in zip(room.names or (), numbers, strict=True):
        matrix.view(room)[name] = number_texts[column]
        lengths += number_lengths[column]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return _without_room(matrix.tobytes(), int(starts[-1])), starts


def _rows(
    heads: Sequence[bytes], between: Sequence[bytes], tails: Sequence[bytes]
) -> tuple[npt.NDArray[np.void], np.dtype[np.void]]:
    """(C,) a row of each label, with room for numbers; and the type of a row, in which the room of each has a name."""
    head_bytes, tail_bytes = (max(map(len, texts), default=0) for texts in (heads, tails))
    offsets = list(itertools.accumulate((NUMBER_BYTES + len(part) for part in between), initial=head_bytes))
    width = offsets[-1] + NUMBER_BYTES + tail_bytes
    fixed = (_ROOM * NUMBER_BYTES).join([b"", *between, b""])
    rows = [
        head.ljust(head_bytes, _ROOM) + fixed + tail.ljust(tail_bytes, _ROOM)
        for head, tail in zip(heads, tails, strict=True)
    ]
    names = [f"number {index}" for index in range(len(offsets))]
    room = np.dtype({"names": names, "formats": [np.uint64] * len(names), "offsets": offsets, "itemsize": width})
    return np.frombuffer(b"".join(rows), f"V{width}"), room


def _without_room(text: bytes, length: int) -> bytes:
    """The text of that length, without the room that is left in it."""
    if (len(text) - length) * _MANY < len(text):
        return text.replace(_ROOM, b"")
    return text.translate(None, _ROOM)  # looks at each byte, instead of going from room to room


@functools.cache
def _numbers(scale: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    """(S + 1,) the texts of all multiples, 8 bytes each, and (S + 1,) their lengths: 9 MB, made once in a process."""
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
    for place in range(NUMBER_BYTES):
        texts[lengths <= place, place] = ord(_ROOM)
    return texts.view(np.uint64).ravel(), lengths
