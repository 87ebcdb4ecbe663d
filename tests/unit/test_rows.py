"""Rows of CSV objects: text in every dress that callers give it, and what is no text."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
from google.rpc import code_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boxwright import errors, objects, rows

URI = objects.ObjectUri.parse("gs://b/list.csv")


READ = [
    (b"", []),  # nothing
    (b"\n\r\n  \n,,\n\t\n", []),  # blank lines only
    (b"a,b\n", [(1, ["a", "b"])]),
    (b"a,b", [(1, ["a", "b"])]),  # no line break at the end
    (b"a,b\r\nc\r\n", [(1, ["a", "b"]), (2, ["c"])]),  # CRLF
    (b"a,b\rc\r", [(1, ["a", "b"]), (2, ["c"])]),  # CR alone
    (b"\xef\xbb\xbfa\n", [(1, ["a"])]),  # a byte order mark
    (b"\xef\xbb\xbf", []),  # a byte order mark alone
    (b"a\n\n\nb\n", [(1, ["a"]), (4, ["b"])]),  # numbers count blank lines
    (b" a , b \n", [(1, ["a", "b"])]),  # trimmed
    (b'"a,b",c\n', [(1, ["a,b", "c"])]),  # a quoted comma
    (b'a, "b,c"\n', [(1, ["a", "b,c"])]),  # a space before the quote
    (b'"say ""hi""",c\n', [(1, ['say "hi"', "c"])]),  # a doubled quote
    (b'"open,x\nb,c\n', [(1, ["open,x"]), (2, ["b", "c"])]),  # a quote left open spoils its own line only
    (b"a,,,\n", [(1, ["a", "", "", ""])]),  # empty cells
    ("gs://b/ä +%20#?.jpg\n".encode(), [(1, ["gs://b/ä +%20#?.jpg"])]),
    ("a\u2028b\n".encode(), [(1, ["a\u2028b"])]),  # a Unicode line separator is no line break
    (b"a\x0bb\x0cc\x1cd\n", [(1, ["a\x0bb\x0cc\x1cd"])]),  # nor are these
]


@pytest.mark.parametrize(("content", "expected"), READ)
def test_rows_are_read_in_every_dress(bucket, stores, content, expected):
    (bucket / "list.csv").write_bytes(content)
    assert [(row.line, row.cells) for row in rows.read(stores, URI)] == expected


NO_TEXT = {
    "binary": bytes(range(256)) * 10,
    "a JPEG": b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(100),
    "NUL bytes": b"gs://b/a.jpg\ngs://b/\0.jpg\n",
    "UTF-16": "gs://b/a.jpg\n".encode("utf-16"),
    "UTF-16 without its mark": "gs://b/a.jpg\n".encode("utf-16-le"),
    "UTF-16, the high byte first": "\ufeffgs://b/a.jpg\n".encode("utf-16-be"),
    "UTF-32": "gs://b/a.jpg\n".encode("utf-32"),
    "gzip": gzip.compress(b"gs://b/a.jpg\n"),
    "JSON": b'{"ID":"gs://b/a.jpg"}\n',
    "Latin-1": "gs://b/ä.jpg\n".encode("latin-1"),
    "text cut inside a character": "gs://b/ä".encode()[:-1],
    "a huge line": b"x" * (3 * rows.MAX_LINE_CHARS),
    "a huge line and a break": b"x" * (3 * rows.MAX_LINE_CHARS) + b"\n",
    "a huge line among others": b"a\n" + b"x" * (rows.MAX_LINE_CHARS + 1) + b"\nb\n",
}


@pytest.mark.parametrize("what", NO_TEXT)
def test_what_is_no_text_is_refused_with_the_name_of_the_file(bucket, stores, what):
    (bucket / "list.csv").write_bytes(NO_TEXT[what])
    with pytest.raises(errors.ApiError, match=r"gs://b/list\.csv.*CSV is expected") as raised:
        list(rows.read(stores, URI))
    assert raised.value.code == code_pb2.INVALID_ARGUMENT


def test_a_list_that_is_not_there_is_not_found(stores):
    with pytest.raises(errors.ApiError, match=r"gs://b/list\.csv does not exist") as raised:
        list(rows.read(stores, URI))
    assert raised.value.code == code_pb2.NOT_FOUND


PIECES = st.sampled_from(["a", "gs://b/é.jpg", "ä€😀", ",", '"', " ", "\n", "\r\n", "\r", "\n\n", "x" * 40])


@given(st.lists(PIECES, max_size=40).map("".join), st.lists(st.integers(1, 7), min_size=1, max_size=20), st.booleans())
def test_where_the_chunks_end_never_shows_in_the_rows(text, sizes, marked):
    content = (b"\xef\xbb\xbf" if marked else b"") + text.encode()
    whole = [(row.line, row.cells) for row in rows.read(_Chunks([content] if content else []), URI)]
    chunks, position, index = [], 0, 0
    while position < len(content):
        size = sizes[index % len(sizes)]
        chunks.append(content[position : position + size])
        position, index = position + size, index + 1
    assert [(row.line, row.cells) for row in rows.read(_Chunks(chunks), URI)] == whole


class _Chunks(objects.Stores):
    """An object that comes in the chunks that a test chooses."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    def stream(self, uri: objects.ObjectUri):
        yield from self._chunks


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(content=st.binary(max_size=300))
def test_no_bytes_do_more_than_raise_an_api_error(content):
    try:
        for row in rows.read(_Chunks([content]), URI):
            assert any(row.cells)
    except errors.ApiError as error:
        assert error.code == code_pb2.INVALID_ARGUMENT


def test_a_large_list_is_read_in_little_memory_and_its_bytes_are_counted(bucket, stores):
    line = b"TRAIN,gs://b/images/some/where/0000000.jpg,label,0.1,0.1,,,0.3,0.3,,\n"
    with (bucket / "list.csv").open("wb") as file:
        for _ in range(200):
            file.write(line * 1000)
    tracemalloc.start()
    count, last_bytes = 0, 0
    for row in rows.read(stores, URI):
        assert row.end_bytes >= last_bytes
        count, last_bytes = count + 1, row.end_bytes
        if count > 60_000:
            break
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 12 << 20
    assert 60_000 * len(line) <= last_bytes <= 60_000 * len(line) + 2 * objects.STREAM_CHUNK_BYTES
