"""Imports: two attempts at one of them, in two processes that share a data directory."""

from __future__ import annotations

import concurrent.futures
import pathlib
import threading
from collections.abc import Callable

import pytest
from google.cloud.automl_v1 import types
from tests.support.images import drawn_images
from tests.support.machine.waiting import PATIENCE_S
from tests.support.operations.ledgers import LOCATION, Kind, expire, open_ledger

from boxwright import errors, objects
from boxwright.metadata import database, datasets
from boxwright.operations.ledger import Draft, Ledger
from boxwright.operations.runner import Context
from boxwright.runners.import_data import ImportData
from boxwright.services.resources import random_digits

IMAGES = 3


class Halting(Ledger):
    """A ledger that stops a runner at its first report until the test lets it go on."""

    def __init__(self, db: database.Database) -> None:
        super().__init__(db, lease_ttl_s=10.0)
        self.is_there, self.goes_on = threading.Event(), threading.Event()

    def report(self, *arguments, **numbers) -> bool:
        self.is_there.set()
        assert self.goes_on.wait(PATIENCE_S)
        return super().report(*arguments, **numbers)


@pytest.fixture
def ledger(tmp_path: pathlib.Path):
    opened = open_ledger(tmp_path / "metadata.sqlite")
    csv_uri = drawn_images.write_dataset(tmp_path / "buckets" / "b", IMAGES)
    values = {
        "id": "IOD7",
        "project": "p",
        "location": "us-central1",
        "display_name": "d",
        "metadata_member": "image_object_detection_dataset_metadata",
    }
    request = types.ImportDataRequest(
        name=f"{LOCATION}/datasets/IOD7", input_config={"gcs_source": {"input_uris": [csv_uri]}}
    )
    with opened._db.write() as connection:
        datasets.insert(connection, {**values, "create_time_us": 1, "update_time_us": 1, "labels": {}, "etag": "e"})
        serialised = types.ImportDataRequest.serialize(request)
        opened.start(connection, Draft(LOCATION, "IOD1", Kind.IMPORT_DATA, request=serialised, details=b""))
    yield opened
    opened._db.close()


@pytest.fixture
def begin(ledger: Ledger, tmp_path: pathlib.Path):
    """Claims the import and runs it as far as its first report; returns how to let it go on, and what comes of it."""
    ledgers: list[Halting] = []
    with concurrent.futures.ThreadPoolExecutor(2) as processes:

        def start() -> tuple[Callable[[], None], concurrent.futures.Future]:
            halting = Halting(ledger._db)
            ledgers.append(halting)
            claimed = halting.claim([Kind.IMPORT_DATA], "somebody")
            assert claimed is not None
            runner = ImportData(
                ledger._db,
                objects.Stores(tmp_path / "buckets", tmp_path / "state"),
                tmp_path / "work",
                row_failure_limit=0.0,
                threads=2,
                image_timeout_s=PATIENCE_S,
                new_digits=random_digits,
                is_reviewed=lambda params: True,
            )
            running = processes.submit(runner.run, claimed.request, Context(claimed, halting))
            assert halting.is_there.wait(PATIENCE_S)
            return halting.goes_on.set, running

        yield start
        for halting in ledgers:
            halting.goes_on.set()


def test_who_has_lost_an_import_leaves_what_the_other_has_staged(ledger, begin, tmp_path):
    let_first_go_on, first = begin()
    expire(ledger, "IOD1")
    let_second_go_on, second = begin()
    let_first_go_on()
    assert isinstance(first.exception(PATIENCE_S), errors.LeaseLost)
    assert len(list((tmp_path / "work" / "IOD1").iterdir())) == 1, "the second one's"
    let_second_go_on()
    second.result(PATIENCE_S)
    with ledger._db.read() as connection:
        rows = list(datasets.examples_of(connection, "IOD7"))
    assert len({row.uri for row in rows}) == IMAGES
    assert list((tmp_path / "work" / "IOD1").iterdir()) == []
