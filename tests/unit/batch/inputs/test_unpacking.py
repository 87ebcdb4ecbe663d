"""gzip as a stream: the same bytes whatever the pieces, and bombs, damage and cuts refused."""

from __future__ import annotations

import gzip
import itertools
import random
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxwright import errors, objects
from boxwright.batch.inputs import unpacking
from boxwright.batch.inputs.unpacking import Unpacked

URI = objects.ObjectUri.parse("gs://b/list.csv.gz")


def _pieces(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(1, 50), st.sampled_from([b"", b"\0" * 600])
)
def test_streams_behind_each_other_are_one_content_whatever_the_pieces(contents, size, padding):
    packed = b"".join(gzip.compress(content) for content in contents) + padding
    unpacked = Unpacked(URI, _pieces(packed, size))
    assert b"".join(unpacked) == b"".join(contents)
    assert unpacked.read_bytes == len(packed)


@pytest.mark.parametrize("where", [5, 30, -9, -4, -1])
def test_a_file_that_is_cut_off_is_refused(where):
    packed = gzip.compress(random.Random(0).randbytes(5000))[:where]
    with pytest.raises(
        errors.ApiError, match=r"gs://b/list\.csv\.gz cannot be unpacked as gzip: it is cut off\. Write"
    ):
        list(Unpacked(URI, _pieces(packed, 100)))


def test_a_damaged_file_and_one_with_something_behind_it_are_refused():
    packed = bytearray(gzip.compress(random.Random(0).randbytes(5000)))
    packed[-6] ^= 1  # of the sum
    for content in (bytes(packed), gzip.compress(b"a") + b"gs://b/a.jpg\n"):
        with pytest.raises(errors.ApiError, match="it is damaged"):
            list(Unpacked(URI, _pieces(content, 100)))


def test_a_bomb_is_given_up_early_and_its_pieces_are_small():
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(300)) + packer.flush()
    pieces = iter(Unpacked(URI, _pieces(bomb, 64 * 1024)))
    taken = 0
    with pytest.raises(errors.ApiError, match="unpacks to more than 200 times its size"):
        for piece in pieces:
            assert len(piece) <= unpacking.PIECE_BYTES
            taken += len(piece)
    assert taken <= unpacking.JUDGED_FROM_BYTES + (64 << 20)


def test_lists_that_repeat_themselves_are_no_bomb():
    text = "".join(f"gs://photos/some/long/folder/name/{number:08d}.jpg\n" for number in range(200_000)).encode()
    assert sum(map(len, Unpacked(URI, iter([gzip.compress(text)])))) == len(text)


def test_the_start_is_unpacked_for_a_look():
    packed = gzip.compress(b"gs://b/a.jpg\n" * 1000)
    assert unpacking.start(packed[:40], 4096).startswith(b"gs://b/a")
    assert len(unpacking.start(packed, 100)) == 100
    assert unpacking.start(b"\x1f\x8bnonsense", 100) == b""
    assert not any(itertools.islice(unpacking.start(b"\x1f\x8b", 5), 1))
