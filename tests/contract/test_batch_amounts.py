"""Batch predictions that a project may have waiting, and images of a day, on both databases."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
from google.rpc import code_pb2
from tests.support.operations.ledgers import Kind, draft

from boxwright import callers, errors
from boxwright.metadata import database
from boxwright.metadata.schema import image_days
from boxwright.operations import amounts, batch_amounts
from boxwright.operations.ledger import Ledger


@pytest.fixture
def db(database_place):
    opened = database.Database(database_place)
    yield opened
    opened.close()


def start(ledger: Ledger, operation_id: str, project: str = "a", kind: Kind = Kind.BATCH_PREDICT) -> None:
    caller = callers.Caller(charged_project=project)
    with ledger._db.write() as connection:
        ledger.start(connection, dataclasses.replace(draft(operation_id, kind), caller=caller))


def refusal(ledger: Ledger, project: str = "a") -> tuple[str, str]:
    """The setting that refuses the next batch prediction of a project, and what is said."""
    with pytest.raises(errors.ApiError) as refused:
        start(ledger, "refused", project)
    assert refused.value.code == code_pb2.RESOURCE_EXHAUSTED
    info, failure = refused.value.details
    assert failure.violations[0].subject == f"project:{project}"
    return info.metadata["quota_limit"], refused.value.message


def test_so_many_batch_predictions_wait_and_what_runs_does_not(db):
    ledger = Ledger(db, lease_ttl_s=10, limits=amounts.AmountLimits(batch_jobs_waiting=2))
    start(ledger, "a0")
    start(ledger, "a1")
    start(ledger, "i0", kind=Kind.IMPORT_DATA)
    start(ledger, "b0", "b")
    setting, text = refusal(ledger)
    assert setting == "batch_jobs_waiting_max" and text.startswith("2 batch predictions of project a wait, and 2 may")
    while ledger.claim([Kind.BATCH_PREDICT], "w") is not None:
        pass
    start(ledger, "a2")


def test_images_of_a_day_are_counted_by_project_and_free_the_day_after(db):
    ledger = Ledger(db, lease_ttl_s=10, limits=amounts.AmountLimits(batch_images_a_day=100))
    start(ledger, "a0")
    claimed = ledger.claim([Kind.BATCH_PREDICT], "w")
    ledger.report(claimed.lease, images=60)
    start(ledger, "a1")
    ledger.report(claimed.lease, images=40)
    start(ledger, "b0", "b")
    setting, text = refusal(ledger)
    assert setting == "batch_images_a_day_max" and "have worked on 100 images today, and may on 100" in text
    frees = datetime.datetime.strptime(text.split()[-2], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)
    left = frees - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(0) <= left <= datetime.timedelta(days=1)
    with db.write() as connection:
        connection.execute(image_days.update().values(day=image_days.c.day - 1))
    start(ledger, "a2")


def test_days_that_nobody_asks_for_are_forgotten(db):
    with db.write() as connection:
        for project in ("a", "b"):
            batch_amounts.count_images(connection, project, 1)
        connection.execute(image_days.update().values(day=image_days.c.day - 30))
        batch_amounts.count_images(connection, "a", 5)
        left = {(row.project, row.images) for row in connection.execute(image_days.select())}
    assert left == {("a", 5), ("b", 1)}
