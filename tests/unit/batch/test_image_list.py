"""Lists of images: CSV files and errors files, read as streams, and what is refused."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from google.rpc import code_pb2, status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.predictions.batch_jobs import Bench

from boxwright import errors, objects, rows
from boxwright.batch import image_list
from boxwright.batch.output.json_lines import error_line
from boxwright.batch.plan import Plan

URI = objects.ObjectUri.parse("gs://b/errors_1.jsonl")
STATUS = status_pb2.Status(code=code_pb2.NOT_FOUND, message="it does not exist")


class _Chunks(objects.Stores):
    """An object that comes in the chunks that a test chooses."""

    def __init__(self, content: bytes, size: int = 1 << 20) -> None:
        self._content, self._size = content, size

    def stream(self, uri: objects.ObjectUri):
        for start in range(0, len(self._content), self._size):
            yield self._content[start : start + self._size]


def _ids(content: bytes, size: int = 1 << 20) -> list[str]:
    return [entry.text for entry in image_list.read(_Chunks(content, size), URI)]


IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40) | st.sampled_from(
    [
        "gs://b/a, b.jpg",
        'gs://b/"quoted".jpg',
        "gs://b/ blank .jpg ",
        "gs://b/ä\u2028é.jpg",
        "gs://b/a\r\n.jpg",
        "no address",
    ]
)


@given(st.lists(IDS, min_size=1, max_size=30), st.integers(1, 50), st.text(max_size=60))
def test_an_errors_file_lists_its_ids_as_they_are_in_their_order(ids, size, message):
    status = status_pb2.Status(code=code_pb2.NOT_FOUND, message=message.encode("utf-8", "replace").decode())
    content = b"".join(error_line(image_id, status) for image_id in ids)
    assert _ids(content, size) == ids


@given(st.lists(st.sampled_from(["gs://b/a.jpg", "", "  ", "gs://b/é b.jpg,car", '"gs://b/a,b.jpg"', "x"]), max_size=20),
       st.integers(1, 9))  # fmt: skip
def test_a_csv_is_read_as_rows_reads_it(lines, size):
    content = "\n".join(lines).encode()
    found = [(entry.cells, entry.place) for entry in image_list.read(_Chunks(content, size), URI)]
    assert found == [(row.cells, f"{URI}, line {row.line}") for row in rows.read(_Chunks(content, size), URI)]


@settings(max_examples=300)
@given(st.binary(max_size=200) | st.sampled_from([b'{"ID":', b'{"ID":"a","status":{}}', b"[{", b"{"]).flatmap(
    lambda start: st.binary(max_size=40).map(lambda rest: start + rest)
))  # fmt: skip
def test_no_bytes_do_more_than_raise_an_api_error(content):
    try:
        for entry in image_list.read(_Chunks(content), URI):
            assert entry.text.encode() or any(entry.cells)
    except errors.ApiError as error:
        assert error.code == code_pb2.INVALID_ARGUMENT


GOOD = error_line("gs://b/a.jpg", STATUS)
REFUSED = {
    "a file of results": (b'{"ID":"gs://b/a.jpg","annotations":[]}\n', "this file has results of a batch prediction"),
    "a manifest": (b'{\n "state": "SUCCEEDED"\n}\n', "this is JSON, but no errors file"),
    "an array": (b'["gs://b/a.jpg"]\n', "this is JSON, but no errors file"),
    "an object of something else": (b'{"bucket": "b", "key": "a.jpg"}\n', "JSON without an image's address under"),
    "addresses that are no texts": (b'{"content": ["gs://b/a.jpg"]}\n', "JSON without an image's address under"),
    "results after errors": (
        GOOD + b'{"ID":"gs://b/a.jpg","annotations":[]}\n',
        "line 2: this is no line of an errors",
    ),
    "half a line": (GOOD + GOOD[:-9], "line 2: this is no line"),
    "an ID that is no text": (b'{"ID":5,"status":{"code":5,"message":"m"}}\n', "line 1: this is no line"),
    "an empty ID": (b'{"ID":"","status":{"code":5,"message":"m"}}\n', "line 1: this is no line"),
    "half a character": (b'{"ID":"gs://b/\\ud800.jpg","status":{"code":5,"message":"m"}}\n', "line 1: this is no line"),
    "no code": (b'{"ID":"gs://b/a.jpg","status":{"message":"m"}}\n', "line 1: this is no line"),
    "one key more": (b'{"ID":"gs://b/a.jpg","status":{"code":5,"message":"m"},"x":1}\n', "line 1: this is no line"),
    "a row of a CSV": (GOOD + b"gs://b/a.jpg\n", "line 2: this is no line"),
    "depth": (b'{"ID":' + b"[" * 100_000, "this is JSON, but no errors file"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_other_json_is_refused_by_what_it_is_with_its_line(what):
    content, text = REFUSED[what]
    with pytest.raises(errors.ApiError) as raised:
        _ids(content)
    assert raised.value.code == code_pb2.INVALID_ARGUMENT
    assert str(URI) in raised.value.message
    assert text in raised.value.message
    assert "errors_N.jsonl" in raised.value.message


ROWS_OF_JSON = [
    ({"content": "gs://b/a.jpg", "mimeType": "image/jpeg"}, "", "gs://b/a.jpg"),
    ({"instance": {"content": "gs://b/a.jpg"}, "prediction": {"ids": []}}, "", "gs://b/a.jpg"),
    ({"imageGcsUri": "gs://b/a.jpg", "boundingBoxAnnotations": []}, "", "gs://b/a.jpg"),
    ({"image_gcs_uri": "gs://b/a.jpg"}, "", "gs://b/a.jpg"),
    ({"source-ref": "s3://b/a.jpg", "cars": {"annotations": []}}, "", "s3://b/a.jpg"),
    ({"image": {"path": "gs://b/a.jpg"}}, "", "gs://b/a.jpg"),
    ({"id": 7, "uri": "gs://b/a.jpg"}, "", "gs://b/a.jpg"),
    ({"file_name": "train/a, b.jpg", "text": "x"}, "", "gs://b/dir/train/a, b.jpg"),
    ({"file_name": "gs://c/a.jpg"}, "", "gs://c/a.jpg"),
    ({"uri": "gs://b/a.jpg", "thumbnail": "gs://b/t.jpg"}, "thumbnail", "gs://b/t.jpg"),
    ({"data": {"photo": {"at": "gs://b/a.jpg"}}}, "data.photo.at", "gs://b/a.jpg"),
    ({"data.at": "gs://b/a.jpg"}, "data.at", "gs://b/a.jpg"),
]


@pytest.mark.parametrize(("value", "column", "address"), ROWS_OF_JSON)
def test_json_lines_have_the_address_under_the_keys_that_people_use_or_the_one_that_is_asked_for(
    value, column, address
):
    uri = objects.ObjectUri.parse("gs://b/dir/list.jsonl")
    entries = list(image_list.read(_Chunks(json.dumps(value).encode()), uri, column=column))
    assert [(entry.text, entry.failure, entry.place) for entry in entries] == [(address, None, f"{uri}, line 1")]


BAD_LINES = {
    "depth": b'{"content":' + b"[" * 5000,
    "depth that is closed": b'{"content":' + b"[" * 900 + b"]" * 900 + b"}",
    "objects in objects": b'{"instance":' * 500 + b"1" + b"}" * 500,
    "half a line": b'{"content": "gs://b/',
    "no object": b'"gs://b/a.jpg"',
    "no address": b'{"mimeType": "image/jpeg"}',
    "a number": b'{"content": 5}',
    "half a character": b'{"content": "gs://b/\\ud800.jpg"}',
    "a line of errors": GOOD.strip(),
}


@pytest.mark.parametrize("what", BAD_LINES)
def test_an_unusable_line_of_json_costs_that_line(what):
    good = b'{"content": "gs://b/a.jpg"}\n'
    first, bad, last = image_list.read(_Chunks(good + BAD_LINES[what] + b"\n" + good), URI)
    assert (first.failure, last.failure) == (None, None)
    assert bad.failure and bad.text == bad.place == f"{URI}, line 2"


def test_a_csv_has_its_column_by_the_name_in_its_header_if_that_is_asked_for():
    content = b"id,photo path,label\n1,gs://b/a.jpg,car\n\n2,\n3,gs://b/c.jpg\n"
    entries = list(image_list.read(_Chunks(content), URI, column="photo path"))
    assert [entry.text for entry in entries if entry.failure is None] == ["gs://b/a.jpg", "gs://b/c.jpg"]
    assert [entry.place for entry in entries if entry.failure] == [f"{URI}, line 4"]
    with pytest.raises(errors.ApiError, match="no column of its first line is called like"):
        list(image_list.read(_Chunks(content), URI, column="photo"))


def test_the_longest_id_that_a_row_can_have_is_read_back():
    image_id = "\x01" * rows.MAX_LINE_CHARS
    assert _ids(error_line(image_id, STATUS)) == [image_id]


def test_blank_lines_and_a_mark_are_nothing():
    assert _ids(b"\xef\xbb\xbf\n" + GOOD + b"\r\n \n" + GOOD) == ["gs://b/a.jpg"] * 2


@pytest.mark.full
def test_a_large_errors_file_is_read_in_little_memory():
    content = error_line("gs://b/images/some/where/0000000.jpg", STATUS) * 200_000
    tracemalloc.start()
    count = sum(1 for _ in image_list.read(_Chunks(content, 1 << 20), URI))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 200_000
    assert peak_bytes < 16 << 20


@pytest.mark.parametrize("start", [b"", b'{"ID":"', b"gs://b/"])
def test_a_line_without_an_end_is_given_up_early(start):
    class Endless(objects.Stores):
        def __init__(self) -> None:
            self.given = 0

        def stream(self, uri: objects.ObjectUri):
            yield start
            while self.given < 1 << 30:
                self.given += 1 << 20
                yield b"x" * (1 << 20)

    stores = Endless()
    with pytest.raises(errors.ApiError, match="a line is longer than"):
        list(image_list.read(stores, URI))
    assert stores.given <= 2 << 20


def test_a_plan_takes_errors_files_and_csv_files_together_and_again(tmp_path):
    bench = Bench(tmp_path)
    hidden = "gs://b/errors_1.jsonl, line 4"  # its text is not repeated
    odd = ["gs://b/a, b.jpg", 'gs://b/"q".jpg', "gs://b/ä é.jpg", "no address"]
    (bench.bucket / "errors_1.jsonl").write_bytes(b"".join(error_line(image_id, STATUS) for image_id in odd))
    lists = [bench.write_list(["gs://b/1.jpg", "gs://b/2.jpg"]), "gs://b/errors_1.jsonl"]
    lists.append(bench.write_list(["gs://b/3.jpg", "gs://b/ä é.jpg"], "more.csv"))
    plan = Plan(bench.spec(lists=lists, shard_images=3), bench.stores)
    segments = list(plan.segments())
    planned = [item for segment in segments for item in segment.items]
    assert [item.id for item in planned] == ["gs://b/1.jpg", "gs://b/2.jpg", *odd[:3], hidden, "gs://b/3.jpg"]
    assert [item.id for item in planned if item.failure] == [hidden]
    assert "gs://b/errors_1.jsonl, line 4" in planned[5].failure
    assert (plan.rows_read, plan.duplicates) == (8, 1)
    assert list(Plan(bench.spec(lists=lists, shard_images=3), bench.stores).segments()) == segments


def test_an_import_csv_given_as_list_fails_with_what_it_is(tmp_path):
    bench = Bench(tmp_path)
    bench.write_list([f"TRAIN,gs://b/{number}.jpg,car,0.1,0.1,,,0.5,0.5,," for number in range(5)])
    with pytest.raises(errors.ApiError, match=r"line 1: .*row of an import CSV.*address in column 1"):
        list(Plan(bench.spec(), bench.stores).segments())


def test_the_first_line_of_json_is_known_from_the_start_of_the_file():
    start = json.dumps({"ID": "gs://b/a.jpg", "annotations": []}).encode() + b"\n" + b"x" * 100
    line = rows.first_line(URI, start, is_whole=False)
    with pytest.raises(errors.ApiError, match="this file has results"):
        image_list.check_first_line(line)
    assert rows.first_line(URI, b"\n \r\n" + b"x" * 100, is_whole=False) is None
    assert rows.first_line(URI, b"\n \r\nxyz", is_whole=True).text == "xyz"
