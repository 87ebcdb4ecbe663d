"""Amounts, on every database: models with those in training, bytes; what is refused on a full disk, here and at a worker."""

from __future__ import annotations

import os
import pathlib

import pytest
from google.rpc import code_pb2
from tests.support.operations.ledgers import LOCATION, Kind, draft
from tests.support.operations.scripted_runner import Scripted, end_of
from tests.support.predictions.tiny_model import DATASET_ID

from boxwright import errors, states
from boxwright.metadata import database, models
from boxwright.operations.amounts import AmountLimits, DiskSpace
from boxwright.operations.ledger import Ledger
from boxwright.operations.worker import Worker

EVERYTHING = 1 << 60  # more than any disk has
WRITING = (Kind.IMPORT_DATA, Kind.CREATE_MODEL, Kind.BATCH_PREDICT)


@pytest.fixture
def db(database_place):
    opened = database.Database(database_place)
    yield opened
    opened.close()


def start(ledger: Ledger, operation_id: str, kind: Kind) -> None:
    with ledger._db.write() as connection:
        ledger.start(connection, draft(operation_id, kind))


def add_model(db: database.Database, model_id: str, project: str) -> None:
    values = {
        "id": model_id, "project": project, "location": LOCATION.location, "display_name": "m", "dataset_id": DATASET_ID,
        "model_type": "cloud-1", "labels": {}, "etag": "", "create_time_us": 1, "update_time_us": 1, "stop_reason": "",
        "deployment_state": states.DeploymentState.UNDEPLOYED, "train_budget_milli_node_hours": 1,
        "train_cost_milli_node_hours": 1, "folder": model_id,
    }  # fmt: skip
    with db.write() as connection:
        models.insert(connection, values, [])


def refused(call, *arguments) -> tuple[str, str]:
    """The setting that a refusal names, and its text."""
    with pytest.raises(errors.ApiError) as raised:
        call(*arguments)
    assert raised.value.code == code_pb2.RESOURCE_EXHAUSTED
    info, failure = raised.value.details
    assert failure.violations[0].subject == f"project:{LOCATION.project}"
    return info.metadata["quota_limit"], raised.value.message


def test_models_and_those_in_training_count_together_and_those_of_others_do_not(db):
    ledger = Ledger(db, lease_ttl_s=10, limits=AmountLimits(models=3))
    for number in range(3):
        add_model(db, f"IOD{number}", "somebody-else")
    add_model(db, "IOD10", LOCATION.project)
    start(ledger, "IOD11", Kind.CREATE_MODEL)
    start(ledger, "IOD12", Kind.CREATE_MODEL)
    setting, text = refused(start, ledger, "IOD13", Kind.CREATE_MODEL)
    assert (setting, "has 3 models, 2 of them in the making" in text) == ("quota_models", True)
    start(ledger, "IOD14", Kind.BATCH_PREDICT)
    ledger.request_cancel(LOCATION.operation("IOD12"))
    start(ledger, "IOD15", Kind.CREATE_MODEL)


def test_the_bytes_of_a_projects_models_are_counted(db):
    add_model(db, "IOD1", LOCATION.project)
    add_model(db, "IOD2", LOCATION.project)
    add_model(db, "IOD3", "somebody-else")
    sizes = {"IOD1": 400, "IOD2": 600, "IOD3": 5000}
    AmountLimits(stored_bytes=1001, size_of=sizes.__getitem__).check_stored(db, LOCATION.project)
    limits = AmountLimits(stored_bytes=1000, size_of=sizes.__getitem__)
    setting, text = refused(limits.check_stored, db, LOCATION.project)
    assert (setting, "take 1000 bytes" in text) == ("quota_stored_bytes", True)


def test_on_a_full_disk_no_work_begins_that_writes_there(db, tmp_path: pathlib.Path):
    ledger = Ledger(db, lease_ttl_s=10, limits=AmountLimits(space=DiskSpace(tmp_path, EVERYTHING)))
    for kind in WRITING:
        setting, text = refused(start, ledger, f"IOD{kind}", kind)
        assert setting == "data_dir_free_bytes"
        assert f"bytes are free in {tmp_path}, and {EVERYTHING} must be" in text
        free_bytes = int(text.split()[0])
        status = os.statvfs(tmp_path)
        assert 0 < free_bytes < status.f_blocks * status.f_frsize
    start(ledger, "IOD1", Kind.EXPORT_DATA)
    for space in (DiskSpace(tmp_path, 1), DiskSpace(tmp_path, 0), DiskSpace(tmp_path / "none", EVERYTHING)):
        space.check(Kind.IMPORT_DATA, LOCATION.project)


def test_a_worker_looks_at_its_own_disk_before_the_first_attempt(db, tmp_path: pathlib.Path):
    ledger = Ledger(db, lease_ttl_s=10)
    start(ledger, "IOD1", Kind.IMPORT_DATA)
    start(ledger, "IOD2", Kind.EXPORT_DATA)
    start(ledger, "IOD3", Kind.IMPORT_DATA)
    begun = ledger.claim([Kind.IMPORT_DATA], "somebody who died")
    ledger.release(begun.lease, blameless=True)
    runner = Scripted(lambda context: None)
    space = DiskSpace(tmp_path, EVERYTHING)
    worker = Worker(
        ledger, dict.fromkeys((Kind.IMPORT_DATA, Kind.EXPORT_DATA), runner), [[Kind.IMPORT_DATA, Kind.EXPORT_DATA]],
        space=space,
    )  # fmt: skip
    worker.start()
    try:
        ends = {name: end_of(ledger, name, *states.OPERATION_TERMINAL) for name in ("IOD1", "IOD2", "IOD3")}
    finally:
        worker.drain()
    assert [ends[name].state for name in ("IOD1", "IOD2", "IOD3")] == ["SUCCEEDED", "SUCCEEDED", "FAILED"]
    assert begun.name.operation == "IOD1", "what has begun goes on, and finds out itself"
    assert runner.runs == 2
