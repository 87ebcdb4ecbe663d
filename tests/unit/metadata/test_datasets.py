"""Merging imported images: identity is the content, boxes are appended, nothing is added twice."""

from __future__ import annotations

import itertools

import pytest
import sqlalchemy as sa

from boxwright import states
from boxwright.metadata import database, datasets, schema


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


def _image(sha256: str, *annotations: tuple, uri: str = "", ml_use: str = "TRAIN", state: str = "LABELED") -> dict:
    uri = uri or f"gs://b/{sha256}.jpg"
    fields = {"sha256": sha256, "uri": uri, "ml_use": ml_use, "state": state}
    return {**fields, "width_px": 9, "height_px": 9, "annotations": list(annotations)}


def _merge(db, *images: dict, dataset_id: str = "IOD1", **options: bool) -> int:
    ids = itertools.count(1)
    with db.write() as connection:
        taken = {spec_id for spec_id, _ in datasets.specs(connection, dataset_id)}
        fresh = (str(number) for number in ids if f"{dataset_id[-1]}{number}" not in taken)
        return datasets.merge(connection, dataset_id, images, lambda: f"{dataset_id[-1]}{next(fresh)}", **options)


def _examples(db, dataset_id: str = "IOD1") -> list[datasets.Example]:
    with db.read() as connection:
        return list(datasets.examples_of(connection, dataset_id))


CAR, BIKE = ("car", 0.1, 0.1, 0.5, 0.5), ("bike", 0.2, 0.2, 0.6, 0.6)


def test_merging_nothing_adds_nothing(db):
    assert _merge(db) == 0
    assert _examples(db) == []


def test_an_image_with_nothing_in_it_is_an_example(db):
    assert _merge(db, _image("a")) == 1
    assert _examples(db) == [datasets.Example("gs://b/a.jpg", "a", "TRAIN", "LABELED", ())]


def _proposal(sha256: str, *annotations: tuple, is_copy: bool = False) -> dict:
    return {**_image(sha256, *annotations, state="SUGGESTED"), "is_copy": is_copy}


def test_a_proposal_is_replaced_by_the_next_one_and_by_labels_which_it_never_changes(db):
    def state() -> tuple:
        (example,) = _examples(db)
        return example.state, [one.label for one in example.annotations]

    assert _merge(db, _proposal("a", CAR)) == 1
    assert state() == ("SUGGESTED", ["car"])
    assert _merge(db, _proposal("a", BIKE), _proposal("a", CAR, is_copy=True)) == 0
    assert state() == ("SUGGESTED", ["bike", "car"])
    assert _merge(db, _image("a", BIKE), _image("a", ("car", 0.3, 0.3, 0.9, 0.9))) == 0
    assert state() == ("LABELED", ["bike", "car"])
    assert _merge(db, _proposal("a", CAR), _proposal("a")) == 0
    assert state() == ("LABELED", ["bike", "car"])


def test_what_is_proposed_counts_for_no_label_and_what_says_nothing_leaves_it(db):
    _merge(db, _image("a", CAR), _proposal("b", CAR), _proposal("c", BIKE), _image("d", state="UNLABELED"))
    with db.read() as connection:
        label_of = dict(datasets.specs(connection, "IOD1"))
        counts = datasets.examples_per_spec(connection, "IOD1")
        assert {label_of[spec]: count for spec, count in counts.items()} == {"car": 1}
        assert {label_of[spec] for spec in datasets.proposed_specs(connection, "IOD1")} == {"car", "bike"}
        assert datasets.labelled_per_use(connection, "IOD1") == {"TRAIN": 1}
        assert datasets.known(connection, "IOD1", ["b"])["b"].state == "SUGGESTED"
    _merge(db, _image("b", state="UNLABELED"), _proposal("d", BIKE))
    assert [(one.sha256, one.state) for one in _examples(db)] == [
        ("a", "LABELED"),
        ("b", "SUGGESTED"),
        ("c", "SUGGESTED"),
        ("d", "SUGGESTED"),
    ]


def test_boxes_of_the_same_content_are_appended_and_the_first_path_and_use_stay(db):
    assert _merge(db, _image("a", CAR)) == 1
    assert _merge(db, _image("a", BIKE, uri="gs://b/copy.jpg", ml_use="TEST")) == 0
    (example,) = _examples(db)
    assert (example.uri, example.ml_use, len(example.annotations)) == ("gs://b/a.jpg", "TRAIN", 2)


def test_the_same_content_twice_in_one_batch_is_one_example(db):
    assert _merge(db, _image("a", CAR), _image("a", CAR, BIKE)) == 1
    assert len(_examples(db)[0].annotations) == 2


def test_merging_again_changes_nothing(db):
    images = [_image("a", CAR, BIKE), _image("b"), _image("c", CAR)]
    assert _merge(db, *images) == 3
    before = _examples(db)
    assert _merge(db, *images) == 0
    assert _examples(db) == before
    with db.read() as connection:
        assert datasets.find(connection, "p", "l", "IOD1").example_count == 3


def test_annotations_are_in_the_order_of_import_and_specs_in_that_of_their_names(db):
    _merge(db, _image("a", CAR, BIKE))
    with db.read() as connection:
        specs = datasets.specs(connection, "IOD1")
    assert [label for _, label in specs] == ["bike", "car"]
    assert [one.label for one in _examples(db)[0].annotations] == ["car", "bike"]


def test_counts_are_of_images_and_not_of_boxes(db):
    _merge(db, _image("a", CAR, ("car", 0.3, 0.3, 0.9, 0.9)), _image("b", CAR, BIKE), _image("c", ml_use="TEST"))
    with db.read() as connection:
        specs = {label: spec_id for spec_id, label in datasets.specs(connection, "IOD1")}
        counts = datasets.examples_per_spec(connection, "IOD1")
        assert counts == {specs["car"]: 2, specs["bike"]: 1}
        assert datasets.labelled_per_use(connection, "IOD1") == {"TRAIN": 2, "TEST": 1}


def test_datasets_share_nothing_and_one_goes_without_the_other(db):
    _merge(db, _image("a", CAR))
    _merge(db, _image("a", CAR), dataset_id="IOD2")
    with db.write() as connection:
        datasets.delete(connection, "IOD1")
    with db.read() as connection:
        assert datasets.find(connection, "p", "l", "IOD1") is None
        assert datasets.specs(connection, "IOD1") == []
    assert _examples(db) == []
    assert len(_examples(db, "IOD2")[0].annotations) == 1


def test_examples_are_written_in_the_order_of_their_content_whatever_the_order_of_import(db):
    _merge(db, _image("c"), _image("a"), _image("b"))
    assert [example.sha256 for example in _examples(db)] == ["a", "b", "c"]


def test_of_images_that_were_imported_from_one_address_the_last_one_is_there(db):
    uri = "gs://b/x.jpg"
    _merge(db, _image("a", CAR, uri=uri), _image("m", CAR))
    _merge(db, _image("z", BIKE, uri=uri))
    _merge(db, _image("b", BIKE, uri=uri))
    _merge(db, _image("z", BIKE, uri="gs://b/other.jpg"), _image("y", CAR, uri=uri), dataset_id="IOD2")
    with db.read() as connection:
        gone = datasets.superseded(connection, "IOD1")
        assert list(gone.values()) == [uri, uri]
        assert [one.sha256 for one in datasets.examples_of(connection, "IOD1", without=gone)] == ["b", "m"]
        assert datasets.superseded(connection, "IOD2") == {}


# ---- labels without boxes ------------------------------------------------------------------------------------------------


def _label(name: str) -> tuple:
    return (name, None, None, None, None)


DAISY, TULIP = _label("daisy"), _label("tulip")


def test_a_label_of_a_whole_image_has_no_box_and_is_there_once(db):
    _merge(db, _image("a", DAISY, TULIP, DAISY))
    _merge(db, _image("a", TULIP))
    (example,) = _examples(db)
    assert [(one.label, one.box) for one in example.annotations] == [("daisy", None), ("tulip", None)]
    with db.read() as connection:
        assert sorted(datasets.examples_per_spec(connection, "IOD1").values()) == [1, 1]


def test_one_label_an_image_stays_where_there_is_only_one(db):
    _merge(db, _image("a", DAISY), _image("a", TULIP), has_one_label=True)
    _merge(db, _image("a", TULIP), has_one_label=True)
    (example,) = _examples(db)
    assert [one.label for one in example.annotations] == ["daisy"]
    with db.read() as connection:
        assert [label for _, label in datasets.specs(connection, "IOD1")] == ["daisy"], "no label that nobody carries"


def test_what_is_unlabelled_becomes_labelled_and_not_the_other_way(db):
    _merge(db, _image("a", state="UNLABELED"), _image("b", DAISY), _image("c", state="UNLABELED"))
    _merge(db, _image("a", DAISY), _image("b", state="UNLABELED"), _image("c", state="UNLABELED"))
    assert [one.state for one in _examples(db)] == ["LABELED", "LABELED", "UNLABELED"]
    with db.read() as connection:
        assert datasets.labelled_per_use(connection, "IOD1") == {"TRAIN": 2}


def test_examples_of_a_label_are_counted_by_their_use(db):
    _merge(db, _image("a", DAISY), _image("b", DAISY, ml_use="TEST"), _image("c", TULIP, ml_use="UNASSIGNED"))
    with db.read() as connection:
        specs = {label: spec_id for spec_id, label in datasets.specs(connection, "IOD1")}
        uses = (states.MlUse.TRAIN, states.MlUse.UNASSIGNED)
        assert datasets.examples_per_spec(connection, "IOD1", uses) == {specs["daisy"]: 1, specs["tulip"]: 1}


def test_what_is_known_of_contents_is_asked_at_once(db):
    _merge(db, _image("a", TULIP, DAISY, ml_use="TEST"), _image("b", state="UNLABELED"), _image("c", CAR, CAR, BIKE))
    with db.read() as connection:
        found = datasets.known(connection, "IOD1", ["a", "b", "c", "d"])
    assert found == {
        "a": datasets.KnownExample("gs://b/a.jpg", "TEST", ("tulip", "daisy")),
        "b": datasets.KnownExample("gs://b/b.jpg", "TRAIN", (), "UNLABELED"),
        "c": datasets.KnownExample("gs://b/c.jpg", "TRAIN", ("car", "bike")),
    }


def _rows(db) -> dict[str, tuple]:
    with db.read() as connection:
        columns = [
            schema.examples.c[name]
            for name in ("sha256", "display_name", "annotation_count", "min_edge_px", "change_id")
        ]
        return {row[0]: tuple(row[1:]) for row in connection.execute(sa.select(*columns))}


def test_an_example_has_the_name_of_its_file_and_what_is_counted_of_its_boxes(db):
    _merge(
        db,
        _image("a", CAR, ("car", 0.0, 0.0, 1.0, 1 / 9), uri="gs://b/sub/x.jpg"),
        _image("b", uri="gs://b/" + "n" * 300),
    )
    _merge(db, {**_image("c", ("car", None, None, None, None)), "display_name": "C:\\own name.png"})
    rows = _rows(db)
    assert rows["a"] == ("x.jpg", 2, pytest.approx(1.0), "")
    assert rows["b"] == ("n" * 255, 0, None, "")
    assert rows["c"] == ("C:\\own name.png", 1, None, "")


def test_what_an_import_changes_is_no_longer_as_a_change_of_many_left_it(db):
    _merge(db, _image("a", CAR), _image("b", CAR), _image("c", state="UNLABELED"), _image("d", CAR))
    with db.write() as connection:
        connection.execute(schema.examples.update().values(change_id="x"))
    _merge(db, _image("a", CAR, BIKE), _image("b", CAR), _image("c", CAR))
    assert {sha256: row[3] for sha256, row in _rows(db).items()} == {"a": "", "b": "x", "c": "", "d": "x"}
    assert _rows(db)["a"][1] == 2


def test_an_annotation_says_where_it_comes_from(db):
    _merge(db, _image("a", CAR), _proposal("b", CAR), {**_proposal("c", CAR, BIKE), "scores": [0.75, None]})
    with db.read() as connection:
        query = sa.select(schema.annotations.c.source, schema.annotations.c.score).order_by(schema.annotations.c.id)
        found = [tuple(row) for row in connection.execute(query)]
    assert found == [("IMPORTED", None), ("MODEL", None), ("MODEL", 0.75), ("MODEL", None)]
