"""JSON arrays as lists: SageMaker's manifest files, arrays of addresses and of objects, and hostile ones."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator

import pytest

from boxwright import errors, objects
from boxwright.batch.entry import Entry
from boxwright.batch.inputs import json_array

URI = objects.ObjectUri.parse("gs://b/dir/list.manifest")


def _entries(content: bytes, size: int = 50, column: str = "") -> list[Entry]:
    pieces = (content[start : start + size] for start in range(0, len(content), size))
    return list(json_array.entries(URI, pieces, column))


def _texts(value: object, **options: object) -> list[str]:
    return [entry.text for entry in _entries(json.dumps(value).encode(), **options)]


def test_the_first_element_may_say_where_the_others_lie():
    assert _texts([{"prefix": "s3://b/images/"}, "cats/1.jpg", "2, ä.jpg"]) == [
        "s3://b/images/cats/1.jpg",
        "s3://b/images/2, ä.jpg",
    ]


def test_addresses_and_objects_are_elements():
    assert _texts(["gs://b/1.jpg", {"uri": "gs://b/2.jpg", "boxes": [{"uri": "gs://b/no.jpg"}]}]) == [
        "gs://b/1.jpg",
        "gs://b/2.jpg",
    ]
    assert _texts([{"file_name": "x/1.jpg"}]) == ["gs://b/dir/x/1.jpg"]
    assert _texts([{"uri": "gs://b/2.jpg", "thumb": "gs://b/t.jpg"}], column="thumb") == ["gs://b/t.jpg"]
    assert _texts([]) == []


def test_an_element_without_an_address_costs_that_element():
    entries = _entries(json.dumps(["gs://b/1.jpg", 5, None, "", {"x": 1}, ["gs://b/no.jpg"], "gs://b/2.jpg"]).encode())
    assert [entry.text for entry in entries if not entry.failure] == ["gs://b/1.jpg", "gs://b/2.jpg"]
    assert [entry.place for entry in entries if entry.failure] == [f"{URI}, element {n}" for n in (2, 3, 4, 5, 6)]


@pytest.mark.parametrize("content", [b'["gs://b/1.jpg"', b'["gs://b/1.jpg",}', b'["a"] x', b"[", b'["gs://b/\xff"]'])
def test_a_damaged_array_is_refused(content):
    with pytest.raises(errors.ApiError, match=r"gs://b/dir/list\.manifest: this begins like a JSON array, but"):
        _entries(content)


@pytest.mark.parametrize("opener", [b'["gs://b/', b'[{"x": "', b"[[", b'[{"a":['])
def test_an_element_without_an_end_is_given_up_early(opener):
    given = 0

    def endless() -> Iterator[bytes]:
        nonlocal given
        yield opener
        while given < 1 << 28:
            given += 1 << 16
            yield (b"x" if opener[-1:] in b'/"' else b"[") * (1 << 16)

    tracemalloc.start()
    with pytest.raises(errors.ApiError):
        list(json_array.entries(URI, endless(), ""))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert given <= 2 << 20
    assert peak_bytes < 32 << 20


@pytest.mark.parametrize(
    ("start", "is_one"),
    [
        (b'["gs', True),
        (b'\xef\xbb\xbf\n [\n {"p', True),
        (b"[]", True),
        (b"[", True),
        (b"[x].jpg", False),
        (b'{"a', False),
    ],
)
def test_an_array_is_known_by_its_start(start, is_one):
    assert json_array.is_array(start) == is_one
