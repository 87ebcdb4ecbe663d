"""Parquet as a list: the columns that people have, and files that end the process that reads them."""

from __future__ import annotations

import io
import pathlib
import random
from collections.abc import Sequence

import pytest
from arro3 import io as arrow_io
from arro3.core import Array, DataType, Field, Table, struct_array
from google.rpc import code_pb2

from boxwright import errors, objects
from boxwright.batch.entry import Entry
from boxwright.batch.inputs import parquet_rows

URIS = [f"gs://b/{number}, ä.jpg" for number in range(3000)]
URI = objects.ObjectUri.parse("gs://b/dir/list.parquet")


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "buckets" / "b" / "dir" / "list.parquet"
    path.parent.mkdir(parents=True)
    return path


def _texts(values: Sequence[str | None], kind: DataType | None = None) -> Array:
    return Array(values, kind or DataType.utf8())


def _write(file: pathlib.Path, columns: dict[str, Array], **options: object) -> None:
    arrow_io.write_parquet(Table.from_pydict(columns), str(file), **options)


def _entries(file: pathlib.Path, column: str = "") -> list[Entry]:
    buckets = file.parents[2]
    stores = objects.Stores(buckets, buckets.parent / "state").named()
    return list(parquet_rows.entries(stores, stores.head(URI), column))


@pytest.mark.parametrize("name", ["uri", "image", "path", "gcs_uri", "source-ref"])
def test_a_column_of_a_usual_name_has_the_addresses_in_their_order(file, name):
    numbers = Array(list(range(len(URIS))), DataType.int64())
    _write(file, {"n": numbers, name: _texts(URIS)}, max_row_group_size=700)
    entries = _entries(file)
    assert [entry.text for entry in entries] == URIS
    assert entries[1234].place == f"{URI}, row 1235"
    ends = [entry.end_bytes for entry in entries]
    assert ends == sorted(ends) and 0 < ends[0] <= ends[-1] <= file.stat().st_size


@pytest.mark.parametrize("kind", [DataType.large_utf8(), DataType.string_view()])
def test_texts_of_every_kind_are_read(file, kind):
    _write(file, {"uri": _texts(URIS[:5], kind)})
    assert [entry.text for entry in _entries(file)] == URIS[:5]


def test_the_asked_for_column_is_read_and_a_file_name_is_relative(file):
    _write(
        file,
        {"uri": _texts(["gs://b/1.jpg"]), "thumb.nail": _texts(["gs://b/t.jpg"]), "file_name": _texts(["x/y.jpg"])},
    )
    assert [entry.text for entry in _entries(file)] == ["gs://b/1.jpg"]
    assert [entry.text for entry in _entries(file, "thumb.nail")] == ["gs://b/t.jpg"]
    assert [entry.text for entry in _entries(file, "file_name")] == ["gs://b/dir/x/y.jpg"]


def test_a_column_of_structs_has_the_addresses_within(file):
    fields = [Field("bytes", DataType.binary(), nullable=True), Field("path", DataType.utf8(), nullable=True)]
    structs = struct_array(
        [Array([b"x" * 100, b"y"], DataType.binary()), _texts(["gs://b/1.jpg", None])], fields=fields
    )
    _write(file, {"image": structs})
    for column in ("", "image.path", "image"):
        first, second = _entries(file, column)
        assert (first.text, first.failure) == ("gs://b/1.jpg", None)
        assert (second.text, second.failure) == (f"{URI}, row 2", "the row has no value in the column image.path")


def test_a_row_without_a_value_costs_that_row(file):
    _write(file, {"uri": _texts(["gs://b/1.jpg", None, "", "gs://b/2.jpg"])})
    assert [entry.failure is None for entry in _entries(file)] == [True, False, False, True]


def test_a_file_without_rows_is_an_empty_list(file):
    _write(file, {"uri": _texts([])})
    assert _entries(file) == []


def test_a_file_without_the_column_says_what_it_has(file):
    _write(file, {"picture": _texts(["gs://b/1.jpg"]), "uri": Array([5], DataType.int64())})
    for column, text in (("", "no column uri, image, path or the like"), ("photo", "no column 'photo' with texts")):
        with pytest.raises(errors.ApiError) as raised:
            _entries(file, column)
        assert raised.value.code == code_pb2.INVALID_ARGUMENT
        assert raised.value.message.startswith(f"{URI}: it has {text}")
        assert "params.input_column names another one. Its columns: picture, uri." in raised.value.message


def _spoilt(content: bytes) -> dict[str, bytes]:
    spoilt = {
        "four bytes": content[:4],
        "cut off": content[:-100],
        "a long footer": content[:-8] + b"\xff\xff\xff\x7fPAR1",
    }
    chance = random.Random(1)
    for number in range(3):
        damaged = bytearray(content)
        for _ in range(8):
            damaged[chance.randrange(4, len(content) - 8)] ^= chance.randrange(1, 256)
        spoilt[f"damaged {number}"] = bytes(damaged)
    return spoilt


def _content() -> bytes:
    target = io.BytesIO()
    arrow_io.write_parquet(Table.from_pydict({"uri": _texts(URIS)}), target)
    return target.getvalue()


@pytest.mark.parametrize("what", list(_spoilt(_content())))
def test_a_damaged_file_is_refused_and_does_no_harm(file, what):
    file.write_bytes(_spoilt(_content())[what])
    try:
        entries = _entries(file)
    except errors.ApiError as error:
        assert error.code == code_pb2.INVALID_ARGUMENT, error
        assert str(URI) in error.message
    else:
        assert what.startswith("damaged") and len(entries) <= len(URIS)


def test_a_file_that_asks_for_more_memory_than_there_may_be_is_refused(file, monkeypatch):
    monkeypatch.setattr(parquet_rows, "MEMORY_BYTES", 768 << 20)
    _write(file, {"uri": _texts(["x" * (32 << 20)] * 16)}, compression="zstd(1)", dictionary_enabled=False)
    assert file.stat().st_size < 10 << 20
    with pytest.raises(errors.ApiError, match="takes more than 768 MiB of memory"):
        _entries(file)


def test_an_object_that_goes_away_is_the_stores_error(file):
    _write(file, {"uri": _texts(URIS[:3])})
    buckets = file.parents[2]
    stores = objects.Stores(buckets, buckets.parent / "state").named()
    info = stores.head(URI)
    file.unlink()
    with pytest.raises(errors.ApiError, match=r"gs://b/dir/list\.parquet does not exist") as raised:
        list(parquet_rows.entries(stores, info, ""))
    assert raised.value.code == code_pb2.NOT_FOUND
