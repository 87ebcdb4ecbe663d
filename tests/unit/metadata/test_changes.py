"""Changes of many examples, kept and taken back, in both databases."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from boxwright.metadata import annotation_specs, changes, database, datasets, examples, schema, summaries

EVERYTHING = sa.true()


@pytest.fixture
def db(database_place):
    opened = database.Database(database_place)
    with opened.write() as connection:
        for dataset_id in ("IOD1", "IOD2"):
            values = {"id": dataset_id, "project": "p", "location": "l", "display_name": "d", "metadata_member": "m"}
            times = {"create_time_us": 1, "update_time_us": 1}
            datasets.insert(connection, {**values, **times, "labels": {}, "etag": "e"})
    _import(opened, range(4))
    _import(opened, range(4), dataset_id="IOD2")
    yield opened
    opened.close()


def _import(db: database.Database, numbers: Any, dataset_id: str = "IOD1", start: int = 0) -> None:
    images = [
        {
            "sha256": f"{start + number:064x}",
            "uri": f"gs://b/{number}.jpg",
            "ml_use": "TRAIN",
            "state": "LABELED",
            "width_px": 100,
            "height_px": 100,
            "annotations": [("cat", 0.0, 0.0, 0.5, 0.25), ("dog", 0.0, 0.0, 0.5, 0.25)][: 1 + number % 2],
        }
        for number in numbers
    ]
    with db.write() as connection:
        ids = (f"{dataset_id}-{label}" for label in ("cat", "dog"))
        datasets.merge(connection, dataset_id, images, lambda: next(ids))


def _all(db: database.Database, dataset_id: str = "IOD1") -> dict[str, Any]:
    """All that is known of a dataset's examples, by content; rows of annotations without their own ids."""
    with db.read() as connection:
        rows = connection.execute(examples.select_of(dataset_id).order_by(schema.examples.c.id)).all()
        found = examples.annotations_of(connection, [row.id for row in rows])
    return {row.sha256: (tuple(row), found[row.id], examples.etag(row, found[row.id])) for row in rows}


def _keep(
    connection: sa.Connection, change_id: str, *, which: Any = EVERYTHING, deletes: bool = False, at: int = 5
) -> int:
    specs = [(row.id, row.display_name, row.colour, row.hot_key) for row in annotation_specs.all_of(connection, "IOD1")]
    change = {"id": change_id, "dataset_id": "IOD1", "create_time_us": at, "has_deleted": deletes}
    return changes.keep(connection, change, which, specs)


def _revert(db: database.Database, change_id: str) -> int:
    with db.write() as connection:
        row = changes.find(connection, "IOD1", change_id)
        assert row is not None
        has_merged = changes.respecify(connection, row)
        count = changes.revert(connection, row, has_merged=has_merged)
    _sweep(db)
    return count


def _sweep(db: database.Database, most_rows: int = 1000) -> int:
    """Deletes former rows of forgotten changes; returns the number of transactions."""
    for number in range(1, 1000):
        with db.write() as connection:
            if not changes.sweep(connection, most_rows):
                return number
    raise AssertionError("there is always more")


def _former(db: database.Database) -> list[int]:
    """How many rows there are of changes, of examples and of annotations before them."""
    tables = (schema.changes, schema.former_examples, schema.former_annotations)
    with db.read() as connection:
        return [connection.execute(sa.select(sa.func.count()).select_from(one)).scalar_one() for one in tables]


def _delete_all(db: database.Database, change_id: str = "c") -> None:
    with db.write() as connection:
        assert _keep(connection, change_id, deletes=True) == 4
        changes.delete_examples(connection, "IOD1", changes.kept_by(change_id))


def test_changes_are_taken_back_one_after_the_other(db):
    before, other = _all(db), _all(db, "IOD2")
    for change_id, ml_use in (("a", "TEST"), ("b", "VALIDATION")):
        with db.write() as connection:
            assert _keep(connection, change_id) == 4
            kept = changes.kept_by(change_id)
            values = {"ml_use": ml_use, "author": "user:a", "update_time_us": 7, "change_id": change_id}
            connection.execute(schema.examples.update().where(kept).values(**values))
            connection.execute(schema.annotations.delete().where(schema.annotations.c.annotation_spec_id == "IOD1-cat"))
    assert _revert(db, "a") == 0, "b has changed them since"
    assert _all(db) != before
    assert _revert(db, "b") == 4
    assert {row[4] for row, *_ in _all(db).values()} == {"TEST"}
    assert _all(db, "IOD2") == other


def test_deleted_examples_come_back_to_their_places(db):
    before, other = _all(db), _all(db, "IOD2")
    _delete_all(db)
    assert _all(db) == {}
    assert _revert(db, "c") == 4
    assert _all(db) == before
    assert _all(db, "IOD2") == other
    with db.read() as connection:
        assert [row.example_count for row in connection.execute(sa.select(schema.datasets))] == [4, 4]
        for table in (schema.changes, schema.former_examples, schema.former_annotations):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0


def test_an_example_whose_place_is_taken_or_that_is_there_again_disturbs_nobody(db):
    before = _all(db)
    ids = [row[0] for row, *_ in before.values()]
    _delete_all(db)
    with db.write() as connection:  # a new example has the place of the first one, by an id that was used again
        fields = ("ml_use", "width_px", "height_px", "state")
        values = dict(zip(fields, ("TEST", 9, 9, "LABELED"), strict=True))
        connection.execute(
            schema.examples.insert().values(id=ids[0], dataset_id="IOD2", sha256="new", uri="gs://b/new", **values)
        )
    _import(db, [1])  # the second one is imported again
    again = _all(db)[f"{1:064x}"]
    assert _revert(db, "c") == 3
    after = _all(db)
    assert after[f"{1:064x}"] == again
    assert {sha256: (one[1], one[2]) for sha256, one in after.items()} == {
        sha256: (one[1], one[2]) for sha256, one in before.items()
    }
    assert _all(db, "IOD2")["new"][1] == []


def test_labels_that_are_gone_are_made_again_or_found_by_name(db):
    before = _all(db)
    _delete_all(db)
    with db.write() as connection:
        annotation_specs.update(connection, "IOD1-cat", {"hot_key": "c"})
        for spec_id in ("IOD1-cat", "IOD1-dog"):
            annotation_specs.delete(connection, spec_id)
        annotation_specs.insert(connection, {"id": "new", "dataset_id": "IOD1", "display_name": "dog"})
    assert _revert(db, "c") == 4
    labels = {sha256: [(one.spec_id, one.label) for one in found] for sha256, (_, found, _) in _all(db).items()}
    assert labels == {
        sha256: [("new" if one.label == "dog" else one.spec_id, one.label) for one in found]
        for sha256, (_, found, _) in before.items()
    }


def test_the_newest_change_and_as_many_as_there_is_room_for_are_kept(db):
    with db.write() as connection:
        for number in range(5):
            _keep(connection, f"c{number}", at=100 + number)
        _keep(connection, "old", at=50)

    def left(**limits: int) -> list[str]:
        with db.write() as connection:
            changes.prune(connection, "IOD1", **limits)
        _sweep(db)
        with db.read() as connection:
            kept = connection.execute(sa.select(schema.former_examples.c.change_id).distinct()).scalars()
            assert sorted(kept) == sorted(connection.execute(sa.select(schema.changes.c.id)).scalars())
            return sorted(connection.execute(sa.select(schema.changes.c.id)).scalars())

    assert left(since_us=0, most_examples=24) == ["c0", "c1", "c2", "c3", "c4", "old"]
    assert left(since_us=100, most_examples=24) == ["c0", "c1", "c2", "c3", "c4"]
    assert left(since_us=100, most_examples=8) == ["c3", "c4"]
    assert left(since_us=100, most_examples=0) == ["c4"]


def test_what_was_kept_goes_in_short_transactions_and_what_is_left_goes_later(db):
    with db.write() as connection:
        for change_id in ("a", "b"):
            _keep(connection, change_id)
    before = _former(db)
    with db.write() as connection:
        changes.forget(connection, ["a"])  # and the process ends here
    assert _former(db) == [before[0] - 1, *before[1:]]
    assert _sweep(db, most_rows=1) == before[1] // 2 + before[2] // 2 + 1
    assert _former(db) == [count // 2 for count in before]
    assert _revert(db, "b") == 0, "nothing was marked"
    assert _former(db) == [0, 0, 0]


def test_a_change_of_sets_alone_keeps_no_annotations_and_is_taken_back(db):
    before = _all(db)
    with db.write() as connection:
        change = {"id": "a", "dataset_id": "IOD1", "create_time_us": 5, "has_deleted": False}
        assert changes.keep(connection, change, EVERYTHING, []) == 4
        values = {"ml_use": "TEST", "author": "user:a", "update_time_us": 7, "change_id": "a"}
        connection.execute(schema.examples.update().where(changes.kept_by("a")).values(**values))
    assert _former(db) == [1, 4, 0]
    assert {row[4] for row, *_ in _all(db).values()} == {"TEST"}
    assert _revert(db, "a") == 4
    assert _all(db) == before


def test_a_deleted_dataset_takes_what_was_kept_with_it(db):
    other = _all(db, "IOD2")
    with db.write() as connection:
        _keep(connection, "c")
        datasets.delete(connection, "IOD1")
        for table in (schema.changes, schema.former_examples, schema.former_annotations):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0
    assert _all(db, "IOD2") == other


def test_boxes_that_are_the_same_are_left_once(db):
    with db.write() as connection:
        annotation_specs.replace(connection, "IOD1-dog", "IOD1-cat")
        bare = [{"example_id": 1, "annotation_spec_id": "IOD1-cat"}] * 2  # of whole images
        connection.execute(schema.annotations.insert(), bare)
        changes.drop_repeated(connection, schema.examples.c.dataset_id == "IOD1")
    counts = {row[0]: [one.box is None for one in found] for row, found, _ in _all(db).values()}
    assert sorted(map(sorted, counts.values())) == [[False], [False], [False], [False, True]]


def test_a_summary_is_of_one_dataset_and_its_labelled_examples(db):
    with db.write() as connection:
        first = schema.examples.c.sha256 == f"{1:064x}"
        connection.execute(schema.examples.update().where(first).values(state="SUGGESTED", ml_use="TEST"))
    with db.read() as connection:
        assert summaries.by_use_and_state(connection, "IOD1") == [("TEST", "SUGGESTED", 1), ("TRAIN", "LABELED", 3)]
        assert summaries.labelled_by_use(connection, "IOD1") == {("IOD1-cat", "TRAIN"): 3, ("IOD1-dog", "TRAIN"): 1}
        found = summaries.edges(connection, "IOD1")
    assert found == {"IOD1-cat": (25.0, [0, 0, 4, 0, 0, 0, 0]), "IOD1-dog": (25.0, [0, 0, 2, 0, 0, 0, 0])}
