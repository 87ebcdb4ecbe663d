"""The fast text of many results: every number as Python writes it, every label with its own text."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from boxwright.batch.output import annotation_text

SCALE = 1_000_000
NUMBER = st.one_of(st.integers(0, SCALE), st.sampled_from([0, 1, 9, 10, 99, 100, 500_000, SCALE - 1, SCALE]))
ROW = st.tuples(st.integers(0, 2), NUMBER, NUMBER)
HEADS, TAILS = [b"a", "längere ".encode(), b""], [b"", b"\x00 end", b"!"]


def test_every_multiple_is_written_as_python_writes_it():
    numbers = np.arange(SCALE + 1, dtype=np.int32)
    text, starts = annotation_text.rows_text(numbers[None], SCALE, np.zeros(SCALE + 1, np.uint16), [b""], [], [b"\n"])
    assert text.decode().splitlines() == [repr(number / SCALE) for number in range(SCALE + 1)]
    assert starts[-1] == len(text)


@given(st.lists(ROW, max_size=6))
def test_rows_are_head_numbers_and_tail_of_their_label(rows):
    labels = np.array([row[0] for row in rows], np.uint16)
    numbers = np.array([row[1:] for row in rows], np.int32).reshape(-1, 2).T
    text, starts = annotation_text.rows_text(numbers, SCALE, labels, HEADS, [b" and "], TAILS)
    expected = [
        HEADS[label] + f"{first / SCALE!r} and {second / SCALE!r}".encode() + TAILS[label]
        for label, first, second in rows
    ]
    assert [text[start:end] for start, end in itertools.pairwise(starts)] == expected
