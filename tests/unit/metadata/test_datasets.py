"""Merging imported images: identity is the content, boxes are appended, nothing is added twice."""

from __future__ import annotations

import itertools
import json
import pathlib

import pytest

from boxwright.metadata import database, datasets


@pytest.fixture
def db(database_place):
    opened = database.Database(database_place)
    with opened.write() as connection:
        for dataset_id in ("IOD1", "IOD2"):
            values = {"id": dataset_id, "project": "p", "location": "l", "display_name": "d", "metadata_member": "m"}
            times = {"create_time_us": 1, "update_time_us": 1}
            datasets.insert(connection, {**values, **times, "labels": {}, "etag": "e"})
    yield opened
    opened.close()


def _image(sha256: str, *boxes: tuple, uri: str = "", ml_use: str = "TRAIN") -> dict:
    uri = uri or f"gs://b/{sha256}.jpg"
    return {"sha256": sha256, "uri": uri, "ml_use": ml_use, "width_px": 9, "height_px": 9, "boxes": list(boxes)}


def _merge(db, *images: dict, dataset_id: str = "IOD1") -> int:
    ids = itertools.count(1)
    with db.write() as connection:
        taken = {spec_id for spec_id, _ in datasets.specs(connection, dataset_id)}
        fresh = (str(number) for number in ids if f"{dataset_id[-1]}{number}" not in taken)
        return datasets.merge(connection, dataset_id, images, lambda: f"{dataset_id[-1]}{next(fresh)}")


def _lines(db, tmp_path: pathlib.Path, dataset_id: str = "IOD1") -> list[dict]:
    path = tmp_path / "examples.jsonl"
    with db.read() as connection:
        specs = [spec_id for spec_id, _ in datasets.specs(connection, dataset_id)]
        datasets.write_examples(connection, dataset_id, path, specs)
    return [json.loads(line) for line in path.read_text().splitlines()]


CAR, BIKE = ("car", 0.1, 0.1, 0.5, 0.5), ("bike", 0.2, 0.2, 0.6, 0.6)


def test_merging_nothing_adds_nothing(db, tmp_path):
    assert _merge(db) == 0
    assert _lines(db, tmp_path) == []


def test_an_image_with_nothing_in_it_is_an_example(db, tmp_path):
    assert _merge(db, _image("a")) == 1
    assert _lines(db, tmp_path) == [{"uri": "gs://b/a.jpg", "sha256": "a", "ml_use": "TRAIN", "boxes": []}]


def test_boxes_of_the_same_content_are_appended_and_the_first_path_and_use_stay(db, tmp_path):
    assert _merge(db, _image("a", CAR)) == 1
    assert _merge(db, _image("a", BIKE, uri="gs://b/copy.jpg", ml_use="TEST")) == 0
    (line,) = _lines(db, tmp_path)
    assert (line["uri"], line["ml_use"], len(line["boxes"])) == ("gs://b/a.jpg", "TRAIN", 2)


def test_the_same_content_twice_in_one_batch_is_one_example(db, tmp_path):
    assert _merge(db, _image("a", CAR), _image("a", CAR, BIKE)) == 1
    assert len(_lines(db, tmp_path)[0]["boxes"]) == 2


def test_merging_again_changes_nothing(db, tmp_path):
    images = [_image("a", CAR, BIKE), _image("b"), _image("c", CAR)]
    assert _merge(db, *images) == 3
    before = _lines(db, tmp_path)
    assert _merge(db, *images) == 0
    assert _lines(db, tmp_path) == before
    with db.read() as connection:
        assert datasets.find(connection, "p", "l", "IOD1").example_count == 3


def test_labels_are_indexed_in_the_order_that_is_asked_for(db, tmp_path):
    _merge(db, _image("a", CAR, BIKE))
    with db.read() as connection:
        specs = datasets.specs(connection, "IOD1")
    assert [label for _, label in specs] == ["bike", "car"]
    assert [box[0] for box in _lines(db, tmp_path)[0]["boxes"]] == [1, 0]


def test_counts_are_of_images_and_not_of_boxes(db):
    _merge(db, _image("a", CAR, ("car", 0.3, 0.3, 0.9, 0.9)), _image("b", CAR, BIKE), _image("c", ml_use="TEST"))
    with db.read() as connection:
        specs = {label: spec_id for spec_id, label in datasets.specs(connection, "IOD1")}
        counts = datasets.examples_per_spec(connection, "IOD1")
        assert counts == {specs["car"]: 2, specs["bike"]: 1}
        assert datasets.examples_per_use(connection, "IOD1") == {"TRAIN": 2, "TEST": 1}


def test_datasets_share_nothing_and_one_goes_without_the_other(db, tmp_path):
    _merge(db, _image("a", CAR))
    _merge(db, _image("a", CAR), dataset_id="IOD2")
    with db.write() as connection:
        datasets.delete(connection, "IOD1")
    with db.read() as connection:
        assert datasets.find(connection, "p", "l", "IOD1") is None
        assert datasets.specs(connection, "IOD1") == []
    assert _lines(db, tmp_path) == []
    assert len(_lines(db, tmp_path, "IOD2")[0]["boxes"]) == 1


def test_examples_are_written_in_the_order_of_their_content_whatever_the_order_of_import(db, tmp_path):
    _merge(db, _image("c"), _image("a"), _image("b"))
    assert [line["sha256"] for line in _lines(db, tmp_path)] == ["a", "b", "c"]


def test_of_images_that_were_imported_from_one_address_the_last_one_is_for_training(db, tmp_path):
    uri = "gs://b/x.jpg"
    _merge(db, _image("a", CAR, uri=uri), _image("m", CAR))
    assert [line["sha256"] for line in _lines(db, tmp_path)] == ["a", "m"]
    _merge(db, _image("z", BIKE, uri=uri))
    _merge(db, _image("b", BIKE, uri=uri))
    _merge(db, _image("z", BIKE, uri="gs://b/other.jpg"), _image("y", CAR, uri=uri), dataset_id="IOD2")
    assert [line["sha256"] for line in _lines(db, tmp_path)] == ["b", "m"]
    with db.read() as connection:
        assert list(datasets.superseded(connection, "IOD1").values()) == [uri, uri]
        assert datasets.superseded(connection, "IOD2") == {}
