"""Statements about examples: pages and labels are found by indexes, and an etag follows what an example says."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from boxwright import states
from boxwright.metadata import database, datasets, examples


@pytest.fixture
def db(tmp_path):
    opened = database.Database(tmp_path / "metadata.sqlite")
    images = [
        {
            "sha256": f"{number:064x}",
            "uri": f"gs://b/{number}.jpg",
            "ml_use": "TRAIN",
            "state": "LABELED",
            "width_px": 9,
            "height_px": 9,
            "annotations": [("cat" if number % 2 else "dog", 0.0, 0.0, 0.5, 0.5)],
        }
        for number in range(50)
    ]
    with opened.write() as connection:
        values = {"id": "IOD1", "project": "p", "location": "l", "display_name": "d", "metadata_member": "m"}
        datasets.insert(connection, {**values, "labels": {}, "etag": "e", "create_time_us": 1, "update_time_us": 1})
        ids = iter("12")
        datasets.merge(connection, "IOD1", images, lambda: next(ids))
    yield opened
    opened.close()


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("order", examples.ORDERS)
def test_a_page_in_any_order_is_found_by_an_index(db, order, is_turned) -> None:
    page = examples.page_of(
        examples.select_of("IOD1"), after=(10, 1), order=order, is_turned=is_turned, skip=5, limit=5
    )
    with db.read() as connection:
        text = str(page.compile(connection.engine, compile_kwargs={"literal_binds": True}))
        plan = [row[3] for row in connection.execute(sa.text("EXPLAIN QUERY PLAN " + text))]
    assert not [step for step in plan if step.startswith("SCAN") or "TEMP B-TREE" in step], plan


@pytest.mark.parametrize("label", ["", "cat"])
def test_a_page_is_found_by_indexes_and_not_sorted(db, label) -> None:
    query = examples.select_of("IOD1")
    if label:
        query = query.where(examples.carries("IOD1", label))
    page = examples.page_of(query, after=(10, 10), skip=5, limit=5)
    with db.read() as connection:
        text = str(page.compile(connection.engine, compile_kwargs={"literal_binds": True}))
        plan = [row[3] for row in connection.execute(sa.text("EXPLAIN QUERY PLAN " + text))]
    assert not [step for step in plan if step.startswith("SCAN") or "TEMP B-TREE FOR ORDER BY" in step], plan
    if label:
        assert any("annotations_of_spec" in step for step in plan), plan


def test_an_etag_changes_with_what_an_import_adds(db) -> None:
    def etag() -> str:
        with db.read() as connection:
            row = examples.find(connection, "IOD1", f"{1:064x}")
            assert row is not None
            return examples.etag(row, examples.annotations_of(connection, [row.id])[row.id])

    before = etag()
    assert etag() == before
    again = {"sha256": f"{1:064x}", "uri": "gs://b/1.jpg", "ml_use": "TRAIN", "state": states.ExampleState.LABELED}
    added = {**again, "width_px": 9, "height_px": 9, "annotations": [("cat", 0.1, 0.1, 0.5, 0.5)]}
    with db.write() as connection:
        datasets.merge(connection, "IOD1", [added], lambda: "3")
    assert etag() != before
